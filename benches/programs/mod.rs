//! Runs the program itself and takes its time, for benches that compare whole commands.

use std::path::Path;
use std::process::{Command, Stdio};

pub fn say(what: &str, figure: &str, met: bool, target: &str) {
    let met = if met { "met" } else { "MISSED" };
    println!("{what:<34} {figure:<36} target {target}: {met}");
}

pub fn program(folder: &Path, arguments: &[&str]) {
    let status = Command::new(env!("CARGO_BIN_EXE_bricktrail"))
        .current_dir(folder)
        .args(arguments)
        .env_remove("BRICKTRAIL_LAKE")
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status()
        .expect("run the program");
    assert!(status.success(), "{arguments:?}: {status}");
}

/// User and system seconds of the children that have ended (`/proc/self/stat`, fields
/// 16 and 17, in hundredths of a second).
pub fn children_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, after_name) = text.rsplit_once(')').expect("a name in brackets");
    let ticks = after_name.split_whitespace().skip(13).take(2);
    ticks
        .map(|text| text.parse::<f64>().expect("ticks") / 100.0)
        .sum()
}

pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("make a folder");
    for entry in std::fs::read_dir(from).expect("list a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy_folder(&path, &target),
            false => drop(std::fs::copy(&path, &target).expect("copy a file")),
        }
    }
}
