//! The same calls on our worker, on Asterisk 22 and on a bare UDP echo: CPU, memory and round trip of
//! each beside the others.
//!
//! ```text
//! side_by_side                                      200 calls, three rounds
//! side_by_side --calls 100,200 --rounds 5 --seconds 10
//! side_by_side --sipp                               and once more with SIPp as the callers
//! ```
//!
//! Each measurement is two processes: a server, all of its threads on one core, and the callers on
//! the other, who send 20 ms of PCMU for each call, evenly spread, and hear it come back. CPU is the
//! scheduler's count of all threads of the server, kernel time included. What is compared goes in
//! turns, each first in turn.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use vox_benches::{callers, echo};

mod measure;
mod server;
mod sipp;
mod table;

use server::Side;

#[derive(Debug, Parser)]
#[command(about = "The same calls on Vox, on Asterisk and on a bare UDP echo")]
struct Options {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    compare: Comparison,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// The floor: sends back what it receives, every 2 ms.
    EchoServer {
        /// The callers' ports on loopback.
        #[arg(long, value_delimiter = ',')]
        peers: Vec<u16>,
    },
    /// The callers.
    Callers(callers::Callers),
}

#[derive(Debug, Args)]
struct Comparison {
    /// Calls at once, one table each.
    #[arg(long, value_delimiter = ',', default_value = "200")]
    calls: Vec<usize>,
    /// How often each side is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of one measurement, after the calls have settled.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Only these sides.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Side>,
    /// Measures those that take SIP once more, with SIPp as the callers.
    #[arg(long)]
    sipp: bool,
    /// The program that runs our worker [default: vox beside this program]
    #[arg(long)]
    worker: Option<PathBuf>,
    /// The servers' core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The callers' core.
    #[arg(long, default_value_t = 1)]
    caller_core: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    match options.mode {
        None => compare(&options.compare),
        Some(Mode::EchoServer { peers }) => echo::run(&peers),
        Some(Mode::Callers(options)) => callers::run(&options),
    }
}

fn compare(options: &Comparison) -> Result<()> {
    let worker = options.worker();
    ensure!(
        worker.is_file(),
        "{} is not there: `./dev build` makes it, or name the worker's program with --worker",
        worker.display()
    );
    let sides = table::present(options)?;
    for &calls in &options.calls {
        let mut measured: Vec<_> = sides.iter().map(|side| (*side, vec![])).collect();
        for round in 0..options.rounds {
            // A machine that drifts hits all sides alike: each goes first in turn.
            for at in 0..sides.len() {
                let (side, of_side) = &mut measured[(at + round) % sides.len()];
                let one = measure::measure(options, calls, *side)?;
                eprintln!("{calls} calls, round {round}: {side:?} {one}");
                of_side.push(one);
            }
        }
        table::print(options, calls, &measured);
        if options.sipp {
            sipp::check(options, calls, &measured)?;
        }
    }
    Ok(())
}

impl Comparison {
    fn worker(&self) -> PathBuf {
        let beside = || std::env::current_exe().unwrap_or_default().with_file_name("vox");
        self.worker.clone().unwrap_or_else(beside)
    }
}
