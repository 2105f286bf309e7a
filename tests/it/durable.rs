//! Once rows are durable, nothing that fails later turns success into failure.

use super::world::*;

#[test]
fn checkpoints_that_cannot_be_written_fail_no_scan() {
    let world = World::new();
    fill(&world, 21, 30, 10);
    world.put("small.toml", b"[scan]\ncommit_objects = 1\n");
    let files = files_below(&world.trail());
    world.scan_with(&[files[0].to_str().unwrap()]);
    // Where the checkpoints of these tables should go, there are folders.
    for table in ["s3_access", "log_objects"] {
        let checkpoint = "00000000000000000019.checkpoint.parquet";
        let place = format!("lake/{table}/_delta_log/{checkpoint}");
        std::fs::create_dir(world.path(&place)).unwrap();
    }
    let report = world.scan_with(&["--config", "small.toml", "trail"]);
    assert_eq!(report["objects"]["committed"], 29);
    let expected: Vec<_> = distinct_s3_events(&world.trail()).into_iter().collect();
    assert_eq!(world.events(), expected);
    world.check_adds_up();
    assert_eq!(world.scan()["objects"]["known"], 30);
}
