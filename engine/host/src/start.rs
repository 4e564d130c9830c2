//! What must hold before the engine can start, and words for what does not.

use std::io;
use std::net::UdpSocket;

use vox_ring::sys::{self, Limit};
use vox_ring::{RingError, probe};

use crate::engine::EngineConfig;
use crate::ports;
use crate::shard::{MAX_CALLS, ShardError};

/// Why the engine did not start; names the likely cause.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// io_uring cannot be used.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// Too few descriptors for the calls.
    #[error("{0}")]
    OpenFiles(String),
    /// The port range and the calls do not fit together.
    #[error("{0}")]
    Ports(String),
    /// A shard's core is not there.
    #[error("{0}")]
    Cores(String),
    /// `calls_per_shard` is out of range.
    #[error("calls_per_shard must be in 1..={MAX_CALLS}, not {0}")]
    Calls(usize),
    /// Media sockets cannot be bound to the address.
    #[error("media sockets cannot be bound to {0}: {1}")]
    Bind(std::net::IpAddr, io::Error),
    /// The system refuses threads or eventfds.
    #[error("a thread of the engine cannot start: {0}")]
    Thread(io::Error),
}

/// Checks everything that can be checked without binding a media port, and raises the limit of
/// open files to what the calls need.
pub(crate) fn check(config: &EngineConfig) -> Result<(), StartError> {
    if !(1..=MAX_CALLS).contains(&config.calls_per_shard) {
        return Err(StartError::Calls(config.calls_per_shard));
    }
    let allowed = sys::allowed_cores().map_err(StartError::Thread)?;
    check_cores(&config.cores, &allowed)?;
    check_ports(config)?;
    let have = sys::open_files_limit().map_err(StartError::Thread)?;
    if let Some(raised) = open_files_needed(config.calls(), have)? {
        sys::set_open_files_limit(raised).map_err(StartError::Thread)?;
    }
    UdpSocket::bind((config.bind, 0)).map_err(|error| StartError::Bind(config.bind, error))?;
    Ok(probe()?)
}

/// Words for a shard that did not come up.
pub(crate) fn explain_shard(error: ShardError) -> StartError {
    match error {
        ShardError::Pin(core, error) => {
            StartError::Cores(format!("a shard cannot be pinned to core {core}: {error}"))
        }
        ShardError::Ring(error) => error.into(),
    }
}

fn check_cores(cores: &[usize], allowed: &[usize]) -> Result<(), StartError> {
    for (i, core) in cores.iter().enumerate() {
        if !allowed.contains(core) {
            return Err(StartError::Cores(format!(
                "core {core} is not available for pinning: this process may run on {allowed:?} \
                 (see taskset, AllowedCPUs= or the container's cpuset)"
            )));
        }
        if cores[..i].contains(core) {
            return Err(StartError::Cores(format!("core {core} is listed twice")));
        }
    }
    Ok(())
}

fn check_ports(config: &EngineConfig) -> Result<(), StartError> {
    let pairs = ports::pairs(&config.ports).count();
    if pairs < config.calls() {
        let (first, last) = (config.ports.start(), config.ports.end());
        return Err(StartError::Ports(format!(
            "{} calls need {} RTP port pairs, but {first}-{last} has {pairs} \
             (an even port and the odd one above it each)",
            config.calls(),
            config.calls(),
        )));
    }
    Ok(())
}

/// The limit to set, when the present one is too low.
fn open_files_needed(calls: usize, have: Limit) -> Result<Option<Limit>, StartError> {
    let needed = calls as u64 * 2 + OTHER_FILES;
    if have.soft >= needed {
        Ok(None)
    } else if have.hard >= needed {
        Ok(Some(Limit { soft: needed, ..have }))
    } else {
        Err(StartError::OpenFiles(format!(
            "{calls} calls need {needed} open files (two sockets each, and {OTHER_FILES} for the \
             rest), but the hard limit RLIMIT_NOFILE is {} (see ulimit -Hn or LimitNOFILE=)",
            have.hard
        )))
    }
}

/// Descriptors besides media sockets: rings, eventfds, recordings, signalling, logs.
const OTHER_FILES: u64 = 256;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_limit_of_open_files_is_raised_when_that_suffices() {
        let limit = |soft, hard| Limit { soft, hard };
        for (calls, have, expected) in [
            (10, limit(276, 300), Some(None)),
            (11, limit(276, 300), Some(Some(limit(278, 300)))),
            (22, limit(276, 300), Some(Some(limit(300, 300)))),
            (23, limit(276, 300), None),
        ] {
            assert_eq!(open_files_needed(calls, have).ok(), expected, "{calls} calls, {have:?}");
        }
        let said = open_files_needed(23, limit(276, 300)).unwrap_err().to_string();
        assert!(said.contains("23 calls need 302 open files") && said.contains("is 300"), "{said}");
    }

    #[test]
    fn cores_must_be_there_and_once() {
        for (cores, expected) in [
            (vec![], None),
            (vec![0, 2], None),
            (vec![1], Some("core 1 is not available for pinning: this process may run on [0, 2]")),
            (vec![2, 2], Some("core 2 is listed twice")),
        ] {
            let said = check_cores(&cores, &[0, 2]).err().map(|error| error.to_string());
            match (&said, expected) {
                (None, None) => {}
                (Some(said), Some(expected)) if said.starts_with(expected) => {}
                _ => panic!("{cores:?}: {said:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn a_configuration_that_cannot_work_is_refused_in_one_line() {
        let good = EngineConfig {
            bind: Ipv4Addr::LOCALHOST.into(),
            ports: 10_000..=10_019,
            cores: vec![],
            calls_per_shard: 10,
            port_quarantine: Duration::ZERO,
        };
        let foreign = Ipv4Addr::new(192, 0, 2, 1).into();
        for (config, expected) in [
            (EngineConfig { ports: 10_001..=10_020, ..good.clone() }, "10001-10020 has 9"),
            (EngineConfig { calls_per_shard: 0, ..good.clone() }, "in 1..=2048, not 0"),
            (EngineConfig { calls_per_shard: 4_000, ..good.clone() }, "in 1..=2048, not 4000"),
            (EngineConfig { cores: vec![9_999], ..good.clone() }, "core 9999 is not available"),
            (EngineConfig { bind: foreign, ..good.clone() }, "cannot be bound to 192.0.2.1"),
        ] {
            let said = check(&config).unwrap_err().to_string();
            assert!(said.contains(expected) && !said.contains('\n'), "{said:?}");
        }
    }
}
