//! One binary for one machine: `vox up` runs a worker on embedded defaults, `vox call` is a caller.

mod call;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A voice platform for AI phone calls.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::UpArgs),
    // Boxed: it is several times as large as the other.
    Call(Box<call::CallArgs>),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Up(args) => up::run(args),
        Command::Call(args) => call(*args).map_or_else(
            |error| {
                // For people: why, and what lay below it, in one line and without a stack.
                eprintln!("vox: {error:#}");
                ExitCode::FAILURE
            },
            |()| ExitCode::SUCCESS,
        ),
    }
}

fn call(args: call::CallArgs) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(call::run(args))
}
