use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How calls were refused, how they ended, what was recorded. Counted a few times per call, never
/// on the way of a packet. Cheap to clone; all clones count together.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Mutex<Counts>>);

/// The counts at one moment.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    /// By reason and outcome.
    pub(super) ended: BTreeMap<(&'static str, &'static str), u64>,
    /// By reason.
    pub(super) refused: BTreeMap<&'static str, u64>,
    pub(super) recordings: u64,
    pub(super) recorded: Duration,
    pub(super) overruns: u64,
    /// What telephony sockets sent that cannot be used, by reason.
    pub(super) telephony_wrong: BTreeMap<&'static str, u64>,
    /// Audio messages and frames that telephony sockets lost, by whose they were.
    pub(super) telephony_dropped: BTreeMap<&'static str, u64>,
}

impl Counters {
    /// A call is over. Both are words of the code's own, never of a peer's: each pair becomes a
    /// series.
    pub fn ended(&self, outcome: &'static str, reason: &'static str) {
        *self.lock().ended.entry((reason, outcome)).or_default() += 1;
    }

    /// A call was not taken.
    pub fn refused(&self, reason: &'static str) {
        *self.lock().refused.entry(reason).or_default() += 1;
    }

    /// A recording is over. `overruns` of its frames are silence because the disk was behind.
    pub fn recorded(&self, duration: Duration, overruns: u64) {
        let mut counts = self.lock();
        counts.recordings += 1;
        counts.recorded += duration;
        counts.overruns += overruns;
    }

    /// A telephony socket brought what cannot be used. `reason` is a word of the code's own.
    pub fn telephony_wrong(&self, reason: &'static str) {
        *self.lock().telephony_wrong.entry(reason).or_default() += 1;
    }

    /// Audio that came too fast (`caller`), or that the peer was too slow to read (`bot`).
    pub fn telephony_dropped(&self, whose: &'static str, frames: u64) {
        if frames > 0 {
            *self.lock().telephony_dropped.entry(whose).or_default() += frames;
        }
    }

    pub(super) fn read(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            ended: ALARMING.into_iter().map(|reason| ((reason, "failed"), 0)).collect(),
            refused: [("at_capacity", 0), ("draining", 0)].into(),
            recordings: 0,
            recorded: Duration::ZERO,
            overruns: 0,
            telephony_wrong: [("bad_json", 0), ("broken_off", 0)].into(),
            telephony_dropped: [("bot", 0), ("caller", 0)].into(),
        }
    }
}

/// There from the start: an alert on `increase()` does not see the first of a series that begins
/// with it.
const ALARMING: [&str; 5] =
    ["fault", "media_timeout", "no_ack", "signalling_failed", "worker_crashed"];
