//! CPU per call of a worker whose bots' brains speak over WebSockets, beside the same worker with
//! `echo` bots and beside the floor: a bare bridge that only copies frames between UDP and a
//! WebSocket in 2 ms batches. And what the way through the brain adds to the round trip.
//!
//! ```text
//! brains --worker target/release/vox                   the table, for 200 calls
//! brains --worker target/release/vox --calls 100,200 --rounds 3 --seconds 8
//! ```
//!
//! Each measurement is three processes: the worker (or the bridge) on one core, the callers and the
//! brains, which send back what they hear, on the other. CPU is the scheduler's count of all threads
//! of the worker's process, kernel time included. Voice activity detection is on.

use anyhow::Result;
use clap::{Parser, Subcommand};
use vox_benches::callers;

mod brain;
mod bridge;
mod compare;

#[derive(Debug, Parser)]
#[command(about = "CPU and latency of calls whose brains speak over WebSockets")]
struct Options {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    compare: compare::Comparison,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// The floor: copies frames between UDP and WebSockets, every 2 ms.
    Bridge(bridge::Bridged),
    /// The brains: a WebSocket server that sends back what it hears.
    Brain,
    /// The callers.
    Callers(callers::Callers),
}

fn main() -> Result<()> {
    let options = Options::parse();
    match options.mode {
        None => compare::run(&options.compare),
        Some(Mode::Bridge(options)) => bridge::run(&options),
        Some(Mode::Brain) => brain::run(),
        Some(Mode::Callers(options)) => callers::run(&options),
    }
}
