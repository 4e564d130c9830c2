//! CPU per call of the whole engine beside the floor: a bare io_uring UDP echo that works in the
//! same 2 ms batches. Same packets, same pinning, same run, alternating.
//!
//! ```text
//! floor                                    the table, for 100 and 200 calls
//! floor --calls 100 --rounds 3 --seconds 5
//! floor syscalls                           system calls for each packet, by strace
//! ```
//!
//! Each measurement is two child processes: a server on one core (`echo-server` is the floor,
//! `engine-server` the engine with one G.711 echo call for each caller) and a generator on the
//! other one, which sends 172-byte packets every 20 ms for each call and counts what comes back.
//! CPU is the scheduler's count of all threads of the server, kernel time included.

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use vox_benches::echo;

mod compare;
mod engine;
mod generator;
mod syscalls;

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
    /// The floor: sends back what it receives, every 2 ms.
    EchoServer(Peers),
    /// The engine, with an echo call for each caller.
    EngineServer(Peers),
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
        Some(Mode::EchoServer(peers)) => echo::run(&peers.peers),
        Some(Mode::EngineServer(peers)) => engine::run(&peers),
        Some(Mode::Generator(options)) => generator::run(&options),
    }
}
