use std::{error, fmt, fs, io};

use crate::sys;

/// Why a ring could not be made: what was tried, and what the kernel said. Displays as one line with
/// the likely cause, for which it asks the system.
#[derive(Debug)]
pub struct RingError {
    /// What was tried.
    pub step: Step,
    /// What the kernel said.
    pub error: io::Error,
}

/// Steps of making a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The ring itself.
    Setup,
    /// The table of registered sockets.
    FileTable,
    /// Mapping the packet memory.
    PacketMemory,
    /// Registering the receive buffers.
    BufferRing,
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&explain(self, &Facts::gather()))
    }
}

impl error::Error for RingError {}

/// What the system says about io_uring.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    /// As `uname -r` prints it.
    release: String,
    /// `kernel.io_uring_disabled`, where the kernel has it.
    disabled: Option<u8>,
    /// A seccomp filter is on this process.
    filtered: bool,
    /// RLIMIT_MEMLOCK, soft.
    memlock: Option<u64>,
}

impl Facts {
    fn gather() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            release: read("/proc/sys/kernel/osrelease").trim().into(),
            disabled: read("/proc/sys/kernel/io_uring_disabled").trim().parse().ok(),
            filtered: read("/proc/self/status").lines().any(|line| line == "Seccomp:\t2"),
            memlock: sys::locked_memory_limit().ok().map(|limit| limit.soft),
        }
    }
}

/// The likely cause, in one line.
fn explain(failure: &RingError, facts: &Facts) -> String {
    let release = &facts.release;
    let cause = match failure.error.raw_os_error() {
        Some(libc::EPERM) => match (facts.disabled, facts.filtered) {
            (Some(2), _) => "io_uring is disabled by sysctl kernel.io_uring_disabled=2; \
                             0 allows it"
                .into(),
            (Some(1), _) => "sysctl kernel.io_uring_disabled=1 allows io_uring only to the group \
                             in kernel.io_uring_group and to CAP_SYS_ADMIN; 0 allows it to all"
                .into(),
            (_, true) => "a seccomp filter forbids io_uring (container runtimes do by default; \
                          allow io_uring_setup, io_uring_enter and io_uring_register)"
                .into(),
            _ => "a security policy (SELinux, AppArmor) forbids io_uring".into(),
        },
        Some(libc::ENOSYS) if facts.filtered => {
            "a seccomp filter hides io_uring (container runtimes do by default; allow \
             io_uring_setup, io_uring_enter and io_uring_register)"
                .into()
        }
        Some(libc::ENOSYS) => format!("kernel {release} is built without io_uring"),
        Some(libc::EINVAL) => format!(
            "kernel {release} is too old: multishot receive, buffer rings and deferred task work \
             need 6.1"
        ),
        Some(libc::ENOMEM) => match facts.memlock {
            Some(limit) => format!(
                "not enough memory may be locked: RLIMIT_MEMLOCK is {} kB (see ulimit -l or \
                 LimitMEMLOCK=), or memory has run out",
                limit / 1024
            ),
            None => "memory has run out".into(),
        },
        Some(libc::EMFILE | libc::ENFILE) => {
            "no descriptor is left (RLIMIT_NOFILE; see ulimit -n or LimitNOFILE=)".into()
        }
        _ => "for a reason that this program does not know".into(),
    };
    let what = match failure.step {
        Step::Setup => "io_uring cannot be set up",
        Step::FileTable => "sockets cannot be registered with io_uring",
        Step::PacketMemory => "packet memory cannot be mapped",
        Step::BufferRing => "receive buffers cannot be registered with io_uring",
    };
    format!("{what}: {cause} ({})", failure.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_that_fails_names_the_likely_cause() {
        let facts = |disabled, filtered, memlock| Facts {
            release: "5.15.0-91".into(),
            disabled,
            filtered,
            memlock,
        };
        let open = facts(Some(0), false, Some(8 << 20));
        for (step, errno, facts, expected) in [
            (Step::Setup, libc::EPERM, facts(Some(2), false, None), "kernel.io_uring_disabled=2"),
            (Step::Setup, libc::EPERM, facts(Some(1), false, None), "kernel.io_uring_group"),
            (Step::Setup, libc::EPERM, facts(Some(2), true, None), "kernel.io_uring_disabled=2"),
            (Step::Setup, libc::EPERM, facts(Some(0), true, None), "seccomp"),
            (Step::Setup, libc::EPERM, open.clone(), "security policy"),
            (Step::Setup, libc::ENOSYS, open.clone(), "built without io_uring"),
            (Step::Setup, libc::ENOSYS, facts(None, true, None), "seccomp"),
            (Step::Setup, libc::EINVAL, open.clone(), "kernel 5.15.0-91 is too old"),
            (Step::BufferRing, libc::EINVAL, open.clone(), "need 6.1"),
            (Step::BufferRing, libc::ENOMEM, open.clone(), "RLIMIT_MEMLOCK is 8192 kB"),
            (Step::PacketMemory, libc::ENOMEM, facts(None, false, None), "memory has run out"),
            (Step::Setup, libc::EMFILE, open.clone(), "RLIMIT_NOFILE"),
            (Step::FileTable, libc::EBADF, open.clone(), "does not know"),
        ] {
            let failure = RingError { step, error: io::Error::from_raw_os_error(errno) };
            let said = explain(&failure, &facts);
            assert!(said.contains(expected), "{said:?} lacks {expected:?}");
            assert!(!said.contains('\n') && !said.contains("  "), "one line: {said:?}");
        }
    }
}
