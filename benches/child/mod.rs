//! A process of its own for each thing that is measured, so that CPU and memory are its
//! own: a bench starts itself with a task, and reads the result from its output.

use bricktrail::model::UtcMicros;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::process::{Command, Stdio};

/// What a child is to do: a task as JSON.
const TASK: &str = "BRICKTRAIL_BENCH_TASK";
/// Begins the line of a child's stdout that holds its JSON result.
const RESULT: &str = "bench-result ";

/// Does the task, if this process is a child with one; whether it was.
pub fn is_child<T: DeserializeOwned, R: Serialize>(run: impl AsyncFnOnce(T) -> R) -> bool {
    let Ok(task) = std::env::var(TASK) else {
        return false;
    };
    let task: T = serde_json::from_str(&task).expect("a task");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let done = runtime.block_on(run(task));
    println!("{RESULT}{}", serde_json::to_string(&done).expect("JSON"));
    true
}

/// Runs a child with that task; its result.
pub fn child<T: Serialize, R: DeserializeOwned>(task: &T) -> R {
    let output = Command::new(std::env::current_exe().expect("this program"))
        // As the program sets it for itself.
        .env("MIMALLOC_PURGE_DELAY", "100")
        .env(TASK, serde_json::to_string(task).expect("a task is JSON"))
        .stderr(Stdio::inherit())
        .output()
        .expect("run a child");
    assert!(output.status.success(), "child failed: {}", output.status);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let result = text.lines().find_map(|line| line.strip_prefix(RESULT));
    serde_json::from_str(result.expect("the child's result")).expect("a result")
}

pub fn now() -> UtcMicros {
    UtcMicros::from_datetime(chrono::Utc::now())
}

/// User and system seconds of this process (`/proc/self/stat`, fields 14 and 15, in
/// hundredths of a second).
pub fn process_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, after_name) = text.rsplit_once(')').expect("a name in brackets");
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks
        .map(|text| text.parse::<f64>().expect("ticks") / 100.0)
        .sum()
}

/// The most memory that this process ever had (`VmHWM`).
pub fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("VmHWM");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("kB");
    kilobytes * 1024
}
