//! What is counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Fleet;
use super::traffic::Call;
use crate::plan::erlang;

/// What became of a fleet's calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetReport {
    /// What was simulated.
    pub fleet: Fleet,
    /// Time that counts, seconds.
    pub seconds: f64,
    /// Traffic: calls that would be up at once on average if none were turned away.
    pub erlang: f64,
    /// Calls that came.
    pub placed: u64,
    /// Calls that a worker took.
    pub taken: u64,
    /// Calls that nobody took, by why.
    pub missed: BTreeMap<Missed, u64>,
    /// Their share, 0..=1.
    pub missed_share: f64,
    /// The true share is within this of it (three standard errors, between batches of calls).
    pub missed_share_off: f64,
    /// What Erlang B says of that traffic on all slots, were they one pool that never fails.
    pub erlang_b: f64,
    /// Calls that were up and lost, by why.
    pub lost: BTreeMap<Lost, u64>,
    /// Calls that rang until the watcher found them.
    pub waited: u64,
    /// How long they rang, seconds, on average.
    pub waited_seconds_mean: f64,
    /// Calls up at once, on average.
    pub calls_mean: f64,
    /// At most.
    pub calls_max: u64,
    /// Share of all slots with a call, on average, 0..=1.
    pub used: f64,
    /// Share of all slots on hosts that took calls, on average, 0..=1.
    pub available: f64,
    /// Calls up at once on each host, on average.
    pub calls_mean_of_hosts: Vec<f64>,
    /// Hosts that failed.
    pub failures: u64,
    /// Deploys that began.
    pub deploys: u64,
    /// The course.
    pub slices: Vec<Slice>,
}

/// Why nobody took a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// No host had a slot.
    AllFull,
    /// The host it was given to had none; another may have had.
    HostFull,
    /// The worker it was given to had none; another on the same host had.
    WorkerFull,
    /// The host it was given to was gone before it got there.
    HostGone,
    /// The caller rang too long.
    GaveUp,
}

/// Why a call that was up was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// Its host failed.
    HostFailed,
    /// It lasted longer than a deploy waits.
    DeployCut,
}

/// A slice of the course.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Its length, seconds.
    pub seconds: f64,
    /// Call seconds.
    pub calls: f64,
    /// Slot seconds of hosts that took calls.
    pub slots: f64,
    /// Calls missed.
    pub missed: u64,
    /// Calls lost.
    pub lost: u64,
}

/// Counts while a simulation runs.
#[derive(Debug)]
pub(super) struct Tally {
    begin: f64,
    placed: u64,
    taken: u64,
    missed: BTreeMap<Missed, u64>,
    lost: BTreeMap<Lost, u64>,
    waited: u64,
    waited_seconds: f64,
    calls_max: u64,
    call_seconds: f64,
    slot_seconds: f64,
    failures: u64,
    deploys: u64,
    /// Calls missed of every [`BATCH`] that came.
    batches: Vec<u64>,
    slices: Vec<Slice>,
    slice_seconds: f64,
}

impl Tally {
    pub(super) fn new(begin: f64) -> Self {
        Self {
            begin,
            placed: 0,
            taken: 0,
            missed: BTreeMap::new(),
            lost: BTreeMap::new(),
            waited: 0,
            waited_seconds: 0.0,
            calls_max: 0,
            call_seconds: 0.0,
            slot_seconds: 0.0,
            failures: 0,
            deploys: 0,
            batches: Vec::new(),
            slices: Vec::new(),
            slice_seconds: 1.0,
        }
    }

    pub(super) const fn begin(&self) -> f64 {
        self.begin
    }

    pub(super) const fn begins_within(&self, from: f64, to: f64) -> bool {
        from < self.begin && self.begin <= to
    }

    /// From `from` to `to` so many calls were up, and so many slots on hosts that took calls.
    pub(super) fn pass(&mut self, from: f64, to: f64, calls: u64, slots: u64) {
        let mut from = from.max(self.begin);
        while from < to {
            let at = from - self.begin;
            let slice = (at / self.slice_seconds) as usize;
            let end = self.begin + (slice + 1) as f64 * self.slice_seconds;
            // Where rounding makes the end the beginning, what is left belongs to the next one.
            let until = if end > from { end.min(to) } else { to };
            let (seconds, slice) = (until - from, self.slice(slice));
            slice.seconds += seconds;
            slice.calls += seconds * calls as f64;
            slice.slots += seconds * slots as f64;
            self.call_seconds += seconds * calls as f64;
            self.slot_seconds += seconds * slots as f64;
            from = until;
        }
    }

    /// A call comes; its batch, when it counts.
    pub(super) fn placed(&mut self, now: f64) -> Option<u32> {
        if now < self.begin {
            return None;
        }
        let batch = self.placed / BATCH;
        self.placed += 1;
        if self.batches.len() as u64 <= batch {
            self.batches.push(0);
        }
        u32::try_from(batch).ok()
    }

    pub(super) fn taken(&mut self, batch: Option<u32>, calls: u64) {
        if batch.is_some() {
            self.taken += 1;
            self.calls_max = self.calls_max.max(calls);
        }
    }

    pub(super) fn missed(&mut self, now: f64, batch: Option<u32>, why: Missed) {
        let Some(batch) = batch else { return };
        *self.missed.entry(why).or_default() += 1;
        self.batches[batch as usize] += 1;
        self.slice_at(now).missed += 1;
    }

    pub(super) fn waited(&mut self, batch: Option<u32>, seconds: f64) {
        if batch.is_some() {
            self.waited += 1;
            self.waited_seconds += seconds;
        }
    }

    pub(super) fn lost(&mut self, now: f64, why: Lost, calls: u64) {
        if now >= self.begin {
            self.failures += u64::from(why == Lost::HostFailed);
            if calls > 0 {
                *self.lost.entry(why).or_default() += calls;
                self.slice_at(now).lost += calls;
            }
        }
    }

    pub(super) fn deploy(&mut self, now: f64) {
        self.deploys += u64::from(now >= self.begin);
    }

    pub(super) fn report(
        self,
        fleet: &Fleet,
        calls: &[Call],
        end: f64,
        host_call_seconds: Vec<f64>,
    ) -> FleetReport {
        let seconds = (end - self.begin).max(f64::MIN_POSITIVE);
        let counted = calls.iter().filter(|call| call.at >= self.begin);
        let erlang = counted.map(|call| call.hold).sum::<f64>() / seconds;
        let missed = self.missed.values().sum::<u64>() as f64;
        let slots = fleet.slots() as f64;
        FleetReport {
            fleet: fleet.clone(),
            seconds,
            erlang,
            placed: self.placed,
            taken: self.taken,
            missed_share: missed / self.placed.max(1) as f64,
            missed_share_off: share_off(&self.batches),
            missed: self.missed,
            erlang_b: erlang::blocking(erlang, fleet.slots()),
            lost: self.lost,
            waited: self.waited,
            waited_seconds_mean: self.waited_seconds / self.waited.max(1) as f64,
            calls_mean: self.call_seconds / seconds,
            calls_max: self.calls_max,
            used: self.call_seconds / seconds / slots,
            available: self.slot_seconds / seconds / slots,
            calls_mean_of_hosts: host_call_seconds.into_iter().map(|area| area / seconds).collect(),
            failures: self.failures,
            deploys: self.deploys,
            slices: self.slices,
        }
    }

    fn slice_at(&mut self, now: f64) -> &mut Slice {
        let nth = ((now - self.begin) / self.slice_seconds) as usize;
        self.slice(nth)
    }

    /// The nth slice; when there are too many, two become one, and the nth with them.
    fn slice(&mut self, mut nth: usize) -> &mut Slice {
        while nth >= SLICES_MAX {
            let merged = self.slices.chunks(2).map(|pair| {
                pair.iter().fold(Slice::default(), |a, b| Slice {
                    seconds: a.seconds + b.seconds,
                    calls: a.calls + b.calls,
                    slots: a.slots + b.slots,
                    missed: a.missed + b.missed,
                    lost: a.lost + b.lost,
                })
            });
            self.slices = merged.collect();
            self.slice_seconds *= 2.0;
            nth /= 2;
        }
        if self.slices.len() <= nth {
            self.slices.resize(nth + 1, Slice::default());
        }
        &mut self.slices[nth]
    }
}

/// Three standard errors of the share missed, by how it differs between batches. Calls that come
/// one after the other share their fate, so single calls would promise too much.
fn share_off(batches: &[u64]) -> f64 {
    // The last one is not full.
    let full = &batches[..batches.len().saturating_sub(1)];
    let size = full.len().div_ceil(GROUPS).max(1);
    let groups: Vec<f64> = full
        .chunks_exact(size)
        .map(|group| group.iter().sum::<u64>() as f64 / (size as u64 * BATCH) as f64)
        .collect();
    let count = groups.len() as f64;
    if count < 5.0 {
        return 1.0;
    }
    let mean = groups.iter().sum::<f64>() / count;
    let squares = groups.iter().map(|share| (share - mean).powi(2)).sum::<f64>();
    3.0 * (squares / (count - 1.0) / count).sqrt()
}

const BATCH: u64 = 200;
/// Batches are put together into about so many.
const GROUPS: usize = 20;
/// A picture has no more room.
const SLICES_MAX: usize = 400;
