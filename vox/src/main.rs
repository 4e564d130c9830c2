//! One binary for one machine: `vox up` runs a worker on embedded defaults, `vox call` is a caller.

mod call;

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
    Call(call::CallArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Call(args) => call::run(args).await,
    }
}
