//! What this process itself costs.

use std::process;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::target::resident_bytes;

/// Processor time so far, and resident memory, bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Own {
    pub(super) cpu: Duration,
    pub(super) rss_bytes: u64,
}

impl Own {
    /// As the kernel says; zero where it does not. Threads that have ended count.
    pub(super) fn now() -> Self {
        let micros = getrusage(UsageWho::RUSAGE_SELF)
            .map_or(0, |usage| (usage.user_time() + usage.system_time()).num_microseconds());
        Self {
            cpu: Duration::from_micros(micros.unsigned_abs()),
            rss_bytes: resident_bytes(process::id()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_costs() {
        let own = Own::now();
        assert!(own.cpu > Duration::ZERO && own.rss_bytes > 1 << 20, "{own:?}");
    }
}
