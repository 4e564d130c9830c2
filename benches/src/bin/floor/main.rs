//! CPU per call of the engine beside what it cannot do without: a bare io_uring UDP echo that works
//! in the same 2 ms batches, and libopus. Same packets, same pinning, same run, in turns.
//!
//! ```text
//! floor                                    G.711 at 200 and 800 calls: plain, with VAD, recorded
//! floor --sides libopus,opus --calls 100   Opus
//! floor --calls 100 --rounds 3 --seconds 5
//! floor syscalls                           system calls for each packet, by strace
//! ```
//!
//! Each measurement is two child processes: a server on one core and a generator on the other one,
//! which sends a packet every 20 ms for each call and counts what comes back. CPU is the scheduler's
//! count of all threads of the server, kernel time included.

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use vox_benches::echo;

mod compare;
mod engine;
mod generator;
mod libopus;
mod side;
mod syscalls;
mod voice;

use side::Side;

#[derive(Debug, Parser)]
#[command(about = "CPU per call of the engine beside a bare io_uring UDP echo")]
struct Options {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    compare: compare::Comparison,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Counts the engine's system calls for each packet.
    Syscalls(syscalls::Count),
    /// A server.
    Server {
        /// Which.
        side: Side,
        /// Whom it serves.
        #[command(flatten)]
        peers: Peers,
    },
    /// The callers.
    Generator(generator::Callers),
}

/// Whom a server serves.
#[derive(Debug, Args)]
struct Peers {
    /// The core to run on.
    #[arg(long)]
    core: usize,
    /// The callers' ports on loopback.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<u16>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    match options.mode {
        None => compare::run(&options.compare),
        Some(Mode::Syscalls(options)) => syscalls::run(&options),
        Some(Mode::Server { side: Side::Floor, peers }) => echo::run(&peers.peers),
        Some(Mode::Server { side: Side::Libopus, peers }) => libopus::run(&peers),
        Some(Mode::Server { side, peers }) => engine::run(side, &peers),
        Some(Mode::Generator(options)) => generator::run(&options),
    }
}
