//! The command line: a file a subcommand.

mod capacity;
mod diff;
mod fleet_sim;
mod plan;
mod progress;
mod report;
mod run;
mod scenario;
mod scenarios;
mod summary;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What the exit status says, for scripts.
pub(crate) mod exit {
    /// Done; what had to hold, held.
    pub(crate) const FINE: u8 = 0;
    /// What had to hold did not.
    pub(crate) const BROKEN: u8 = 1;
    /// It could not begin, or its results could not be kept.
    pub(crate) const FAILED: u8 = 2;
    /// The generator was the limit: nothing can be said about the target.
    pub(crate) const GENERATOR: u8 = 3;
    /// The command line or a file it names is wrong: nothing was done.
    pub(crate) const USAGE: u8 = 64;
}

#[derive(Debug, Parser)]
#[command(
    version,
    about = "Places calls with real media on any SIP server, and says what the callers heard",
    arg_required_else_help = true,
    after_help = "EXAMPLES:
  voxload run echo --target sip:echo@192.0.2.10 --calls 200
  voxload capacity echo --target sip:echo@192.0.2.10 --out report/
  voxload scenarios                   what comes with voxload
  voxload scenarios echo > my.toml    a start for a scenario of one's own"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::RunArgs>),
    Capacity(Box<capacity::CapacityArgs>),
    Scenarios(scenarios::ScenariosArgs),
    Report(report::ReportArgs),
    Diff(diff::DiffArgs),
    Plan(Box<plan::PlanArgs>),
    FleetSim(Box<fleet_sim::FleetSimArgs>),
}

/// Runs the command of the command line.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors, and clap knows which stream each belongs on.
            _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::FINE });
        }
    };
    let done = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Capacity(args) => capacity::run(&args),
        Command::Scenarios(args) => scenarios::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::FleetSim(args) => fleet_sim::run(&args),
    };
    done.map_or_else(
        |failure| {
            eprintln!("voxload: {}", failure.problem);
            ExitCode::from(failure.status)
        },
        ExitCode::from,
    )
}

/// Why a command did not do what it should, and what it exits with.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    problem: String,
}

impl Failure {
    /// The command line, or a file it names, is wrong.
    pub(crate) fn usage(problem: impl std::fmt::Display) -> Self {
        Self { status: exit::USAGE, problem: problem.to_string() }
    }

    /// What was asked for could not begin.
    pub(crate) fn could_not_begin(problem: impl std::fmt::Display) -> Self {
        Self { status: exit::FAILED, problem: problem.to_string() }
    }

    /// It is done, and its results could not be kept.
    pub(crate) fn not_kept(problem: impl std::fmt::Display) -> Self {
        Self { status: exit::FAILED, problem: format!("the results are not kept: {problem}") }
    }
}

/// Prints to standard output; whoever reads us may have read enough.
pub(crate) fn print(text: &str) {
    _ = std::io::stdout().write_all(text.as_bytes());
}
