//! `voxcore livekit …`: what an operator asks of a LiveKit server.

use std::future::Future;
use std::process::ExitCode;

use clap::Subcommand;

use super::{check, setup};
use crate::config::{Config, EXIT_CONFIG, LivekitConfig};

/// Tools for the LiveKit server of LIVEKIT_URL.
#[derive(Debug, Subcommand)]
pub enum LivekitCommand {
    /// Make the trunks and the dispatch rule that bring callers to this fleet
    Setup(setup::SetupArgs),
    /// Tell which piece of an inbound set-up is missing or wrong
    Check(check::CheckArgs),
}

impl LivekitCommand {
    /// Runs it to its end; the process's exit status.
    pub fn run(self, config: &Config) -> ExitCode {
        let Some(livekit) = &config.livekit else {
            return misused("LIVEKIT_URL: expected the URL of a LiveKit server, found nothing");
        };
        match self {
            Self::Setup(args) => run_setup(args, livekit),
            Self::Check(args) => wait(check::run(args, config, livekit)),
        }
    }
}

fn run_setup(args: setup::SetupArgs, livekit: &LivekitConfig) -> ExitCode {
    let password = |name: &str| std::env::var(name).ok();
    match setup::Wish::new(args, livekit.agent_name.clone(), password) {
        Ok(wish) => wait(setup::run(wish, livekit)),
        Err(why) => misused(&why),
    }
}

/// Few requests, one after the other: no threads.
fn wait(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => misused(&format!("no runtime: {error}")),
    }
}

fn misused(why: &str) -> ExitCode {
    eprintln!("voxcore: {why}");
    ExitCode::from(EXIT_CONFIG)
}
