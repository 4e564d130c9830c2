//! The course of a run: everything once a second, and the sums of its measured part.

use std::time::Duration;

use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::ledger::Counts;
use super::own::Own;
use super::stage::Stage;
use super::{Phase, Progress, Standing};
use crate::generator::{Interval, ThreadInterval, Totals};
use crate::results::{Second, TargetCost};
use crate::scenario::Scenario;
use crate::target::Watch;

const SECOND: Duration = Duration::from_secs(1);

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) seconds: Vec<Second>,
    /// Packets of the measured part.
    pub(super) sum: Totals,
    /// Media threads over the measured part.
    pub(super) threads: Vec<ThreadInterval>,
    /// Length of the measured part.
    pub(super) measured: Duration,
    /// Processor time of this whole process over the measured part.
    pub(super) own_cpu: Duration,
    pub(super) rss_bytes: u64,
    /// Calls placed in the measured part.
    pub(super) placed: u64,
    /// What the target cost meanwhile.
    pub(super) watched: Option<TargetCost>,
    /// Somebody ended it early.
    pub(super) interrupted: bool,
}

/// The parts of a run, since its start.
#[derive(Debug, Clone, Copy)]
struct Parts {
    /// The load is there.
    up: Duration,
    /// Packets count from here ...
    from: Duration,
    /// ... to here.
    until: Duration,
}

impl Parts {
    fn of(scenario: &Scenario) -> Self {
        let arrival = scenario.callers.as_ref().map(|callers| &callers.arrival);
        // What comes at a rate is there at once; its run-up is what the scenario is about.
        let up = arrival.filter(|arrival| arrival.at_once().is_some());
        let up = up.map_or(Duration::ZERO, |arrival| arrival.run_up());
        let settled = up + scenario.window.settle.0;
        // To whole seconds, so that each second belongs to one part only.
        let from = Duration::from_secs(settled.as_secs() + u64::from(settled.subsec_nanos() > 0));
        Self { up, from, until: from + scenario.window.measured.0 }
    }

    fn phase(&self, at: Duration) -> (Phase, Duration) {
        let (phase, end) = match at {
            _ if at < self.up => (Phase::RunUp, self.up),
            _ if at < self.from => (Phase::Settling, self.from),
            _ if at < self.until => (Phase::Measured, self.until),
            _ => (Phase::Ending, at),
        };
        (phase, end - at)
    }
}

/// What was seen at the last look.
#[derive(Debug)]
struct Last {
    at: Duration,
    counts: Counts,
    own: Own,
}

/// Looks once a second, until the measured part is over or `stop` is cancelled.
pub(super) async fn follow(
    stage: &Stage,
    stop: &CancellationToken,
    watch: &mut Watch,
    progress: &mut impl Progress,
) -> Course {
    let parts = Parts::of(&stage.scenario);
    let mut course = Course::default();
    let mut last = Last { at: Duration::ZERO, counts: Counts::default(), own: Own::now() };
    // What came before is nobody's.
    stage.generator.take().await;
    if parts.from.is_zero() {
        measure(stage, watch).await;
    }
    loop {
        let next = (last.at + SECOND).min(parts.until);
        let stopped = tokio::select! {
            () = sleep_until(stage.began() + next) => false,
            () = stop.cancelled() => true,
        };
        let at = if stopped { stage.began().elapsed() } else { next };
        let measured = last.at >= parts.from;
        let interval = stage.generator.take().await;
        let counts = stage.ledger.counts();
        let now = Last { at, counts, own: Own::now() };
        let mut second = second(&last, &now, &interval, measured);
        if let Some(target) = watch.sample() {
            second.target_cores = Some(target.cpu_cores);
            second.target_rss_bytes = Some(target.footprint.rss_bytes);
            second.target_descriptors = Some(target.footprint.descriptors);
        }
        if measured {
            course.add(&last, &now, &interval);
        }
        course.rss_bytes = course.rss_bytes.max(now.own.rss_bytes);
        let (phase, left) = parts.phase(at);
        progress.second(&Standing {
            phase,
            left,
            second: &second,
            placed: counts.placed,
            refused: counts.refused,
            failed: counts.failed,
            lost: course.sum.lost(),
            expected: course.sum.expected,
        });
        course.seconds.push(second);
        if at >= parts.until || stopped {
            course.interrupted = stopped;
            // Counters that cannot be read any more: the run itself says what became of the target.
            course.watched = watch.end().await.ok().flatten();
            return course;
        }
        if last.at < parts.from && at >= parts.from {
            measure(stage, watch).await;
        }
        last = now;
    }
}

/// The measured part begins.
async fn measure(stage: &Stage, watch: &mut Watch) {
    stage.ledger.measure();
    _ = watch.begin().await;
}

impl Course {
    fn add(&mut self, last: &Last, now: &Last, interval: &Interval) {
        self.measured += now.at.saturating_sub(last.at);
        self.own_cpu += now.own.cpu.saturating_sub(last.own.cpu);
        self.placed += now.counts.placed - last.counts.placed;
        self.sum.add(&interval.totals);
        if self.threads.len() < interval.threads.len() {
            self.threads.resize(interval.threads.len(), ThreadInterval::default());
        }
        for (sum, thread) in self.threads.iter_mut().zip(&interval.threads) {
            sum.core = thread.core;
            sum.length += thread.length;
            sum.cpu += thread.cpu;
            sum.waiting += thread.waiting;
            sum.died |= thread.died;
        }
    }
}

fn second(last: &Last, now: &Last, interval: &Interval, measured: bool) -> Second {
    let totals = &interval.totals;
    let length = now.at.saturating_sub(last.at).as_secs_f64().max(1e-3);
    let quantile = |histogram: &hdrhistogram::Histogram<u64>, quantile| {
        histogram.value_at_quantile(quantile) as f64 / 1e3
    };
    let trips = &totals.round_trip;
    Second {
        at: last.at.as_secs(),
        measured,
        calls: now.counts.live,
        placed: now.counts.placed - last.counts.placed,
        answered: now.counts.answered - last.counts.answered,
        refused: now.counts.refused - last.counts.refused,
        failed: now.counts.failed - last.counts.failed,
        received: totals.received,
        lost: totals.lost(),
        late_p999_ms: quantile(&totals.late, 0.999),
        round_trip_ms: (!trips.is_empty()).then(|| quantile(trips, 0.5)),
        send_late_p999_ms: quantile(&totals.send_late, 0.999),
        generator_cores: now.own.cpu.saturating_sub(last.own.cpu).as_secs_f64() / length,
        ..Second::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Override;

    #[test]
    fn the_parts_of_a_run_follow_from_its_scenario() {
        let seconds = Duration::from_secs;
        for (changes, up, from, until) in [
            (&["window.settle=2s", "window.measured=10s"][..], 1.0, 3, 13),
            (&["window.settle=2500ms", "window.measured=10s"], 1.0, 4, 14),
            (
                &["window.settle=0s", "window.measured=10s", "callers.arrival={ rate = 5 }"],
                0.0,
                0,
                10,
            ),
        ] {
            let changes: Vec<Override> = changes.iter().map(|text| text.parse().unwrap()).collect();
            let parts = Parts::of(&Scenario::load("echo", &changes).unwrap());
            assert_eq!(parts.up.as_secs_f64(), up, "{changes:?}");
            assert_eq!((parts.from, parts.until), (seconds(from), seconds(until)), "{changes:?}");
            assert_eq!(parts.phase(seconds(until)).0, Phase::Ending);
            assert_eq!(parts.phase(seconds(from)), (Phase::Measured, seconds(until - from)));
        }
    }
}
