//! A fleet worker's control plane: SIP, HTTP, bots, results, uploads.
//!
//! Start reading at [`run`](mod@run): how a worker is built, run and drained. Then:
//!
//! - [`config`]: what a worker is started with.
//! - [`sip`]: SIP over UDP and TCP.
//! - [`calls`]: admission, live calls, what becomes of an ended one.
//! - [`bots`]: who answers, from the Backend or a `bots.toml`.
//! - [`agents`]: brains on the other end of calls, over WebSockets.
//! - [`delivery`]: results and recordings on their way out, never lost.
//! - [`telephony`]: calls that come as WebSockets.
//! - [`http`], [`metrics`]: what others can ask.
//!
//! What this crate does not do: media (the engine's), durable records (the Backend's).

pub mod agents;
pub mod bots;
pub mod calls;
pub mod config;
pub mod delivery;
pub mod http;
pub mod livekit;
pub mod metrics;
pub mod run;
pub mod sip;
pub mod telephony;

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use vox_engine::StartError;

use config::{Config, ConfigError, EXIT_CONFIG, KNOBS};
use run::Worker;

/// The values of our knobs in the process environment.
pub fn environment() -> Result<HashMap<String, String>, ConfigError> {
    values_of_knobs(|name| std::env::var_os(name))
}

fn values_of_knobs(
    get: impl Fn(&str) -> Option<OsString>,
) -> Result<HashMap<String, String>, ConfigError> {
    let set = KNOBS.iter().filter_map(|knob| Some((knob.env, get(knob.env)?)));
    set.map(|(name, value)| match value.into_string() {
        Ok(text) => Ok((name.to_owned(), text)),
        Err(_) => Err(ConfigError(format!("{name}: expected text in UTF-8, found other bytes"))),
    })
    .collect()
}

/// Variables that look like knobs of ours: most likely misspelt. A later version's are no reason
/// not to start.
fn unknown_knobs(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let names = names.filter_map(|name| name.into_string().ok());
    let ours = names.filter(|name| name.starts_with("VOXCORE_"));
    let mut unknown: Vec<_> = ours.filter(|name| KNOBS.iter().all(|k| k.env != name)).collect();
    unknown.sort();
    unknown
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
    for name in unknown_knobs(std::env::vars_os().map(|(name, _)| name)) {
        tracing::warn!("{name} is no knob and does nothing; `--help` lists them");
    }
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
            let (knob, status) = blame(&error);
            eprintln!("vox: {knob}{error:#}");
            ExitCode::from(status)
        }
    }
}

/// The knob to name before the error, when it does not itself, and the exit status.
fn blame(error: &anyhow::Error) -> (&'static str, u8) {
    match error.downcast_ref::<StartError>() {
        Some(StartError::Cores(_)) => ("VOXCORE_MEDIA_CORES: ", EXIT_CONFIG),
        Some(StartError::Ports(_)) => ("VOXCORE_MEDIA_PORTS: ", EXIT_CONFIG),
        Some(StartError::Calls(_)) => ("MAX_CONCURRENT_CALLS: ", EXIT_CONFIG),
        _ if error.is::<ConfigError>() => ("", EXIT_CONFIG),
        _ => ("", 1),
    }
}

/// Signalling and uploads are light; the media have threads of their own.
const CONTROL_THREADS: usize = 2;

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_value_of_ours_that_is_no_text_is_named() {
        let get = |name: &str| match name {
            "VOXCORE_SIP_PORT" => Some(OsString::from("5060")),
            "VOXCORE_BOTS" => Some(OsString::from_vec(vec![b'a', 0xff])),
            _ => None,
        };
        let error = values_of_knobs(get).unwrap_err();
        assert_eq!(error.0, "VOXCORE_BOTS: expected text in UTF-8, found other bytes");
        let values = values_of_knobs(|name| get(name).filter(|value| value == "5060")).unwrap();
        assert_eq!(values, HashMap::from([("VOXCORE_SIP_PORT".into(), "5060".into())]));
    }

    #[test]
    fn a_misspelt_knob_is_found_and_other_peoples_variables_are_not() {
        let names = ["VOXCORE_SIP_PORT", "VOXCORE_SIP_PROT", "PATH", "MINIO_BUCKET", "VOXCORE_A"];
        let unknown = unknown_knobs(names.into_iter().map(OsString::from));
        assert_eq!(unknown, ["VOXCORE_A", "VOXCORE_SIP_PROT"]);
    }
}
