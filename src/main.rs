//! The process: allocator, runtime, logs, exit status.

use clap::Parser as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;

// Many threads make and drop short-lived columns; the system allocator spends
// visibly more time on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Milliseconds after which freed memory goes back to the system. By default it
/// is a second: with the buffers of large objects that made 100 MB of the peak,
/// sometimes more. Much less than this costs CPU, for what is freed is often used
/// again.
const ALLOCATOR_OPTION: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "100");

/// mimalloc reads its options from the environment, before `main`. So the process
/// replaces itself once, in place, with the option set; whoever sets it otherwise
/// keeps it.
#[cfg(unix)]
fn set_allocator_option() {
    use std::os::unix::process::CommandExt as _;
    let (name, value) = ALLOCATOR_OPTION;
    if std::env::var_os(name).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new(program);
    if let Some(called) = arguments.next() {
        command.arg0(called);
    }
    // Comes back only if it failed; then the program goes on as it is.
    let _failure = command.args(arguments).env(name, value).exec();
}

#[cfg(not(unix))]
fn set_allocator_option() {}

/// Logs to stderr: for people, or, of a worker that no terminal shows, as JSON lines.
fn start_logs(is_worker: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("BRICKTRAIL_LOG");
    let filter = filter.unwrap_or_else(|_| {
        // Libraries report their errors to us, too; once is enough.
        tracing_subscriber::EnvFilter::new(match is_worker {
            true => "off,bricktrail=info",
            false => "off,bricktrail=warn",
        })
    });
    let logs = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .with_target(false);
    if is_worker && !std::io::stderr().is_terminal() {
        logs.json().flatten_event(true).init();
    } else {
        logs.init();
    }
}

fn main() -> ExitCode {
    set_allocator_option();
    let arguments = bricktrail::commands::Arguments::parse();
    start_logs(arguments.is_worker());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "start the runtime");
            return ExitCode::from(3);
        }
    };
    let status = runtime.block_on(bricktrail::commands::run(arguments));
    // Blocking threads may still wait for input that nobody wants any more.
    runtime.shutdown_background();
    status
}
