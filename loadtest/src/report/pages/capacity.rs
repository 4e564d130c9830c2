//! The page of a search for the highest load.

use super::{parts, run};
use crate::report::document::{Block, Document, Fact, Section, Table, Tone};
use crate::report::numbers::{self, NOTHING, bytes, count, percent, seconds};
use crate::report::plots::{course, loads};
use crate::results::{CapacityReport, Measure, Point, RunReport, Verdict};

/// The page.
pub(crate) fn document(report: &CapacityReport) -> Document {
    let mut sections = vec![tried(report)];
    if let Some(point) = answer_point(report) {
        let mut details = run::details(&point.run);
        for section in &mut details {
            section.title =
                format!("At {} calls: {}", count(point.calls), uncapital(&section.title));
        }
        sections.extend(details);
    }
    if let Some(point) = report.points.iter().find(|point| Some(point.calls) == report.broken_at) {
        let title = format!("At {} calls, where it broke", count(point.calls));
        sections.push(Section::new(&title, vec![Block::Plots(course::plots(&point.run))]));
    }
    sections.push(parts::provenance(&report.provenance, &report.target, &report.target_agent));
    if let Some(scenario) = scenario(report) {
        sections.push(Section::new("The scenario", vec![Block::Code(scenario)]));
    }
    Document {
        title: format!("Capacity of {} · {}", report.target, report.scenario),
        answer: answer(report),
        tone: tone(report),
        verdict: verdict(report),
        facts: facts(report),
        sections,
    }
}

fn answer(report: &CapacityReport) -> String {
    if report.calls == 0 {
        return match generator_was_the_limit(report) {
            true => "The generator was the limit: no verdict about this host.".into(),
            false => "This host did not hold the pass line at any load that was tried.".into(),
        };
    }
    let least = if report.broken_at.is_none() { "at least " } else { "" };
    let (calls, scenario) = (count(report.calls), &report.scenario);
    let (rate, verb) = match report.is_of_rate() {
        true => (true, "takes"),
        false => (false, "holds"),
    };
    let unit = report.unit();
    let mut answer = format!("This host {verb} {least}{calls} {scenario} {unit}");
    if rate {
        return answer + ".";
    }
    if let Some(thousand) = report.hosts.iter().find(|needed| needed.calls == 1_000) {
        let hosts = if thousand.hosts == 1 { "host" } else { "hosts" };
        answer += &format!("; {} {hosts} for 1,000", count(thousand.hosts));
    }
    answer + "."
}

fn tone(report: &CapacityReport) -> Tone {
    match (report.calls, &report.unfinished) {
        (_, Some(_)) => Tone::NoVerdict,
        (0, None) => Tone::Bad,
        _ => Tone::Good,
    }
}

fn verdict(report: &CapacityReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(why) = &report.unfinished {
        lines.push(match generator_was_the_limit(report) {
            true => format!("The generator was the limit, so the host may hold more: {why}"),
            false => format!("The search ended before it found the line: {why}"),
        });
    }
    let held = answer_point(report)
        .map(|point| format!(", held for {}", seconds(point.run.measured_seconds)));
    lines.push(format!(
        "Pass line: {}{}",
        run::spaced(&report.pass_line),
        held.unwrap_or_default()
    ));
    if let (Some(at), false) = (report.broken_at, report.broken.is_empty()) {
        let broken: Vec<_> = report.broken.iter().map(run::broken).collect();
        lines.push(format!("What broke first, at {} calls: {}", count(at), broken.join("; ")));
    }
    lines
}

fn generator_was_the_limit(report: &CapacityReport) -> bool {
    let limited = |point: &Point| matches!(point.run.verdict, Verdict::GeneratorWasTheLimit { .. });
    report.points.iter().any(limited)
}

fn facts(report: &CapacityReport) -> Vec<Fact> {
    let mut facts = vec![headline(report)];
    if let Some(worst) = report.broken.first() {
        let at = report.broken_at.map_or_else(String::new, |at| format!(" at {} calls", count(at)));
        let found = format!("{} found{at}", worst.found);
        facts.push(Fact::new("Broke first", worst.limit.clone(), found));
    }
    if let Some(cost) = &report.cost {
        let cores = match cost.cpu_percent > 0.0 {
            true => format!("of a core; {} calls a core", count((100.0 / cost.cpu_percent) as u64)),
            false => "of a core".into(),
        };
        facts.push(Fact::new("CPU of a call", percent(cost.cpu_percent / 100.0), cores));
        let descriptors = format!("and {} descriptors", numbers::significant(cost.descriptors));
        facts.push(Fact::new("Memory of a call", bytes(cost.rss_bytes), descriptors));
    }
    for needed in report.hosts.iter().filter(|_| !report.is_of_rate()) {
        let label = format!("Hosts for {} calls", count(needed.calls));
        facts.push(Fact::new(&label, count(needed.hosts), "none above 80 % of what it holds"));
    }
    if let Some(point) = answer_point(report) {
        let generator = &point.run.generator;
        let cores = format!("{} cores", numbers::cores(parts::generator_cores(generator)));
        let late = numbers::ms(generator.send_late_ms.p999);
        facts.push(Fact::new("Generator", cores, format!("sent {late} late at p99.9")));
    }
    facts
}

/// The answer as a figure, with how exactly it is known.
fn headline(report: &CapacityReport) -> Fact {
    let exactly = match report.broken_at {
        Some(at) => format!("{} broke it; ", count(at)),
        None => String::new(),
    };
    let placed = match report.is_of_rate() {
        true => String::new(),
        false => format!("{} a second placed", numbers::significant(report.calls_per_second)),
    };
    let label = if report.is_of_rate() { "Calls a second" } else { "Calls at once" };
    let note = format!("{exactly}{placed}");
    Fact::new(label, count(report.calls), note.trim_end_matches("; "))
}

/// All loads, in the order they were tried.
fn tried(report: &CapacityReport) -> Section {
    let columns = [
        "Calls",
        "late p99.9",
        "loss",
        "MOS 95 %",
        "set-up p99",
        "failed",
        "refused",
        "target, cores",
        "generator, cores",
        "memory",
        "verdict",
    ];
    let mut table = Table::new(columns, &[10]);
    table.columns[0] = if report.is_of_rate() { "Calls a second" } else { "Calls" }.into();
    for point in &report.points {
        table.rows.push(tried_row(point));
    }
    let is_answer =
        |point: &Point| point.calls == report.calls && point.run.verdict == Verdict::Pass;
    table.marked = report.points.iter().rposition(is_answer);
    let plots = Block::Plots(loads::plots(report));
    Section::new("Every load that was tried", vec![Block::Table(table), plots])
}

fn tried_row(point: &Point) -> Vec<String> {
    let run = &point.run;
    let (late, setup) = (&run.heard.late_ms, &run.calls.setup_ms);
    let watched = run.watched.as_ref();
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.into());
    let mos = match run.heard.mos.count {
        0 => NOTHING.into(),
        _ => numbers::number(Measure::Mos.of(run), 2),
    };
    vec![
        count(point.calls),
        run::ms_of(late.count, late.p999),
        run::loss(run),
        mos,
        run::ms_of(setup.count, setup.p99),
        count(run.calls.failures()),
        count(run.calls.refusals()),
        or_nothing(watched.map(|cost| numbers::cores(cost.cpu_cores))),
        numbers::cores(parts::generator_cores(&run.generator)),
        or_nothing(watched.map(|cost| bytes(cost.rss_bytes as f64))),
        verdict_word(run),
    ]
}

fn verdict_word(run: &RunReport) -> String {
    match &run.verdict {
        Verdict::Pass => "pass".into(),
        Verdict::NotAsked => NOTHING.into(),
        Verdict::GeneratorWasTheLimit { .. } => "no verdict".into(),
        Verdict::Fail { broken } => match broken.first() {
            Some(worst) => format!("fail:\u{a0}{}", worst.limit),
            None => "fail".into(),
        },
    }
}

/// The run that the answer rests on.
fn answer_point(report: &CapacityReport) -> Option<&Point> {
    let holds = |point: &&Point| {
        point.calls == report.calls
            && matches!(point.run.verdict, Verdict::Pass | Verdict::NotAsked)
    };
    report.points.iter().rev().find(holds)
}

fn scenario(report: &CapacityReport) -> Option<String> {
    let point = answer_point(report).or(report.points.first())?;
    Some(point.run.scenario_toml.clone()).filter(|text| !text.is_empty())
}

fn uncapital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}
