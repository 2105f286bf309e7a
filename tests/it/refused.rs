//! What a scan refuses: by name, with the right exit status, leaving no trace.

use super::world::*;

/// Runs a scan that must fail; returns its errors.
#[track_caller]
fn refused(world: &World, lake: &str, arguments: &[&str], status: i32) -> String {
    let output = world
        .command_in(lake, &[&["scan"], arguments].concat())
        .output()
        .unwrap();
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(status), "{errors}");
    assert!(
        output.stdout.is_empty(),
        "results belong to success: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(
        errors.starts_with("error: ") && !errors.contains("panicked"),
        "{errors}"
    );
    errors
}

#[cfg(unix)]
#[test]
fn a_policy_of_which_a_file_cannot_be_read_is_not_used_without_it() {
    let world = World::new();
    fill(&world, 6, 1, 1);
    let rule = b"@id(\"a\") permit (principal, action, resource);";
    world.put("policy/a.cedar", rule);
    std::os::unix::fs::symlink("nowhere", world.path("policy/datasets.toml")).unwrap();
    world.put("policy/c.cedar", b"\xff\xfe");
    let errors = refused(&world, "lake", &["--policy", "policy", "trail"], 2);
    assert!(
        errors.contains("datasets.toml") && errors.contains("c.cedar"),
        "{errors}"
    );
    std::fs::remove_file(world.path("policy/datasets.toml")).unwrap();
    std::fs::remove_file(world.path("policy/c.cedar")).unwrap();
    world.put("policy/b.Cedar", rule);
    let errors = refused(&world, "lake", &["--policy", "policy", "trail"], 2);
    assert!(errors.contains("b.Cedar"), "{errors}");
}

#[test]
fn a_faulty_policy_is_named_by_file_and_line() {
    let world = World::new();
    fill(&world, 6, 1, 1);
    for (name, text, line) in [
        (
            "rules.cedar",
            "@id(\"a\")\n@reason(\"r\")\npermit (principal action, resource);\n",
            3,
        ),
        (
            "rules.cedar",
            "@id(\"a\")\n@reason(\"r\")\npermit (principal, action, resource)\nwhen { context.nonsense };\n",
            4,
        ),
        (
            "datasets.toml",
            "[[dataset]]\nname = \"a\"\nlocation = []\n",
            3,
        ),
    ] {
        drop(std::fs::remove_dir_all(world.path("policy")));
        world.put(&format!("policy/{name}"), text.as_bytes());
        let errors = refused(&world, "lake", &["--policy", "policy", "trail"], 2);
        assert!(errors.contains(name), "{errors}");
        let near = [
            format!("line {line}"),
            format!("line {}", if line == 4 { 1 } else { line }),
        ];
        assert!(near.iter().any(|near| errors.contains(near)), "{errors}");
        assert!(!world.path("lake").exists(), "a faulty policy made a lake");
    }
}

#[test]
fn a_missing_source_policy_or_configuration_is_wrong_usage() {
    let world = World::new();
    fill(&world, 7, 1, 1);
    let errors = refused(&world, "lake", &["trail", "nowhere"], 2);
    assert!(errors.contains("`nowhere`"), "{errors}");
    let errors = refused(&world, "lake", &["--policy", "nowhere", "trail"], 2);
    assert!(errors.contains("`nowhere`"), "{errors}");
    let errors = refused(&world, "lake", &["--config", "nowhere.toml", "trail"], 2);
    assert!(errors.contains("`nowhere.toml`"), "{errors}");
    world.put("bad.toml", b"[scan]\nthread = 1\n");
    let errors = refused(&world, "lake", &["--config", "bad.toml", "trail"], 2);
    assert!(
        errors.contains("`bad.toml`") && errors.contains("thread"),
        "{errors}"
    );
    let errors = refused(&world, "lake", &["ftp://bucket/prefix"], 2);
    assert!(errors.contains("`ftp://bucket/prefix`"), "{errors}");
    let errors = refused(&world, "ftp://lake", &["trail"], 2);
    assert!(errors.contains("`ftp://lake`"), "{errors}");
    assert!(!world.path("lake").exists());
}

#[test]
fn a_lake_that_cannot_be_written_is_named() {
    let world = World::new();
    fill(&world, 8, 1, 1);
    world.put("file", b"no folder");
    let errors = refused(&world, "file/lake", &["trail"], 3);
    assert!(errors.contains("file/lake"), "{errors}");
    let errors = refused(&world, "file", &["trail"], 3);
    assert!(errors.contains("/file"), "{errors}");
}

#[test]
fn a_damaged_lake_is_named_and_left_alone() {
    for table in ["s3_access", "log_objects"] {
        let world = World::new();
        fill(&world, 9, 3, 5);
        world.scan();
        let log = format!("lake/{table}/_delta_log");
        let mut commits = files_below(&world.path(&log));
        commits.retain(|path| path.extension().is_some_and(|end| end == "json"));
        for path in &commits {
            std::fs::write(path, b"\x00garbage").unwrap();
        }
        let before = files_below(&world.path("lake"));
        let errors = refused(&world, "lake", &["trail"], 3);
        assert!(errors.contains(&format!("`{table}`")), "{errors}");
        assert_eq!(
            files_below(&world.path("lake")),
            before,
            "{table}: something was written"
        );
        let output = world.run(&["query", "--sql", &format!("SELECT count(*) FROM {table}")]);
        assert_eq!(output.status.code(), Some(3), "{}", self::errors(&output));
    }
}

#[test]
fn a_table_of_another_program_is_not_touched() {
    let world = World::new();
    fill(&world, 10, 1, 2);
    world.scan();
    // A table where another one is expected: its columns differ.
    std::fs::remove_dir_all(world.path("lake/sts_sessions")).unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-r", "lake/ec2_instances", "lake/sts_sessions"])
        .current_dir(world.path("."))
        .status()
        .unwrap();
    assert!(copied.success());
    let errors = refused(&world, "lake", &["trail"], 3);
    assert!(
        errors.contains("sts_sessions") && errors.contains("column"),
        "{errors}"
    );
}
