//! The page of one load.

use super::parts;
use crate::report::document::{Block, Document, Fact, Section, Tone};
use crate::report::numbers::{self, NOTHING, bytes, count, ms, percent, seconds};
use crate::report::plots::{course, spread};
use crate::results::{Broken, Measure, PassLine, RunReport, Verdict};

/// The page.
pub(crate) fn document(run: &RunReport) -> Document {
    let (tone, answer, verdict) = verdict(run);
    let mut sections = details(run);
    sections.push(parts::provenance(&run.provenance, &run.target, &run.target_agent));
    if !run.scenario_toml.is_empty() {
        let scenario = Block::Code(run.scenario_toml.clone());
        sections.push(Section::new("The scenario", vec![scenario]));
    }
    let title = format!("Load test of {} · {}", run.target, run.scenario);
    Document { title, answer, tone, verdict, facts: facts(run), sections }
}

/// Pictures and tables of a run, without where it was made.
pub(crate) fn details(run: &RunReport) -> Vec<Section> {
    let mut cost = Vec::new();
    if let Some(watched) = &run.watched {
        cost.extend(parts::target(watched, run.calls.mean));
    } else {
        cost.push(Block::Text("The target could not be watched: it runs elsewhere.".into()));
    }
    cost.push(parts::generator(&run.generator));
    let calm = run.seconds.iter().all(|second| second.refused + second.failed == 0);
    let calm = if calm { " In no second was a call refused, and none failed." } else { "" };
    let shade = "What lies in the shade is run-up and run-down and counts nowhere.";
    let shade = Block::Text(format!("{shade}{calm}"));
    let course = vec![Block::Plots(course::plots(run)), shade];
    let bars =
        Block::Text("The bars are percent of the values; times have a logarithmic axis.".into());
    let spread = vec![Block::Plots(spread::plots(run)), bars, parts::quantiles(run)];
    vec![
        Section::new("The course of the run", course),
        Section::new("How values were spread", spread),
        Section::new(
            "What became of the calls, and what was heard",
            vec![parts::calls(&run.calls), parts::heard(&run.heard)],
        ),
        Section::new("What it cost", cost),
    ]
}

/// A broken limit in words.
pub(crate) fn broken(broken: &Broken) -> String {
    format!("{} was wanted, {} was found", broken.limit, broken.found)
}

fn verdict(run: &RunReport) -> (Tone, String, Vec<String>) {
    let load = format!("{} calls at once", count(run.calls.peak));
    let time = seconds(run.measured_seconds);
    let line = run.pass_line.as_ref().map(|line| format!("Pass line: {}", spaced(line)));
    let early = run.interrupted.then(|| "Somebody ended this run early.".to_owned());
    let lines = |first: Option<String>| {
        first.into_iter().chain(line.clone()).chain(early.clone()).collect::<Vec<_>>()
    };
    match &run.verdict {
        Verdict::Pass => {
            (Tone::Good, format!("{load} held the pass line for {time}."), lines(None))
        }
        Verdict::Fail { broken: limits } => {
            let first = limits.iter().map(broken).collect::<Vec<_>>().join("; ");
            let answer = format!("{load} did not hold the pass line.");
            (Tone::Bad, answer, lines(Some(first).filter(|text| !text.is_empty())))
        }
        Verdict::GeneratorWasTheLimit { why } => {
            let answer = "The generator was the limit: this run says nothing about the target.";
            (Tone::NoVerdict, answer.into(), lines(Some(why.clone())))
        }
        Verdict::NotAsked => {
            let (failed, refused) = (run.calls.failures(), run.calls.refusals());
            let answer = format!("{load} for {time}; {failed} failed, {refused} were refused.");
            let asked = "No pass line was given, so there is no verdict.".to_owned();
            (Tone::Plain, answer, lines(Some(asked)))
        }
    }
}

fn facts(run: &RunReport) -> Vec<Fact> {
    let (calls, heard) = (&run.calls, &run.heard);
    let share = |part: u64| match calls.placed {
        0 => String::new(),
        placed => format!("{} of the placed", percent(part as f64 / placed as f64)),
    };
    let per_second = format!(
        "{} a second, over {}",
        numbers::significant(calls.per_second),
        seconds(run.measured_seconds)
    );
    let mos = if heard.mos.count == 0 {
        NOTHING.into()
    } else {
        numbers::number(Measure::Mos.of(run), 2)
    };
    let mut facts = vec![
        Fact::new(
            "Calls at once",
            number_of(calls.mean),
            format!("on average, {} at most", count(calls.peak)),
        ),
        Fact::new("Calls placed", count(calls.placed), per_second),
        Fact::new("Failed", count(calls.failures()), share(calls.failures())),
        Fact::new("Refused", count(calls.refusals()), share(calls.refusals())),
        Fact::new("Lost packets", loss(run), format!("of {} to be heard", count(heard.expected))),
        Fact::new("Lateness", ms_of(heard.late_ms.count, heard.late_ms.p999), "99.9 % of packets"),
        Fact::new("Set-up", ms_of(calls.setup_ms.count, calls.setup_ms.p99), "99 % of calls"),
        Fact::new(
            "Round trip",
            ms_of(heard.round_trip_ms.count, heard.round_trip_ms.p50),
            "median",
        ),
        Fact::new("MOS", mos, "reached by 95 % of calls"),
    ];
    if let Some(cost) = run.watched.as_ref().filter(|_| calls.mean > 0.0) {
        let all = format!("of a core; {} cores in all", numbers::cores(cost.cpu_cores));
        facts.push(Fact::new("CPU of a call", percent(cost.cpu_cores / calls.mean), all));
        let idle = format!("{} when idle", bytes(cost.rss_idle_bytes as f64));
        facts.push(Fact::new("Memory of the target", bytes(cost.rss_bytes as f64), idle));
    }
    let generator = parts::generator_cores(&run.generator);
    let late = format!("sent {} late at p99.9", ms(run.generator.send_late_ms.p999));
    facts.push(Fact::new("Generator", format!("{} cores", numbers::cores(generator)), late));
    facts
}

/// Limits as a list, not as an argument.
pub(crate) fn spaced(line: &PassLine) -> String {
    line.to_string().replace(',', ", ")
}

fn number_of(mean: f64) -> String {
    numbers::number(mean, if mean < 100.0 { 1 } else { 0 })
}

pub(crate) fn loss(run: &RunReport) -> String {
    if run.heard.expected == 0 { NOTHING.into() } else { percent(run.heard.loss()) }
}

pub(crate) fn ms_of(count: u64, value: f64) -> String {
    if count == 0 { NOTHING.into() } else { ms(value) }
}
