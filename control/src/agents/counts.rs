use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What brains' sockets have counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections tried.
    pub tried: AtomicU64,
    /// Connections opened.
    pub connected: AtomicU64,
    /// Connections tried again after a loss.
    pub reconnects: AtomicU64,
    /// Brains that were gone for good.
    pub gone: AtomicU64,
    /// Caller's frames of 20 ms that no brain got: it was slow, or not there.
    pub lost_frames: AtomicU64,
    /// Messages that found a brain's buffer full.
    pub unsent: AtomicU64,
    /// Messages that could not be used, by reason.
    wrong: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counts {
    pub(super) fn connecting(&self) {
        self.tried.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn wrong(&self, reason: &'static str) {
        *self.lock().entry(reason).or_default() += 1;
    }

    /// Messages that could not be used, by reason.
    pub fn wrongs(&self) -> Vec<(&'static str, u64)> {
        self.lock().iter().map(|(reason, count)| (*reason, *count)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        // Nothing in between panics.
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
