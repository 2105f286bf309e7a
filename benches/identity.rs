//! Question: what does it cost to know who stood behind an access?
//!
//! 1. *Attribution's share*: `scan` of a simulated trail into a lake that holds
//!    Databricks' exports, against the same scan into a lake without. The program
//!    itself, in turns, CPU seconds of the child; the median of each.
//! 2. *The index*: a million sessions and a million slices of task runs, in a process
//!    of its own; its peak memory against that of a process that makes an empty one,
//!    and the time of an attribution, all levels of it: of facts in the order of their
//!    time, as a trail asks for them, and of facts picked all over the index.
//! 3. *Settling beside them*: one date of a lake that holds those million sessions and
//!    slices, spread over 30 days; peak memory.
//!
//! Targets: attribution adds at most 15 % to a scan's CPU; the index takes at most
//! 1 GB, and well under a microsecond a level; settling takes at most 600 MB.
//!
//! Run:     cargo bench --bench identity
//!          BRICKTRAIL_BENCH_EVENTS=1000000   events of the trail (default 400,000)
//!          BRICKTRAIL_BENCH_ONLY=index       a part only: scan, index or settle
//! Compare: shares and bytes, between runs on any machine.
//! Exit:    1 if an answer was wrong; never for being slow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench ends where something is wrong, and prints its answer"
)]

use bricktrail::identity::{IdentityIndex, IdentitySettings, attribute};
use bricktrail::lake::Lake;
use bricktrail::lake::databricks::import_databricks;
use bricktrail::lake::delta::CommitOutcome;
use bricktrail::lake::store::LakeBatch;
use bricktrail::model::databricks::{DatabricksFacts, InstanceEvent, SourceWatermark, TaskRun};
use bricktrail::model::{
    AccessEvent, Attribution, Client, Confidence, Operation, Outcome, Principal, StsSession,
    Target, UtcMicros,
};
use bricktrail::pipeline::settle::{SettleJob, settle};
use bricktrail::policy::{Policy, PolicySettings};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Instant;

mod programs;
use programs::{children_cpu, copy_folder, median, program, say};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHARE_MAX: f64 = 15.0;
const INDEX_MB_MAX: f64 = 1000.0;
const SETTLE_MB_MAX: f64 = 600.0;

const SESSIONS: u64 = 1_000_000;
const SLICES: u64 = 1_000_000;
/// Slices of runs on one cluster, which has one instance.
const SLICES_OF_CLUSTER: u64 = 20;
/// Facts handed over at a time: what they are made of takes no more memory.
const CHUNK: u64 = 50_000;
const DAYS: i64 = 30;

/// Scans of each kind.
const TURNS: usize = 5;

/// What a child is to do.
const TASK: &str = "BRICKTRAIL_BENCH_TASK";
/// Begins the line of a child's stdout that holds its numbers.
const RESULT: &str = "bench-result ";

fn main() -> ExitCode {
    if let Ok(task) = std::env::var(TASK) {
        let numbers: Vec<String> = run(&task).iter().map(f64::to_string).collect();
        println!("{RESULT}{}", numbers.join(" "));
        return ExitCode::SUCCESS;
    }
    let only = std::env::var("BRICKTRAIL_BENCH_ONLY").unwrap_or_default();
    let wants = |part: &str| only.is_empty() || only == part;
    let folder = tempfile::tempdir().expect("a scratch folder");
    println!();
    if wants("scan") {
        scan_share(folder.path());
    }
    if wants("index") {
        let [empty, ..] = child("index 0")[..] else {
            panic!("no numbers")
        };
        let [peak, held, job, job_anywhere, session, session_anywhere] = child("index 1")[..]
        else {
            panic!("no numbers")
        };
        let bytes = peak - empty;
        say(
            "index, peak memory",
            &format!("{bytes:.0} MB ({:.0} MB when made)", held - empty),
            bytes <= INDEX_MB_MAX,
            "1,000 MB",
        );
        for (what, nanos) in [
            ("an instance's access, 5 levels", job),
            ("- picked all over the index", job_anywhere),
            ("a vended session's", session),
            ("- picked all over the index", session_anywhere),
        ] {
            let level = nanos / 5.0;
            say(
                what,
                &format!("{nanos:.0} ns, {level:.0} ns a level"),
                level < 1000.0,
                "1,000 ns a level",
            );
        }
    }
    if wants("settle") {
        let [rows, peak, seconds] = settle_beside(folder.path())[..] else {
            panic!("no numbers")
        };
        say(
            "settle of one date beside them",
            &format!("{peak:.0} MB, {seconds:.1} s, {rows:.0} rows"),
            peak <= SETTLE_MB_MAX,
            "600 MB",
        );
    }
    ExitCode::SUCCESS
}

// Part 1: a scan with exports, and without.

fn scan_share(folder: &Path) {
    let events = std::env::var("BRICKTRAIL_BENCH_EVENTS").unwrap_or("400000".to_owned());
    let simulate = [
        "simulate", "sim", "--events", &events, "--days", "2", "--seed", "7",
    ];
    program(folder, &simulate);
    std::fs::create_dir(folder.join("nothing")).expect("a folder");
    program(folder, &["--lake", "bare", "scan", "nothing"]);
    let import = [
        "--lake",
        "knows",
        "scan",
        "--databricks",
        "sim/databricks",
        "nothing",
    ];
    program(folder, &import);
    let (mut bare, mut knows) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        for (base, seconds) in [("bare", &mut bare), ("knows", &mut knows)] {
            let lake = format!("{base}-{turn}");
            copy_folder(&folder.join(base), &folder.join(&lake));
            let before = children_cpu();
            program(folder, &["--lake", &lake, "scan", "sim/trail"]);
            seconds.push(children_cpu() - before);
            std::fs::remove_dir_all(folder.join(&lake)).expect("remove a lake");
        }
    }
    let (without, with) = (median(bare), median(knows));
    let share = (with / without - 1.0) * 100.0;
    say(
        "exports in the lake add to a scan",
        &format!("{share:.1} % ({without:.2} to {with:.2} CPU s)"),
        share <= SHARE_MAX,
        "15 %",
    );
}

// Parts 2 and 3: the facts.

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A time within the days, spread evenly over `of` things.
fn time(number: u64, of: u64) -> UtcMicros {
    let first = UtcMicros::of_date(20_716);
    let seconds = i64::try_from(number).expect("few") * DAYS * 86_400;
    first.plus_seconds(seconds / i64::try_from(of).expect("few"))
}

fn key(number: u64) -> String {
    format!("ASIA{number:016}")
}

const ROLE: &str = "arn:aws:iam::111122223333:role/uc/storage";
const PROFILE: &str = "arn:aws:iam::111122223333:role/cluster-profile";

fn session(number: u64) -> StsSession {
    let issued_at = time(number, SESSIONS);
    let name = format!("databricks-{}", number % 1000);
    StsSession {
        event_id: format!("{number:08x}-0000-4000-8000-{number:012x}"),
        event_name: "AssumeRole".to_owned(),
        issued_at,
        expires_at: Some(issued_at.plus_seconds(3600)),
        aws_account_id: some("111122223333"),
        aws_region: some("us-west-2"),
        access_key_id: Some(key(number)),
        role_arn: some(ROLE),
        assumed_role_id: Some(format!("AROASTORAGE:{name}")),
        role_session_name: Some(name),
        external_id: some("5d5a9a3e-0000-4000-8000-000000000000"),
        caller: Principal {
            identity_type: some("AWSAccount"),
            principal_id: some("AROADATABRICKS:unity"),
            account_id: some("414351767826"),
            ..Principal::default()
        },
        policy_prefixes: vec![format!("s3://lake/t{}/", number % 5000)],
        policy_actions: vec!["s3:GetObject".to_owned(), "s3:ListBucket".to_owned()],
        source_uri: format!("s3://trail/{}.json.gz", number / 100),
        ..StsSession::default()
    }
}

fn instance(cluster: u64) -> String {
    format!("i-{cluster:017x}")
}

fn slice(number: u64) -> TaskRun {
    let start = time(number, SLICES);
    let cluster = number / SLICES_OF_CLUSTER;
    TaskRun {
        workspace_id: format!("{}", 7000 + cluster % 10),
        job_id: format!("{}", cluster % 5000),
        job_run_id: Some(format!("{}", 10_000_000 + cluster)),
        task_run_id: format!("{}", 20_000_000 + number),
        task_key: Some(format!("task_{}", number % SLICES_OF_CLUSTER)),
        start,
        end: Some(start.plus_seconds(120)),
        compute_ids: vec![format!("1111-111111-c{cluster:07}")],
        ..TaskRun::default()
    }
}

/// When a cluster's instance was placed, and went.
fn placed(cluster: u64) -> [InstanceEvent; 2] {
    let of = |at: UtcMicros, state: &str, cluster_id: Option<String>| InstanceEvent {
        workspace_id: format!("{}", 7000 + cluster % 10),
        instance_id: instance(cluster),
        at,
        state: state.to_owned(),
        cluster_id,
        instance_pool_id: None,
    };
    let (first, last) = (
        slice(cluster * SLICES_OF_CLUSTER),
        slice((cluster + 1) * SLICES_OF_CLUSTER),
    );
    let id = first.compute_ids.first().cloned();
    [
        of(first.start.plus_seconds(-60), "INSTANCE_PLACED", id),
        of(last.start.plus_seconds(300), "INSTANCE_TERMINATED", None),
    ]
}

fn events() -> Vec<InstanceEvent> {
    (0..SLICES / SLICES_OF_CLUSTER).flat_map(placed).collect()
}

fn slices() -> Vec<TaskRun> {
    (0..SLICES).map(slice).collect()
}

/// Of sources that have told all they will.
fn watermarks() -> Vec<SourceWatermark> {
    let of = |source: &str| SourceWatermark {
        source: source.to_owned(),
        newest: Some(time(2, 1)),
        read_at: time(2, 1),
        rows: 1,
        bad: 0,
    };
    [
        "system.access.audit",
        "system.compute.instance_events",
        "system.lakeflow.job_run_timeline",
        "system.lakeflow.job_task_run_timeline",
    ]
    .map(of)
    .to_vec()
}

fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|each| each.strip_prefix(line))
        .expect("a line of memory");
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("kB");
    kilobytes * 1024.0 / 1e6
}

fn child(task: &str) -> Vec<f64> {
    let output = Command::new(std::env::current_exe().expect("this program"))
        // As the program sets it for itself.
        .env("MIMALLOC_PURGE_DELAY", "100")
        .env(TASK, task)
        .stderr(Stdio::inherit())
        .output()
        .expect("run a child");
    assert!(output.status.success(), "{task}: {}", output.status);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let result = text.lines().find_map(|line| line.strip_prefix(RESULT));
    let numbers = result.expect("the child's result").split(' ');
    numbers
        .map(|text| text.parse().expect("a number"))
        .collect()
}

fn run(task: &str) -> Vec<f64> {
    match task.split_once(' ').expect("a task") {
        ("index", facts) => index(facts == "1"),
        ("settle", lake) => {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(settle_date(lake))
        }
        _ => panic!("unknown task {task}"),
    }
}

fn index(with_facts: bool) -> Vec<f64> {
    let mut index = IdentityIndex::new(IdentitySettings::default());
    if !with_facts {
        return vec![memory("VmHWM:")];
    }
    for first in (0..SESSIONS).step_by(usize::try_from(CHUNK).expect("fits")) {
        let sessions = (first..first + CHUNK).map(session).collect();
        index = index.with(sessions, Vec::new());
    }
    index = index.with_databricks(DatabricksFacts {
        task_runs: slices(),
        instance_events: events(),
        watermarks: watermarks(),
        ..DatabricksFacts::default()
    });
    let (peak, held) = (memory("VmHWM:"), memory("VmRSS:"));
    let target = Target {
        aws_account_id: some("111122223333"),
        bucket: some("lake"),
        ..Target::default()
    };
    let ask = |principal: &Principal, at: UtcMicros| {
        let client = Client::default();
        attribute(
            &AccessEvent {
                event_id: "e",
                event_time: at,
                event_name: "GetObject",
                operation: Operation::Read,
                outcome: Outcome::Ok,
                error_code: None,
                error_message: None,
                object_key: Some("t1/part-0.parquet"),
                list_prefix: None,
                version_id: None,
                copy_source: None,
                bytes_in: None,
                bytes_out: None,
                sse: None,
                kms_key_arn: None,
                presigned: false,
                request_id: None,
                shared_event_id: None,
                signed_at: None,
                content_id: None,
                principal,
                client: &client,
                target: &target,
            },
            &index,
        )
    };
    let of_instance = |number: u64| {
        let slice = slice(number);
        let name = instance(number / SLICES_OF_CLUSTER);
        (
            role_session(PROFILE, &name, &format!("ASIAX{number:015}"), slice.start),
            slice.start.plus_seconds(60),
        )
    };
    let of_session = |number: u64| {
        let session = session(number);
        let name = session.role_session_name.unwrap_or_default();
        (
            role_session(ROLE, &name, &key(number), session.issued_at),
            session.issued_at.plus_seconds(60),
        )
    };
    // Spread over all facts, so that no cache holds them.
    let asked = 100_000;
    let in_order = |of: u64| (0..asked).map(move |n| n * (of / asked));
    let anywhere = |of: u64| (0..asked).map(move |n| n * 7_919 % of);
    let is_job = |answer: &Attribution| {
        answer.job_confidence >= Confidence::Strong && answer.cluster_id.is_some()
    };
    let is_session = |answer: &Attribution| !answer.evidence.is_empty();
    let slices = SLICES - SLICES_OF_CLUSTER;
    vec![
        peak,
        held,
        nanos(in_order(slices).map(of_instance), ask, is_job),
        nanos(anywhere(slices).map(of_instance), ask, is_job),
        nanos(in_order(SESSIONS).map(of_session), ask, is_session),
        nanos(anywhere(SESSIONS).map(of_session), ask, is_session),
    ]
}

/// Nanoseconds of one answer; each must be right. Who is asked about is at hand, as in
/// a record that was just read.
fn nanos(
    asked: impl Iterator<Item = (Principal, UtcMicros)>,
    ask: impl Fn(&Principal, UtcMicros) -> Attribution,
    is_right: impl Fn(&Attribution) -> bool,
) -> f64 {
    let (mut nanos, mut count) = (0, 0);
    let mut asked = asked.peekable();
    while asked.peek().is_some() {
        let some: Vec<_> = asked.by_ref().take(100).collect();
        let started = Instant::now();
        for (principal, at) in &some {
            let answer = ask(principal, *at);
            assert!(is_right(&answer), "{principal:?}: {answer:#?}");
        }
        nanos += started.elapsed().as_nanos();
        count += some.len();
    }
    nanos as f64 / count as f64
}

fn role_session(role_arn: &str, name: &str, key: &str, issued_at: UtcMicros) -> Principal {
    let role = role_arn.rsplit('/').next().unwrap_or_default();
    Principal {
        identity_type: some("AssumedRole"),
        principal_id: Some(format!("AROA{role}:{name}")),
        arn: Some(format!(
            "arn:aws:sts::111122223333:assumed-role/{role}/{name}"
        )),
        account_id: some("111122223333"),
        access_key_id: some(key),
        session_issuer_arn: some(role_arn),
        session_name: some(name),
        session_issued_at: Some(issued_at),
        ..Principal::default()
    }
}

// Part 3: settling.

fn settle_beside(folder: &Path) -> Vec<f64> {
    let events = ["--events", "60000", "--days", "1", "--seed", "9"];
    program(folder, &[&["simulate", "small"][..], &events].concat());
    let place = folder.join("large");
    let lake = place.display().to_string();
    program(
        folder,
        &[
            "--lake",
            &lake,
            "scan",
            "--databricks",
            "small/databricks",
            "small/trail",
        ],
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut lake = Lake::open(&lake).await.expect("open the lake");
        for first in (0..SESSIONS).step_by(usize::try_from(CHUNK).expect("fits")) {
            let batch = LakeBatch {
                sts_sessions: (first..first + CHUNK).map(session).collect(),
                ..LakeBatch::default()
            };
            let outcome = lake.commit(batch, now()).await.expect("commit");
            assert!(matches!(outcome, CommitOutcome::Committed { .. }));
        }
        let facts = DatabricksFacts {
            task_runs: slices(),
            instance_events: self::events(),
            ..DatabricksFacts::default()
        };
        import_databricks(&lake, facts, Vec::new(), now())
            .await
            .expect("import");
    });
    child(&format!("settle {lake}"))
}

async fn settle_date(place: &str) -> Vec<f64> {
    let started = Instant::now();
    let mut lake = Lake::open(place).await.expect("open the lake");
    let policy = Policy::starter(&PolicySettings::default()).expect("the starter policy");
    let job = SettleJob {
        as_of: UtcMicros::parse_iso("2100-01-01T00:00:00Z"),
        ..SettleJob::new(Arc::new(policy), IdentitySettings::default(), now)
    };
    let report = settle(&mut lake, job, Arc::new(())).await.expect("settle");
    assert!(report.settled > 10_000 && report.provisional == 0);
    let seconds = started.elapsed().as_secs_f64();
    vec![report.settled as f64, memory("VmHWM:"), seconds]
}

fn now() -> UtcMicros {
    UtcMicros::from_datetime(chrono::Utc::now())
}
