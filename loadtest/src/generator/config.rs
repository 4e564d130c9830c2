use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use vox_ring::RingError;
use vox_ring::sys::{self, Limit};

use super::speech::Speech;
use crate::network::Profile;

/// How the generator is started.
#[derive(Debug, Clone)]
pub struct GeneratorConfig {
    /// Cores to pin threads to, one thread each; an empty list is one thread that is not pinned.
    pub cores: Vec<usize>,
    /// Legs it can hold, all threads together.
    pub legs_max: usize,
    /// Address that sockets are bound to, one port of the kernel's choice for each leg.
    pub bind: IpAddr,
}

impl GeneratorConfig {
    /// Threads this makes.
    pub fn threads(&self) -> usize {
        self.cores.len().max(1)
    }

    /// Legs of one thread.
    pub(super) fn legs_of_thread(&self) -> usize {
        self.legs_max.div_ceil(self.threads())
    }
}

/// What a leg says, and through what.
#[derive(Debug, Clone)]
pub struct LegSpec {
    /// What is said. A leg whose speech has markers looks for them in what it hears.
    pub speech: Arc<Speech>,
    /// Begin again when everything was said; else silence follows.
    pub repeat: bool,
    /// Send silence instead: a caller who says nothing. There are no markers then.
    pub silent: bool,
    /// Give back what is heard instead, as a callee of a dial-out: on the leg's own 20 ms grid, so a
    /// little later; silence while nothing comes.
    pub echoes: bool,
    /// What lies between our mouth and the wire. Its seed is mixed with `seed`, so that legs do not
    /// all lose the same packets.
    pub network: Profile,
    /// Seed of SSRC, sequence number, timestamp and network.
    pub seed: u32,
}

impl LegSpec {
    /// Says `speech` again and again, over a perfect network.
    pub fn talking(speech: Arc<Speech>, seed: u32) -> Self {
        let network = Profile::default();
        Self { speech, repeat: true, silent: false, echoes: false, network, seed }
    }

    /// The network with its own seed mixed in.
    pub(super) fn own_network(&self) -> Profile {
        let mixed = u64::from(self.seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Profile { seed: self.network.seed ^ mixed, ..self.network }
    }
}

/// Why the generator did not start; names the likely cause.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// io_uring cannot be used.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// Too few descriptors for the legs.
    #[error(
        "{legs} legs need {needed} open files, but the hard limit RLIMIT_NOFILE is {hard} \
         (see ulimit -Hn or LimitNOFILE=)"
    )]
    OpenFiles {
        /// Asked for.
        legs: usize,
        /// What they need.
        needed: u64,
        /// What is allowed.
        hard: u64,
    },
    /// A core is not there, or listed twice.
    #[error(
        "core {core} is not available: this process may run on {allowed:?}, each once (see taskset, \
         AllowedCPUs= or the container's cpuset)"
    )]
    Core {
        /// Asked for.
        core: usize,
        /// What is there.
        allowed: Vec<usize>,
    },
    /// The number of legs is out of range.
    #[error(
        "a generator thread holds 1..={LEGS_MAX} legs, not {0}: take more threads, or fewer legs"
    )]
    Legs(usize),
    /// Sockets cannot be bound to the address.
    #[error("media sockets cannot be bound to {0}: {1}")]
    Bind(IpAddr, io::Error),
    /// The system refuses threads or eventfds.
    #[error("a thread of the generator cannot start: {0}")]
    Thread(io::Error),
}

/// Why a leg was not opened.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// [`GeneratorConfig::legs_max`] legs are open.
    #[error("all {0} legs are taken")]
    AtCapacity(usize),
    /// No socket was to be had.
    #[error("no socket for a leg: {0}")]
    Socket(#[from] io::Error),
    /// The network keeps packets for longer than the generator does.
    #[error("a network that delays packets by up to {0:?}: {DELAY_MAX:?} is the most")]
    Delay(std::time::Duration),
    /// The thread has died, by a bug.
    #[error("a generator thread has died")]
    Died,
}

/// Checks what can be checked without starting a thread, and raises the limit of open files to what
/// the legs need.
pub(super) fn check(config: &GeneratorConfig) -> Result<(), StartError> {
    let legs = config.legs_of_thread();
    if !(1..=LEGS_MAX).contains(&legs) {
        return Err(StartError::Legs(legs));
    }
    let allowed = sys::allowed_cores().map_err(StartError::Thread)?;
    for (n, &core) in config.cores.iter().enumerate() {
        if !allowed.contains(&core) || config.cores[..n].contains(&core) {
            return Err(StartError::Core { core, allowed });
        }
    }
    std::net::UdpSocket::bind((config.bind, 0))
        .map_err(|error| StartError::Bind(config.bind, error))?;
    let have = sys::open_files_limit().map_err(StartError::Thread)?;
    let needed = config.legs_max as u64 + OTHER_FILES;
    if needed > have.hard {
        let (legs, hard) = (config.legs_max, have.hard);
        return Err(StartError::OpenFiles { legs, needed, hard });
    }
    if needed > have.soft {
        sys::set_open_files_limit(Limit { soft: needed, ..have }).map_err(StartError::Thread)?;
    }
    Ok(vox_ring::probe()?)
}

/// Legs of one thread, at most: more than a core can serve.
pub(super) const LEGS_MAX: usize = 8_000;
/// What the wheel reaches, less a turn of it.
pub(super) const DELAY_MAX: std::time::Duration = std::time::Duration::from_secs(4);
/// Descriptors besides media sockets: rings, eventfds, signalling, files.
const OTHER_FILES: u64 = 1_024;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_configuration_that_cannot_work_is_refused_in_one_line() {
        let good =
            GeneratorConfig { cores: vec![], legs_max: 10, bind: Ipv4Addr::LOCALHOST.into() };
        let foreign = Ipv4Addr::new(192, 0, 2, 1).into();
        for (config, expected) in [
            (GeneratorConfig { legs_max: 0, ..good.clone() }, "1..=8000 legs, not 0"),
            (GeneratorConfig { legs_max: 8_001, ..good.clone() }, "1..=8000 legs, not 8001"),
            (GeneratorConfig { cores: vec![9_999], ..good.clone() }, "core 9999 is not available"),
            (GeneratorConfig { cores: vec![0, 0], ..good.clone() }, "core 0 is not available"),
            (GeneratorConfig { bind: foreign, ..good.clone() }, "cannot be bound to 192.0.2.1"),
        ] {
            let said = check(&config).unwrap_err().to_string();
            assert!(said.contains(expected) && !said.contains('\n'), "{said:?}");
        }
    }
}
