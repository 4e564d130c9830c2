use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts what is refused and dropped, and logs a bounded number of lines about it: whoever can
/// reach the port must not be able to fill the disk.
#[derive(Debug)]
pub(super) struct Journal {
    lines: Mutex<Lines>,
    refused: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Lines {
    since: Instant,
    /// In 0..=LINES_MAX.
    written: u32,
    suppressed: u64,
}

impl Journal {
    pub(super) fn new() -> Self {
        let lines = Lines { since: Instant::now(), written: 0, suppressed: 0 };
        Self { lines: Mutex::new(lines), refused: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }

    /// A request was answered with a failure.
    pub(super) fn refused(&self, peer: SocketAddr, status: u16, why: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if let Some(suppressed) = self.may_write() {
            tracing::info!(%peer, status, why, suppressed, "SIP request refused");
        }
    }

    /// Something came that is not answered.
    pub(super) fn dropped(&self, peer: SocketAddr, why: &str) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        if let Some(suppressed) = self.may_write() {
            tracing::info!(%peer, why, suppressed, "SIP message dropped");
        }
    }

    /// Requests refused and messages dropped so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.refused.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }

    /// Lines left out since the last one that was written; `None` when this one is left out too.
    fn may_write(&self) -> Option<u64> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.since.elapsed() >= WINDOW {
            (lines.since, lines.written) = (Instant::now(), 0);
        }
        if lines.written == LINES_MAX {
            lines.suppressed += 1;
            return None;
        }
        lines.written += 1;
        Some(std::mem::take(&mut lines.suppressed))
    }
}

const WINDOW: Duration = Duration::from_secs(1);
/// Lines in a window.
const LINES_MAX: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_logged() {
        let journal = Journal::new();
        let written = (0..1000).filter(|_| journal.may_write().is_some()).count();
        // A slow machine may see a second window begin.
        assert!((10..=20).contains(&written), "{written}");
        let peer = "127.0.0.1:1".parse().unwrap();
        journal.refused(peer, 404, "x");
        journal.dropped(peer, "y");
        assert_eq!(journal.counts(), (1, 1));
    }
}
