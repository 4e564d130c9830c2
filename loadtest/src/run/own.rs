//! What this process itself costs.

use std::fs;
use std::time::Duration;

/// Processor time so far, and resident memory, bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Own {
    pub(super) cpu: Duration,
    pub(super) rss_bytes: u64,
}

impl Own {
    /// As the kernel says; zero where it does not.
    pub(super) fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self { cpu: cpu(&stat).unwrap_or_default(), rss_bytes: rss(&status).unwrap_or_default() }
    }
}

/// User and system time: the 14th and 15th field, in ticks. The second may have spaces.
fn cpu(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

fn rss(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

/// `USER_HZ`: part of the kernel's interface, 100 on every architecture we run on.
const TICKS_PER_SECOND: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_costs() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 99";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(rss("Name:\tx\nVmRSS:\t  2048 kB\n"), Some(2 << 20));
        let own = Own::now();
        assert!(own.rss_bytes > 1 << 20, "{own:?}");
    }
}
