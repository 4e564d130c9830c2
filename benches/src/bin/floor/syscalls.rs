//! System calls of the engine's process for each packet, counted by strace. Nearly all are the
//! shard's: its other threads sleep.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::compare::Running;
use crate::side::Side;

#[derive(Debug, Args)]
pub(crate) struct Count {
    /// Calls at once.
    #[arg(long, default_value_t = 100)]
    calls: usize,
    /// How long strace looks.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The server's core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The callers' core.
    #[arg(long, default_value_t = 1)]
    caller_core: usize,
}

pub(crate) fn run(options: &Count) -> Result<()> {
    let cores = [options.server_core, options.caller_core];
    let running = Running::start(Side::Echo, options.calls, cores)?;
    let process = running.server.id().to_string();
    let traced = Command::new("timeout")
        .args(["--signal=INT", &options.seconds.to_string(), "strace", "-c", "-f", "-p", &process])
        .output()
        .context("strace (package strace) cannot be run")?;
    running.finish()?;
    let report = String::from_utf8_lossy(&traced.stderr);
    println!("{report}");
    let total = report.lines().find(|line| line.trim_end().ends_with("total"));
    let calls: u64 = total
        .and_then(|line| line.split_whitespace().nth(3))
        .context("strace printed no total")?
        .parse()?;
    // Each call receives one packet and sends one, every 20 ms.
    let packets = options.calls as u64 * 2 * 50 * options.seconds;
    let each = calls as f64 / packets as f64;
    println!("{calls} system calls for {packets} packets: {each:.3} for each");
    ensure!(each < 0.2, "the aim is fewer than 0.2");
    Ok(())
}
