//! The report of a run.

use super::RunPlan;
use super::course::Course;
use super::honesty::{self, cores};
use super::ledger::Books;
use super::stage::Stage;
use crate::results::{
    Calls, Distribution, GeneratorCost, Heard, PassLine, Provenance, RunReport, ThreadCost, Verdict,
};

/// Everything that was seen, as data.
pub(super) fn report(
    plan: RunPlan,
    stage: &Stage,
    provenance: Provenance,
    course: Course,
) -> RunReport {
    let books = stage.ledger.copy();
    let generator = cost(&course, &books);
    let limit = honesty::limit(&generator, &course, &books);
    let mut report = RunReport {
        provenance,
        scenario: plan.scenario.name.clone(),
        scenario_toml: plan.scenario.to_toml(),
        target: target(&plan),
        target_agent: books.agent.clone().unwrap_or_default(),
        measured_seconds: course.measured.as_secs_f64(),
        verdict: Verdict::NotAsked,
        pass_line: plan.pass_line,
        calls: calls(&course, &books),
        heard: heard(&course, books.heard),
        generator,
        watched: course.watched,
        interrupted: course.interrupted,
        seconds: course.seconds,
    };
    report.verdict = verdict(&report, limit);
    report
}

fn verdict(report: &RunReport, limit: Option<String>) -> Verdict {
    let broken = |line: &PassLine| line.broken(report);
    match (limit, &report.pass_line) {
        (Some(why), _) => Verdict::GeneratorWasTheLimit { why },
        (None, None) => Verdict::NotAsked,
        (None, Some(line)) => match broken(line) {
            broken if broken.is_empty() => Verdict::Pass,
            broken => Verdict::Fail { broken },
        },
    }
}

fn target(plan: &RunPlan) -> String {
    let uris = plan.scenario.target.iter().flat_map(|target| &target.uris);
    let called: Vec<_> = uris.map(|called| called.uri.clone()).collect();
    let callees = plan.scenario.callees.as_ref();
    let listening = callees.map(|callees| format!("whoever calls {}", callees.listen));
    called.into_iter().chain(listening).collect::<Vec<_>>().join(", ")
}

fn calls(course: &Course, books: &Books) -> Calls {
    let measured = course.seconds.iter().filter(|second| second.measured);
    let (sum, count) = measured.fold((0, 0), |(sum, n), second| (sum + second.calls, n + 1));
    Calls {
        placed: books.placed,
        answered: books.answered,
        refused: books.refused.clone(),
        failed: books.failed.clone(),
        ended_well: books.ended_well,
        peak: books.peak,
        mean: sum as f64 / f64::from(count.max(1)),
        per_second: course.placed as f64 / course.measured.as_secs_f64().max(1e-3),
        setup_ms: Distribution::of_micros(&books.setup),
        hang_up_ms: Distribution::of_micros(&books.hang_up),
    }
}

fn heard(course: &Course, calls: super::ledger::Heard) -> Heard {
    let sum = &course.sum;
    Heard {
        sent: sum.sent,
        expected: sum.expected + calls.never_came,
        received: sum.received,
        lost: sum.lost() + calls.never_came,
        reordered: sum.reordered,
        duplicates: sum.duplicates,
        late_ms: Distribution::of_micros(&sum.late),
        jitter_ms: Distribution::of_values(calls.jitter_ms),
        gap_ms: Distribution::of_values(calls.gap_ms),
        first_audio_ms: Distribution::of_values(calls.first_audio_ms),
        round_trip_ms: Distribution::of_micros(&sum.round_trip),
        mos: Distribution::of_values(calls.mos),
        one_way: calls.one_way,
        echoed: calls.echoed,
    }
}

fn cost(course: &Course, books: &Books) -> GeneratorCost {
    let media: Vec<_> = course
        .threads
        .iter()
        .map(|thread| ThreadCost {
            core: thread.core,
            cpu_cores: cores(thread.cpu, thread.length),
            waiting_cores: cores(thread.waiting, thread.length),
        })
        .collect();
    let of_media: f64 = media.iter().map(|thread| thread.cpu_cores).sum();
    GeneratorCost {
        rest_cores: (cores(course.own_cpu, course.measured) - of_media).max(0.0),
        media,
        send_late_ms: Distribution::of_micros(&course.sum.send_late),
        send_dropped: course.sum.send_dropped + course.sum.skipped,
        receive_dropped: course.sum.dropped_here,
        place_late_ms: Distribution::of_micros(&books.place_late),
        rss_bytes: course.rss_bytes,
    }
}
