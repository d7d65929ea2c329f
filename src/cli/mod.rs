//! The edge: arguments in, text and exit codes out. The only module that prints, reads the environment or user files.

mod advice;
mod args;
mod audit;
mod capacity;
mod capture;
mod config;
mod connection;
mod demo;
mod doctor;
mod failure;
mod guard;
mod migrate;
mod output;
mod paired;
mod profile;
mod progress;
mod replay;
mod report;
mod runs;
mod scripts;
mod snapshot;
mod staging;
mod statements;
mod traffic;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::{Exit, Failure};

/// Runs the command line and returns its exit code.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(Err(Failure::failed(format!("start the runtime: {error}")))),
    };
    let result = runtime.block_on(dispatch(cli));
    // A blocking task may still wait for a server that is gone; its answer is no longer wanted.
    runtime.shutdown_background();
    report(result)
}

async fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        Command::Audit(args) => audit::run(args).await,
        Command::Snapshot(args) => snapshot::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Replay(args) => replay::run(args, &cli.config).await,
        Command::Capacity(args) => capacity::run(args, &cli.config).await,
        Command::Capture(args) if args.logs.is_empty() => statements::capture(args).await,
        Command::Capture(args) => capture::run(args),
        Command::Profile(args) => profile::run(args).await,
        Command::Report(args) => report::report(args),
        Command::Compare(args) => report::compare(args),
        Command::Staging(args) => staging::run(args, &cli.config).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
    }
}

fn report(result: Result<Exit, Failure>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::notice(&format!("error: could not {}", failure.message));
            failure.exit.into()
        }
    }
}
