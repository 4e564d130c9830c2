//! What else differs between two results.

use super::figures;
use crate::results::{Provenance, ResultsFile, RunReport, Verdict};

/// Reasons not to compare the two, or only with care.
pub(super) fn of(before: &ResultsFile, after: &ResultsFile) -> Vec<String> {
    let (a, b) = (facts(before), facts(after));
    let mut reasons: Vec<_> = a
        .iter()
        .zip(&b)
        .filter(|(a, b)| a.1 != b.1)
        .map(|(a, b)| differ(a.0, &a.1, &b.1))
        .collect();
    if scenario(before).is_some_and(|text| Some(text) != scenario(after)) {
        reasons.push("the scenarios' texts differ".into());
    }
    for (when, results) in [("before", before), ("after", after)] {
        if let Some(why) = limited(results) {
            reasons.push(format!("{when}, the generator was the limit: {why}"));
        }
    }
    if let (ResultsFile::Run(a), ResultsFile::Run(b)) = (before, after) {
        let (a, b) = (a.calls.mean, b.calls.mean);
        if (a - b).abs() > LOADS_ALIKE * a.max(b) {
            reasons.push(format!("the loads differ: {a:.0} and {b:.0} calls at once"));
        }
    }
    let kind = |results: &ResultsFile| matches!(results, ResultsFile::Run(_));
    if kind(before) != kind(after) {
        reasons.push("one is a search: the load it found is compared with the other's".into());
    }
    reasons
}

fn differ(name: &str, before: &str, after: &str) -> String {
    let or_nothing = |text: &str| if text.is_empty() { "unknown".into() } else { text.to_owned() };
    format!("{name} differs: {} and {}", or_nothing(before), or_nothing(after))
}

fn facts(results: &ResultsFile) -> Vec<(&'static str, String)> {
    let (made, scenario, agent, line) = match results {
        ResultsFile::Run(run) => {
            let line = run.pass_line.as_ref().map(ToString::to_string).unwrap_or_default();
            (&run.provenance, &run.scenario, &run.target_agent, line)
        }
        ResultsFile::Capacity(search) => {
            let line = search.pass_line.to_string();
            (&search.provenance, &search.scenario, &search.target_agent, line)
        }
    };
    let Provenance { tool, host, .. } = made;
    let (cores, memory) = (host.cores.to_string(), (host.memory_bytes >> 30).to_string());
    let fact = |name, value: &str| (name, value.to_owned());
    vec![
        fact("the scenario", scenario),
        fact("the pass line", &line),
        fact("the host", &host.name),
        fact("the processor", &host.cpu),
        fact("the number of cores", &cores),
        fact("the memory in GiB", &memory),
        fact("the kernel", &host.kernel),
        fact("the network", &host.network),
        fact("the generator's version", tool),
        fact("the target", agent),
    ]
}

fn run_of(results: &ResultsFile) -> Option<&RunReport> {
    match results {
        ResultsFile::Run(run) => Some(run),
        ResultsFile::Capacity(search) => figures::answer(search),
    }
}

fn scenario(results: &ResultsFile) -> Option<&str> {
    // A search writes the load it tries into the scenario.
    match results {
        ResultsFile::Run(run) => Some(&run.scenario_toml),
        ResultsFile::Capacity(_) => None,
    }
}

fn limited(results: &ResultsFile) -> Option<&str> {
    match &run_of(results)?.verdict {
        Verdict::GeneratorWasTheLimit { why } => Some(why),
        _ => None,
    }
}

/// Loads that differ by less are one load.
const LOADS_ALIKE: f64 = 0.02;
