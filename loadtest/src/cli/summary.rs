//! What came of a run, in a screenful.

use std::fmt::Write;

use voxload::results::{Calls, Distribution, RunReport, Verdict};

/// For people, with a line's end.
pub(crate) fn of(report: &RunReport) -> String {
    let mut text = String::new();
    let mut row = |label: &str, value: String| _ = writeln!(text, "{label:<12}{value}");
    let (calls, heard, generator) = (&report.calls, &report.heard, &report.generator);
    row("target", target(report));
    row(
        "calls",
        format!(
            "{} placed, {} answered, {} ended well; {:.1} at once (at most {}), {:.2} a second",
            calls.placed,
            calls.answered,
            calls.ended_well,
            calls.mean,
            calls.peak,
            calls.per_second,
        ),
    );
    row("refused", refused(calls));
    row("failed", failed(calls));
    row("set-up", times(&calls.setup_ms));
    row(
        "heard",
        format!(
            "{} packets in {:.1} s; {} lost ({:.3} %), {} reordered, {} duplicated",
            heard.received,
            report.measured_seconds,
            heard.lost,
            heard.loss() * 100.0,
            heard.reordered,
            heard.duplicates,
        ),
    );
    row("late", times(&heard.late_ms));
    row("round trip", times(&heard.round_trip_ms));
    row("first audio", times(&heard.first_audio_ms));
    row("MOS", format!("mean {:.2}, worst {:.2}", heard.mos.mean, heard.mos.min));
    row("one-way", format!("{} calls; in {} the own words came back", heard.one_way, heard.echoed));
    // From zero: a sum of nothing is minus zero.
    let media = generator.media.iter().fold(0.0, |sum, thread| sum + thread.cpu_cores);
    row(
        "generator",
        format!(
            "{media:.2} cores for media, {:.2} for the rest; sends late {}",
            generator.rest_cores,
            times(&generator.send_late_ms),
        ),
    );
    if let Some(watched) = &report.watched {
        let mib = watched.rss_bytes >> 20;
        row("target cost", format!("{:.2} cores, {mib} MiB at most", watched.cpu_cores));
    }
    row("verdict", verdict(report));
    text
}

fn target(report: &RunReport) -> String {
    match report.target_agent.as_str() {
        "" => report.target.clone(),
        agent => format!("{} ({agent})", report.target),
    }
}

fn refused(calls: &Calls) -> String {
    let each = calls.refused.iter().map(|(status, count)| format!("{count} with {status}"));
    let share = calls.refusals() as f64 / calls.placed.max(1) as f64 * 100.0;
    match calls.refusals() {
        0 => "none".into(),
        count => format!("{count} ({share:.2} %): {}", each.collect::<Vec<_>>().join(", ")),
    }
}

fn failed(calls: &Calls) -> String {
    let each = calls.failed.iter().map(|(reason, count)| format!("{count} {reason}"));
    match calls.failures() {
        0 => "none".into(),
        count => format!("{count}: {}", each.collect::<Vec<_>>().join(", ")),
    }
}

fn times(times: &Distribution) -> String {
    match times.count {
        0 => "-".into(),
        _ => format!(
            "p50 {:.1}, p99 {:.1}, p99.9 {:.1}, at most {:.1} ms",
            times.p50, times.p99, times.p999, times.max
        ),
    }
}

fn verdict(report: &RunReport) -> String {
    match &report.verdict {
        Verdict::NotAsked => "not asked for (--pass)".into(),
        Verdict::Pass => "pass".into(),
        Verdict::Fail { broken } => {
            let each = broken.iter().map(|broken| format!("{}: {}", broken.limit, broken.found));
            format!("fail: {}", each.collect::<Vec<_>>().join("; "))
        }
        Verdict::GeneratorWasTheLimit { why } => {
            format!("none: the generator was the limit: {why}")
        }
    }
}
