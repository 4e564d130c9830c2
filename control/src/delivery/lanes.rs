//! Which file is tried next, and when. No clock, no I/O.
//!
//! Each other side (a webhook's host) has a lane of its own: one that cannot be reached is tried
//! with one file at a time and waits longer each time; its files wait with it, and nobody else's do.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::queue::Backoff;

/// Every side that something waits for.
#[derive(Debug)]
pub(super) struct Lanes {
    backoff: Backoff,
    /// Tries under way to one side at most.
    at_once: usize,
    lanes: HashMap<String, Lane>,
    /// Tries under way to all sides, and those of them to a side that is down.
    running: usize,
    probing: usize,
    random: RandomState,
}

/// A side, and what waits for it.
#[derive(Debug, Default)]
struct Lane {
    waiting: BinaryHeap<Reverse<Waiting>>,
    running: usize,
    /// Why it cannot be reached at present.
    down: Option<Down>,
    /// Why it refuses what it refuses.
    refused: Option<String>,
}

#[derive(Debug)]
struct Down {
    reason: String,
    failures: u32,
    /// When it is tried again.
    due: Instant,
}

/// A file that is being tried.
#[derive(Debug)]
pub(super) struct Try {
    side: String,
    waiting: Waiting,
    /// Whether the side was down when it began.
    probe: bool,
}

/// Ordered by `due` first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    due: Instant,
    path: PathBuf,
    failures: u32,
    last: Failure,
}

/// How the last try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Failure {
    None,
    Refused,
    Unreachable,
}

/// What is worth a line in the log: each change of the reason, not each try.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    None,
    /// The side begins to fail, or fails for another reason.
    Failing(String),
    /// The side can be reached again.
    Back {
        waiting: usize,
    },
}

impl Lanes {
    pub(super) fn new(backoff: Backoff, at_once: usize) -> Self {
        let (lanes, random) = (HashMap::new(), RandomState::new());
        Self { backoff, at_once, lanes, running: 0, probing: 0, random }
    }

    pub(super) fn add(&mut self, path: PathBuf, side: String, now: Instant) {
        let waiting = Waiting { due: now, path, failures: 0, last: Failure::None };
        self.lanes.entry(side).or_default().waiting.push(Reverse(waiting));
    }

    /// The next file to try, if there is one and room for it: of the side that waits longest.
    pub(super) fn start(&mut self, now: Instant) -> Option<Try> {
        let due = self.lanes.iter().filter_map(|(side, lane)| Some((self.due(lane)?, side)));
        let (_, side) = due.filter(|(due, _)| *due <= now).min()?;
        let side = side.clone();
        let lane = self.lanes.get_mut(&side)?;
        let Reverse(waiting) = lane.waiting.pop()?;
        let probe = lane.down.is_some();
        lane.running += 1;
        self.running += 1;
        self.probing += usize::from(probe);
        Some(Try { side, waiting, probe })
    }

    /// When [`start`](Self::start) has something next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.lanes.values().filter_map(|lane| self.due(lane)).min()
    }

    pub(super) fn delivered(&mut self, tried: Try, now: Instant) -> News {
        let lane = self.ended(&tried);
        if tried.waiting.last == Failure::Refused {
            lane.refused = None;
        }
        let news = match lane.down.take() {
            Some(_) => {
                lane.recall(now);
                News::Back { waiting: lane.waiting.len() }
            }
            None => News::None,
        };
        self.clear(&tried.side);
        news
    }

    /// The file is no delivery.
    pub(super) fn given_up(&mut self, tried: Try) -> News {
        self.ended(&tried);
        self.clear(&tried.side);
        News::None
    }

    /// The side refuses this file, whatever it does with others.
    pub(super) fn refused(&mut self, tried: Try, reason: String, now: Instant) -> News {
        let waiting = self.again(&tried, Failure::Refused, now);
        let lane = self.ended(&tried);
        lane.waiting.push(Reverse(waiting));
        // It answers, so it can be reached.
        if lane.down.take().is_some() {
            lane.recall(now);
        }
        match lane.refused.replace(reason.clone()) {
            Some(before) if before == reason => News::None,
            _ => News::Failing(reason),
        }
    }

    /// The side cannot be reached: neither would another file.
    pub(super) fn unreachable(&mut self, tried: Try, reason: String, now: Instant) -> News {
        let waiting = self.again(&tried, Failure::Unreachable, now);
        // Tries that were under way together count as one.
        let failures = match &self.ended(&tried).down {
            Some(down) if !tried.probe => down.failures,
            Some(down) => down.failures.saturating_add(1),
            None => 1,
        };
        let wait = self.backoff.wait(failures, self.random(&waiting.path, failures));
        let lane = self.lane(&tried.side);
        lane.waiting.push(Reverse(waiting));
        let due = match &lane.down {
            Some(down) if !tried.probe => down.due,
            _ => now + wait.min(PROBE_MOST),
        };
        match lane.down.replace(Down { reason: reason.clone(), failures, due }) {
            Some(before) if before.reason == reason => News::None,
            _ => News::Failing(reason),
        }
    }

    /// When `lane` can be given its next try, seen from now.
    fn due(&self, lane: &Lane) -> Option<Instant> {
        let Reverse(next) = lane.waiting.peek()?;
        match &lane.down {
            _ if self.running >= RUNNING_MAX => None,
            Some(_) if lane.running > 0 || self.probing >= PROBING_MAX => None,
            // Whichever file: they wait for the side.
            Some(down) => Some(down.due),
            None => (lane.running < self.at_once).then_some(next.due),
        }
    }

    fn again(&self, tried: &Try, last: Failure, now: Instant) -> Waiting {
        let (path, failures) = (tried.path(), tried.waiting.failures.saturating_add(1));
        let due = now + self.backoff.wait(failures, self.random(path, failures));
        Waiting { due, path: path.to_owned(), failures, last }
    }

    fn random(&self, path: &Path, failures: u32) -> f64 {
        self.random.hash_one((path, failures)) as f64 / u64::MAX as f64
    }

    fn ended(&mut self, tried: &Try) -> &mut Lane {
        self.running = self.running.saturating_sub(1);
        self.probing = self.probing.saturating_sub(usize::from(tried.probe));
        let lane = self.lane(&tried.side);
        lane.running = lane.running.saturating_sub(1);
        lane
    }

    fn lane(&mut self, side: &str) -> &mut Lane {
        self.lanes.entry(side.to_owned()).or_default()
    }

    /// Forgets a side that nothing waits for.
    fn clear(&mut self, side: &str) {
        let unused = |lane: &Lane| lane.waiting.is_empty() && lane.running == 0;
        if self.lanes.get(side).is_some_and(unused) {
            self.lanes.remove(side);
        }
    }
}

impl Lane {
    /// The side is back: what could not reach it need not wait. What it refused does: it would
    /// refuse it again.
    fn recall(&mut self, now: Instant) {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        self.waiting = waiting.map(|Reverse(waiting)| Reverse(waiting.recalled(now))).collect();
    }
}

impl Waiting {
    fn recalled(self, now: Instant) -> Self {
        match self.last {
            Failure::Unreachable => Self { due: self.due.min(now), ..self },
            Failure::None | Failure::Refused => self,
        }
    }
}

impl Try {
    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.waiting.path
    }
}

/// Tries under way to all sides,
const RUNNING_MAX: usize = 64;
/// and those of them to sides that are down: half of the places are for those that work.
const PROBING_MAX: usize = 32;

/// One try in this time costs nothing, and a side that is back need not wait longer (before the
/// jitter's half more).
const PROBE_MOST: Duration = Duration::from_secs(15);

#[cfg(test)]
#[path = "tests/lanes.rs"]
mod tests;
