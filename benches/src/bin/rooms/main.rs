//! Calls in the rooms of a real LiveKit server: what Vox's worker costs beside a Python worker on
//! `livekit-agents`, on the same server in the same run, and how soon both are heard.
//!
//! ```text
//! rooms compare                                  the tables for 1, 4 and 8 calls
//! rooms compare --calls 8 --rounds 2 --seconds 20
//! rooms alone --calls 8,16,24                    Vox only, as far as the machine carries the phones
//! rooms churn --rooms 50 --minutes 5             rooms that fill and empty: what is left afterwards
//! ```
//!
//! Both workers echo. The phones are LiveKit's own SDK (`tests/livekit/phones.py`): they chirp twice
//! a second and find the chirps in what comes back. `./dev test` installs server, SDK and agents.
//! Without a network besides loopback, which the SDK wants, the bench makes itself one (`unshare`).

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use vox_tests::livekit::in_own_network;

mod alone;
mod churn;
mod compare;
mod measure;
mod side;

#[derive(Debug, Parser)]
#[command(about = "What calls in LiveKit rooms cost, beside a Python worker")]
struct Options {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Vox and the Python worker, in turn.
    Compare(compare::Comparison),
    /// Vox only.
    Alone(alone::Alone),
    /// Rooms that fill and empty all the time.
    Churn(churn::Churned),
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if let Some(status) = in_own_network(std::env::args_os().skip(1)) {
        return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    match options.mode {
        Mode::Compare(options) => compare::run(&options)?,
        Mode::Alone(options) => alone::run(&options)?,
        Mode::Churn(options) => churn::run(&options)?,
    }
    Ok(ExitCode::SUCCESS)
}
