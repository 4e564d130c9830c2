//! How many calls a target sustains: [`search`] tries loads, and [`CapacityReport`] says what came
//! of them.

pub mod search;

use crate::results::{
    CapacityReport, CostPerCall, HostsNeeded, PassLine, Point, Provenance, RunReport, Verdict,
};
use search::{Answer, Bounds, Next, Outcome, Search};

/// What is to be found out.
#[derive(Debug, Clone)]
pub struct Question {
    /// Command, day and host.
    pub provenance: Provenance,
    /// What must hold.
    pub pass_line: PassLine,
    /// How far to search.
    pub bounds: Bounds,
}

/// A load that was tried, for those who watch.
#[derive(Debug)]
pub struct Tried<'a> {
    /// The load.
    pub calls: u64,
    /// What came of it.
    pub run: &'a RunReport,
    /// What will be tried next, if anything.
    pub next: Option<u64>,
}

/// Searches; `measure` runs a load and judges it by the question's pass line, `watch` is told each.
///
/// A failure of `measure` ends the search: it is not the target's.
pub async fn find<E>(
    question: Question,
    mut measure: impl AsyncFnMut(u64) -> Result<RunReport, E>,
    mut watch: impl FnMut(Tried<'_>),
) -> Result<CapacityReport, E> {
    let mut search = Search::new(question.bounds);
    let mut points: Vec<Point> = Vec::new();
    let answer = loop {
        let calls = match search.next() {
            Next::Try(calls) => calls,
            Next::Done(answer) => break answer,
        };
        let run = measure(calls).await?;
        search.tell(outcome(&run.verdict));
        let next = match search.next() {
            Next::Try(next) => Some(next),
            Next::Done(_) => None,
        };
        watch(Tried { calls, run: &run, next });
        let interrupted = run.interrupted;
        points.push(Point { calls, run });
        if interrupted {
            break search.so_far();
        }
    };
    Ok(report(question, answer, points))
}

fn outcome(verdict: &Verdict) -> Outcome {
    match verdict {
        Verdict::Pass => Outcome::Held,
        Verdict::Fail { .. } => Outcome::Broke,
        // Without a pass line nothing can hold or break.
        Verdict::GeneratorWasTheLimit { .. } | Verdict::NotAsked => Outcome::Unknown,
    }
}

fn report(question: Question, answer: Answer, points: Vec<Point>) -> CapacityReport {
    let best = points.iter().rfind(|point| point.calls == answer.held && held(&point.run));
    let first = points.first().map(|point| &point.run);
    CapacityReport {
        provenance: question.provenance,
        scenario: first.map(|run| run.scenario.clone()).unwrap_or_default(),
        target: first.map(|run| run.target.clone()).unwrap_or_default(),
        target_agent: first.map(|run| run.target_agent.clone()).unwrap_or_default(),
        pass_line: question.pass_line,
        calls: answer.held,
        calls_per_second: best.map_or(0.0, |point| point.run.calls.per_second),
        broken_at: answer.broke,
        broken: answer.broke.map(|calls| broken(&points, calls)).unwrap_or_default(),
        unfinished: unfinished(&answer, &question.bounds, &points),
        cost: best.and_then(|point| cost(&point.run, &points)),
        hosts: [100, 1_000, 10_000]
            .map(|calls| hosts(calls, answer.held))
            .into_iter()
            .flatten()
            .collect(),
        points,
    }
}

fn held(run: &RunReport) -> bool {
    run.verdict == Verdict::Pass
}

/// What broke at this load, the last time that it did.
fn broken(points: &[Point], calls: u64) -> Vec<crate::results::Broken> {
    let broken = points.iter().rev().filter(|point| point.calls == calls).find_map(|point| {
        match &point.run.verdict {
            Verdict::Fail { broken } => Some(broken.clone()),
            _ => None,
        }
    });
    broken.unwrap_or_default()
}

fn unfinished(answer: &Answer, bounds: &Bounds, points: &[Point]) -> Option<String> {
    let limit = points.iter().rev().find_map(|point| match &point.run.verdict {
        Verdict::GeneratorWasTheLimit { why } => Some((point.calls, why)),
        _ => None,
    });
    if points.last().is_some_and(|point| point.run.interrupted) {
        return Some("it was interrupted".into());
    }
    if answer.generator_was_the_limit {
        let (calls, why) = limit?;
        return Some(format!("the generator was the limit at {calls} calls: {why}"));
    }
    let most = bounds.most;
    answer.broke.is_none().then(|| format!("{most} calls, the most that were to be tried, held"))
}

/// What a call costs at `run`. A target keeps what it once had for calls: what it has without any is
/// what it had before the first of all loads.
fn cost(run: &RunReport, points: &[Point]) -> Option<CostPerCall> {
    let watched = run.watched.as_ref()?;
    let calls = run.calls.mean;
    let idle = points.iter().filter_map(|point| point.run.watched.as_ref());
    let rss_idle = idle.clone().map(|idle| idle.rss_idle_bytes).min().unwrap_or(0);
    let descriptors_idle = idle.map(|idle| idle.descriptors_idle).min().unwrap_or(0);
    (calls > 0.0).then(|| CostPerCall {
        cpu_percent: 100.0 * watched.cpu_cores / calls,
        rss_bytes: watched.rss_bytes.saturating_sub(rss_idle) as f64 / calls,
        descriptors: watched.descriptors.saturating_sub(descriptors_idle) as f64 / calls,
    })
}

/// Hosts that are never above [`HEADROOM`] of what was measured.
fn hosts(calls: u64, held: u64) -> Option<HostsNeeded> {
    let each = (held as f64 * HEADROOM).floor() as u64;
    (each > 0).then(|| HostsNeeded { calls, hosts: calls.div_ceil(each) })
}

/// Share of the measured capacity that a host is planned to carry.
pub const HEADROOM: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::TargetCost;

    fn question() -> Question {
        Question {
            provenance: Provenance::default(),
            pass_line: "loss<0.1%".parse().unwrap(),
            bounds: Bounds { from: 50, most: 10_000, precision: 0.05 },
        }
    }

    /// A target that loses packets above 800 calls, and costs 0.04 % of a core and 100 kB a call.
    fn run(calls: u64) -> RunReport {
        let mut run = RunReport::default();
        run.heard.expected = 10_000;
        run.heard.lost = if calls > 800 { 100 } else { 0 };
        run.calls.mean = calls as f64;
        run.calls.per_second = calls as f64 / 20.0;
        run.watched = Some(TargetCost {
            cpu_cores: calls as f64 * 4e-4,
            // Before later loads it still has what it had for earlier ones.
            rss_idle_bytes: 20_000_000 + calls.saturating_sub(50) * 50_000,
            rss_bytes: 20_000_000 + calls * 100_000,
            descriptors_idle: 30,
            descriptors: 30 + 2 * calls,
            ..TargetCost::default()
        });
        let broken = question().pass_line.broken(&run);
        run.verdict = if broken.is_empty() { Verdict::Pass } else { Verdict::Fail { broken } };
        run
    }

    #[tokio::test]
    async fn the_answer_has_its_cost_what_broke_it_and_the_hosts_for_more() {
        let mut watched = 0;
        let measure = async |calls| Ok::<_, ()>(run(calls));
        let report = find(question(), measure, |_| watched += 1).await.unwrap();
        assert!((760..=800).contains(&report.calls), "{}", report.calls);
        assert!(
            report.broken_at.is_some_and(|at| (801..=840).contains(&at)),
            "{:?}",
            report.broken_at
        );
        assert_eq!(report.broken[0].limit, "loss<0.1%");
        assert_eq!(report.unfinished, None);
        assert_eq!(watched, report.points.len());
        let cost = report.cost.unwrap();
        assert!((cost.cpu_percent - 0.04).abs() < 1e-9, "{cost:?}");
        assert!((cost.rss_bytes - 100_000.0).abs() < 1.0 && cost.descriptors == 2.0, "{cost:?}");
        let each = (report.calls as f64 * 0.8) as u64;
        let hosts: Vec<_> = report.hosts.iter().map(|needed| needed.hosts).collect();
        assert_eq!(hosts, [1, 1_000_u64.div_ceil(each), 10_000_u64.div_ceil(each)]);
    }

    #[tokio::test]
    async fn a_search_that_ends_early_says_why() {
        let limited = |calls| {
            let why = "it was late".to_owned();
            RunReport { verdict: Verdict::GeneratorWasTheLimit { why }, ..run(calls) }
        };
        let interrupted = |calls| RunReport { interrupted: true, ..run(calls) };
        let endless = |_| RunReport { verdict: Verdict::Pass, ..run(1) };
        type Measure<'a> = &'a dyn Fn(u64) -> RunReport;
        let rows: [(Measure<'_>, &str); 3] = [
            (&limited, "the generator was the limit at 1 calls: it was late"),
            (&interrupted, "it was interrupted"),
            (&endless, "10000 calls, the most that were to be tried, held"),
        ];
        for (measure, why) in rows {
            let measure = async |calls| Ok::<_, ()>(measure(calls));
            let report = find(question(), measure, |_| {}).await.unwrap();
            assert_eq!(report.unfinished.as_deref(), Some(why));
        }
    }

    #[tokio::test]
    async fn a_measurement_that_fails_ends_the_search() {
        let found = find(question(), async |_| Err("no"), |_| {}).await;
        assert_eq!(found.unwrap_err(), "no");
    }
}
