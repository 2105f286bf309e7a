//! The process: allocator, runtime, logs, exit status.

use clap::Parser as _;
use std::process::ExitCode;

// Many threads make and drop short-lived columns; the system allocator spends
// visibly more time on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = bricktrail::commands::Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("BRICKTRAIL_LOG").unwrap_or_else(|_| {
                // Libraries report their errors to us, too; once is enough.
                tracing_subscriber::EnvFilter::new("off,bricktrail=warn")
            }),
        )
        .with_target(false)
        .init();
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
