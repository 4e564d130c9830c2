//! What becomes of calls, counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::generator::LegReport;

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// As the scenario wanted.
    Well,
    /// Refused by the other side.
    Refused(u16),
    /// Otherwise: why, in words that are few.
    Failed(String),
}

/// The books of a run; written by all calls.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    books: Mutex<Books>,
    /// A call is over.
    room: Notify,
}

/// What stands in them.
#[derive(Debug, Clone)]
pub(super) struct Books {
    pub(super) placed: u64,
    pub(super) answered: u64,
    pub(super) refused: BTreeMap<u16, u64>,
    pub(super) failed: BTreeMap<String, u64>,
    pub(super) ended_well: u64,
    /// Placed and not over.
    pub(super) live: u64,
    pub(super) peak: u64,
    /// Microseconds, as the two below.
    pub(super) setup: Histogram<u64>,
    pub(super) hang_up: Histogram<u64>,
    /// How late calls were placed.
    pub(super) place_late: Histogram<u64>,
    /// What the target says it is.
    pub(super) agent: Option<String>,
    /// Calls that our own generator had no room for.
    pub(super) no_leg: u64,
    pub(super) heard: Heard,
    measured_since: Option<Instant>,
}

/// What calls that touched the measured part heard, one value a call.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    pub(super) jitter_ms: Vec<f64>,
    pub(super) gap_ms: Vec<f64>,
    pub(super) first_audio_ms: Vec<f64>,
    pub(super) mos: Vec<f64>,
    pub(super) one_way: u64,
    pub(super) echoed: u64,
    /// Packets that were to come by time, of calls in which none came at all.
    pub(super) never_came: u64,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            placed: 0,
            answered: 0,
            refused: BTreeMap::new(),
            failed: BTreeMap::new(),
            ended_well: 0,
            live: 0,
            peak: 0,
            setup: micros(),
            hang_up: micros(),
            place_late: micros(),
            agent: None,
            no_leg: 0,
            heard: Heard::default(),
            measured_since: None,
        }
    }
}

impl Ledger {
    /// A call is placed, so much later than it was due.
    pub(super) fn placed(&self, late: Duration) {
        let mut books = self.books();
        books.placed += 1;
        books.live += 1;
        books.peak = books.peak.max(books.live);
        record(&mut books.place_late, late);
    }

    /// It was answered.
    pub(super) fn answered(&self, setup: Duration, agent: Option<String>) {
        let mut books = self.books();
        books.answered += 1;
        record(&mut books.setup, setup);
        if books.agent.is_none() {
            books.agent = agent;
        }
    }

    /// A call to us was answered by us.
    pub(super) fn taken(&self, agent: Option<String>) {
        let mut books = self.books();
        books.answered += 1;
        if books.agent.is_none() {
            books.agent = agent;
        }
    }

    /// Its BYE was confirmed.
    pub(super) fn hung_up(&self, took: Duration) {
        record(&mut self.books().hang_up, took);
    }

    /// Our own generator has no room for it.
    pub(super) fn no_leg(&self) {
        self.books().no_leg += 1;
    }

    /// It is over.
    pub(super) fn over(&self, end: End) {
        let mut books = self.books();
        books.live = books.live.saturating_sub(1);
        match end {
            End::Well => books.ended_well += 1,
            End::Refused(status) => *books.refused.entry(status).or_default() += 1,
            End::Failed(reason) => {
                let known = books.failed.contains_key(&reason);
                let full = !known && books.failed.len() >= REASONS_MAX;
                let reason = if full { "something else".into() } else { reason };
                *books.failed.entry(reason).or_default() += 1;
            }
        }
        drop(books);
        self.room.notify_waiters();
    }

    /// What it heard, until `ended`. `should` is whether something should have been heard.
    pub(super) fn heard(&self, report: &LegReport, ended: Instant, should: bool) {
        let mut books = self.books();
        let Some(since) = books.measured_since.filter(|since| ended > *since) else { return };
        let within = (ended - since).min(report.duration);
        let heard = &mut books.heard;
        heard.echoed += u64::from(report.is_echoed());
        if !should || report.duration < super::judge::SHORTEST {
            return;
        }
        heard.one_way += u64::from(report.is_one_way());
        heard.mos.push(report.mos);
        heard.gap_ms.push(ms(report.longest_gap));
        match report.first_packet {
            Some(_) => heard.jitter_ms.push(ms(report.jitter)),
            None => heard.never_came += (within.as_millis() / 20) as u64,
        }
        heard.first_audio_ms.extend(report.first_audio.map(ms));
    }

    /// The measured part begins.
    pub(super) fn measure(&self) {
        self.books().measured_since = Some(Instant::now());
    }

    /// Everything so far.
    pub(super) fn copy(&self) -> Books {
        self.books().clone()
    }

    /// The few figures that are looked at once a second.
    pub(super) fn counts(&self) -> Counts {
        let books = self.books();
        Counts {
            placed: books.placed,
            answered: books.answered,
            refused: books.refused.values().sum(),
            failed: books.failed.values().sum(),
            live: books.live,
        }
    }

    /// Waits until fewer than `calls` are live.
    pub(super) async fn room_for(&self, calls: u64) {
        loop {
            let over = self.room.notified();
            tokio::pin!(over);
            over.as_mut().enable();
            if self.books().live < calls {
                return;
            }
            over.await;
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sums so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) placed: u64,
    pub(super) answered: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) live: u64,
}

fn micros() -> Histogram<u64> {
    // Up to ten minutes, to a tenth of a percent.
    Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("bounds and digits in range")
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record((time.as_micros() as u64).min(MICROS_MAX));
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

const MICROS_MAX: u64 = 600_000_000;
/// Different reasons that are kept apart.
const REASONS_MAX: usize = 40;
