//! What cannot be read is a fact with its place; the rest is used.

use super::*;

const JOBS: &str = "system.lakeflow.jobs/a.json";
const GOOD: &str = r#"{"workspace_id":"11","job_id":"7","change_time":"2026-11-01T00:00:00Z"}"#;

fn faults(source: &SourceReport) -> Vec<String> {
    source.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn bad_lines_are_named_by_number_and_reason() {
    let text = [
        GOOD,
        "{broken",
        "",
        "[1]",
        r#"{"workspace_id":"11","job_id":"8"}"#,
        r#"{"workspace_id":"11","job_id":"8","change_time":"yesterday"}"#,
        r#"{"workspace_id":"11","job_id":"8","change_time":"2026-11-01T00:00:00Z"} {}"#,
        r#"{"workspace_id":"11","job_id":{"id":"secret"},"change_time":"2026-11-01T00:00:00Z"}"#,
        r#"{"workspace_id":"11","job_id":"9","change_time":"2026-11-01T00:00:00Z""#,
    ]
    .join("\n");
    let (facts, report) = Exports::of(JOBS, &text).read();
    let source = only(report);
    assert_eq!(facts.jobs.len(), 1);
    assert_eq!((source.rows, source.bad_rows), (1, 7));
    let expect = [
        "2: no JSON from column 2",
        "4: no JSON object; write one object a line",
        "5: `change_time` is missing",
        "6: `change_time` is no time: `yesterday`",
        "7: no JSON from column 73",
        "8: `job_id` is no text: a struct",
        "9: JSON is cut off",
    ]
    .map(|fault| format!("system.lakeflow.jobs/a.json:{fault}"));
    assert_eq!(faults(&source), expect);
}

#[test]
fn a_value_that_is_not_needed_is_read_as_unknown_and_named() {
    let text = GOOD.replace('}', r#","delete_time":"soon"}"#);
    let (facts, report) = Exports::of(JOBS, &text).read();
    let source = only(report);
    assert_eq!(facts.jobs.first().map(|job| job.deleted_at), Some(None));
    assert_eq!((source.rows, source.bad_values), (1, 1));
    assert_eq!(
        faults(&source),
        ["system.lakeflow.jobs/a.json:1: `delete_time` is no time: `soon`; read as unknown"]
    );
}

#[test]
fn only_the_first_hundred_faults_are_listed_and_all_are_counted() {
    let (_, report) = Exports::of(JOBS, &"{}\n".repeat(250)).read();
    let source = only(report);
    assert_eq!((source.bad_rows, source.faults.len()), (250, 100));
}

#[test]
fn a_cut_gzip_file_is_used_up_to_there() {
    let lines: String = (0..20_000)
        .map(|n| GOOD.replace("\"7\"", &format!("\"{n}\"")) + "\n")
        .collect();
    let mut bytes = gzip(lines.as_bytes());
    bytes.truncate(bytes.len() / 2);
    let exports = Exports::new();
    exports.put("system.lakeflow.jobs/a.json.gz", &bytes);
    let (facts, report) = exports.read();
    let source = only(report);
    assert!(facts.jobs.len() > 1000, "{}", facts.jobs.len());
    assert_eq!(source.bad_files, 1);
    assert!(!source.is_unreadable());
}

#[test]
fn an_empty_file_holds_nothing_and_is_no_fault() {
    let (facts, report) = Exports::of(JOBS, "").read();
    let source = only(report);
    assert_eq!((source.files, source.bad(), source.rows), (1, 0, 0));
    assert_eq!(facts.watermarks, []);
}

#[test]
fn what_is_no_parquet_file_and_other_kinds_of_file_are_named() {
    let exports = Exports::of("system.lakeflow.jobs/a.parquet", "PAR1 and no more");
    exports.put("system.lakeflow.jobs/b.parquet", b"");
    exports.put("system.lakeflow.jobs/c.csv", b"workspace_id,job_id");
    let (_, report) = exports.read();
    let source = only(report);
    assert_eq!(source.bad_files, 3);
    assert!(source.is_unreadable());
    let faults = faults(&source).join("\n");
    for part in [
        "a.parquet: no readable Parquet file",
        "b.parquet: no readable",
        "c.csv: kind",
    ] {
        assert!(faults.contains(part), "{faults}");
    }
}

#[test]
fn a_broken_delta_table_is_one_fault() {
    let exports = Exports::of(
        "system.lakeflow.jobs/_delta_log/00000000000000000000.json",
        "{]",
    );
    let (_, report) = exports.read();
    let source = only(report);
    assert!(source.is_unreadable());
    assert!(
        faults(&source)
            .join("")
            .contains("Delta table cannot be read")
    );
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let mut text = vec![b'x'; 17 * 1024 * 1024];
    text.push(b'\n');
    text.extend_from_slice(GOOD.as_bytes());
    let exports = Exports::new();
    exports.put(JOBS, &text);
    let (facts, report) = exports.read();
    let source = only(report);
    assert_eq!((facts.jobs.len(), source.bad_rows), (1, 1));
    assert_eq!(
        faults(&source),
        ["system.lakeflow.jobs/a.json:1: line longer than 16 MiB"]
    );
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_fault() {
    let text = format!("\u{feff}{GOOD}\r\n{GOOD}\r\n");
    assert_eq!(Exports::of(JOBS, &text).facts().jobs.len(), 1);
}

#[test]
fn names_that_are_no_export_are_listed() {
    let exports = Exports::of(JOBS, GOOD);
    exports.put("system.access.audits/a.json", b"{}");
    exports.put("scim/users.json", br#"{"Resources":[]}"#);
    let (_, report) = exports.read();
    assert_eq!(report.ignored, ["system.access.audits"]);
    assert!(report.missing.contains(&"system.access.audit"));
}

#[cfg(unix)]
#[test]
fn a_link_to_a_folder_is_named_and_not_followed() {
    let exports = Exports::of(JOBS, GOOD);
    let folder = exports.0.path().join("system.lakeflow.jobs");
    std::os::unix::fs::symlink(&folder, folder.join("again")).unwrap();
    let (facts, report) = exports.read();
    let source = only(report);
    assert_eq!((facts.jobs.len(), source.bad_files), (1, 1));
    assert!(
        faults(&source)
            .join("")
            .contains("jobs/again: link to a folder")
    );
}

#[test]
fn of_two_spellings_in_one_line_the_one_that_says_something_stands() {
    let text = GOOD.replace('}', r#","workspaceId":null,"jobId":null}"#);
    assert_eq!(Exports::of(JOBS, &text).facts().jobs.len(), 1);
}

#[test]
fn the_folder_of_a_null_partition_says_nothing() {
    let exports = Exports::new();
    let name = "system.lakeflow.jobs/run_as=__HIVE_DEFAULT_PARTITION__/a.json";
    exports.put(name, GOOD.as_bytes());
    let jobs = exports.facts().jobs;
    assert_eq!(jobs.first().map(|job| job.run_as.clone()), Some(None));
}
