//! A fleet worker's control plane: SIP, HTTP, bots, results, uploads.
//!
//! Start reading at [`run`](mod@run): how a worker is built, run and drained. Then:
//!
//! - [`config`]: what a worker is started with.
//! - [`sip`]: SIP over UDP and TCP.
//! - [`calls`]: admission, live calls, what becomes of an ended one.
//! - [`bots`]: who answers, from the Backend or a `bots.toml`.
//! - [`delivery`]: results and recordings on their way out, never lost.
//! - [`http`], [`metrics`]: what others can ask.
//!
//! What this crate does not do: media (the engine's), durable records (the Backend's).

pub mod bots;
pub mod calls;
pub mod config;
pub mod delivery;
pub mod http;
pub mod metrics;
pub mod run;
pub mod sip;

use std::collections::HashMap;
use std::io::IsTerminal;
use std::process::ExitCode;

use config::{Config, ConfigError, EXIT_CONFIG};
use run::Worker;

/// The process environment, as far as it is text.
pub fn environment() -> HashMap<String, String> {
    let pairs = std::env::vars_os();
    pairs
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Runs a worker to its end and gives the process's exit status: 64 when the configuration (or a
/// file it names) is wrong, 1 when the worker could not start.
pub fn start(config: Config, started: impl FnOnce(&Worker)) -> ExitCode {
    // The SIP stack tells whole messages at "info": only on demand, and never a caller's by default.
    let filter =
        tracing_subscriber::EnvFilter::new(format!("rsipstack=error,{}", config.worker.log));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("vox-control")
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run::run(config, started)),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vox: {error:#}");
            ExitCode::from(if error.is::<ConfigError>() { EXIT_CONFIG } else { 1 })
        }
    }
}

/// Signalling and uploads are light; the media have threads of their own.
const CONTROL_THREADS: usize = 2;
