//! What the ways in from LiveKit have counted, for `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counted a few times a call. Shared by all that count.
#[derive(Debug)]
pub struct Counts {
    /// Connections to a server at which this worker can be given jobs, now: 1, or 0.
    pub registered: AtomicU64,
    /// Registrations, the first included.
    pub registrations: AtomicU64,
    /// Jobs that were offered.
    pub offered: AtomicU64,
    /// Jobs that became calls.
    pub taken: AtomicU64,
    /// Messages that cannot be understood.
    pub unreadable: AtomicU64,
    /// Callers whom nobody was given, answered by the watcher.
    pub rescues: AtomicU64,
    /// Looks at the server's rooms that failed.
    pub watch_failures: AtomicU64,
    /// Calls that came a second way while they were answered here.
    pub duplicates: AtomicU64,
    /// Calls left to another worker that was in the room first.
    pub elsewhere: AtomicU64,
    /// Jobs that were not taken, by reason.
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counts {
    /// A job was not taken. `reason` is a word of the code's own.
    pub(super) fn refused(&self, reason: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(reason).or_default() += 1;
    }

    /// Jobs that were not taken, by reason.
    pub fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Default for Counts {
    fn default() -> Self {
        let refused =
            [ANSWERED, AT_CAPACITY, DRAINING, LAPSED, NO_CALLER].map(|reason| (reason, 0));
        Self {
            registered: AtomicU64::default(),
            registrations: AtomicU64::default(),
            offered: AtomicU64::default(),
            taken: AtomicU64::default(),
            unreadable: AtomicU64::default(),
            rescues: AtomicU64::default(),
            watch_failures: AtomicU64::default(),
            duplicates: AtomicU64::default(),
            elsewhere: AtomicU64::default(),
            refused: Mutex::new(refused.into()),
        }
    }
}

/// The call is answered already.
pub(super) const ANSWERED: &str = "answered";
/// No slot is free.
pub(super) const AT_CAPACITY: &str = "at_capacity";
/// The worker goes away.
pub(super) const DRAINING: &str = "draining";
/// It was said to be ours, and never became ours.
pub(super) const LAPSED: &str = "lapsed";
/// It is about somebody who does not call us.
pub(super) const NO_CALLER: &str = "no_caller";
