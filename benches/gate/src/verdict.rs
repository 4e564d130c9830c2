//! Was, is, percent, and what follows from it.

use std::process::ExitCode;

use crate::baseline::{Baseline, COMPILER};
use crate::callgrind::Counted;
use crate::pieces::PIECES;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Same,
    Better,
    Worse,
    /// Not in the baseline.
    New,
}

/// Prints the table. A failure when something got worse, or the baseline does not name these pieces.
pub(crate) fn give(baseline: &Baseline, counted: &[Counted]) -> ExitCode {
    let same_compiler = baseline.compiler == COMPILER;
    if !same_compiler {
        println!("The baseline was built with {}, this with {COMPILER}:", baseline.compiler);
        println!(
            "less than {OTHER_COMPILER} % is not judged. `./dev gate --accept` on this one.\n"
        );
    }
    println!("instructions per frame");
    println!("{:>10} {:>10} {:>8} {:>8}", "was", "is", "change", "allowed");
    let mut verdicts = vec![];
    for Counted { name, instructions: is } in counted {
        let was = baseline.counted.iter().find(|was| was.name == *name);
        let was = was.map(|was| was.instructions);
        let allowed = tolerance(name, same_compiler);
        let verdict = judge(was, *is, allowed);
        println!("{}", row(name, was, *is, allowed, verdict));
        verdicts.push(verdict);
    }
    let named = |name: &str| counted.iter().any(|counted| counted.name == name);
    let gone: Vec<_> = baseline.counted.iter().filter(|was| !named(&was.name)).collect();
    for Counted { name, instructions } in &gone {
        println!("{instructions:>10} {:>10} {:>8} {:>8}  {name}: is counted no more", "", "", "");
    }
    if conclude(&verdicts, gone.len()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn conclude(verdicts: &[Verdict], gone: usize) -> bool {
    let many = |verdict| verdicts.iter().filter(|found| **found == verdict).count();
    let (better, worse, new) = (many(Verdict::Better), many(Verdict::Worse), many(Verdict::New));
    println!("\n{} pieces, {better} better, {worse} worse, {new} new, {gone} gone", verdicts.len());
    if worse + new + gone > 0 {
        println!(
            "Not as in the baseline: mend it, or `./dev gate --accept` and say why in the commit."
        );
        return false;
    }
    if better > 0 {
        println!("Better than the baseline: `./dev gate --accept` keeps it so.");
    }
    true
}

fn tolerance(name: &str, same_compiler: bool) -> f64 {
    let stated = PIECES.iter().find(|piece| piece.name == name).map_or(0.0, |it| it.tolerance);
    if same_compiler { stated } else { stated.max(OTHER_COMPILER) }
}

fn judge(was: Option<u64>, is: u64, allowed_percent: f64) -> Verdict {
    let Some(was) = was else { return Verdict::New };
    match percent(was, is) {
        change if change > allowed_percent => Verdict::Worse,
        change if change < -allowed_percent => Verdict::Better,
        _ => Verdict::Same,
    }
}

fn percent(was: u64, is: u64) -> f64 {
    100.0 * (is as f64 - was as f64) / was.max(1) as f64
}

fn row(name: &str, was: Option<u64>, is: u64, allowed: f64, verdict: Verdict) -> String {
    let change = was.map_or(String::new(), |was| format!("{:+.1} %", percent(was, is)));
    let was = was.map_or(String::new(), |was| was.to_string());
    let allowed = format!("{allowed:.0} %");
    let mark = match verdict {
        Verdict::Same => "",
        Verdict::Better => ": better",
        Verdict::Worse => ": WORSE",
        Verdict::New => ": NEW",
    };
    format!("{was:>10} {is:>10} {change:>8} {allowed:>8}  {name}{mark}")
}

/// What another compiler may make of the same source.
const OTHER_COMPILER: f64 = 25.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_beyond_the_tolerance_counts() {
        for (was, is, verdict) in [
            (Some(1_000), 1_000, Verdict::Same),
            (Some(1_000), 1_020, Verdict::Same),
            (Some(1_000), 1_021, Verdict::Worse),
            (Some(1_000), 980, Verdict::Same),
            (Some(1_000), 979, Verdict::Better),
            (Some(0), 1, Verdict::Worse),
            (Some(0), 0, Verdict::Same),
            (None, 1_000, Verdict::New),
        ] {
            assert_eq!(judge(was, is, 2.0), verdict, "{was:?} {is}");
        }
    }

    #[test]
    fn worse_new_and_gone_fail_and_better_does_not() {
        for (verdicts, gone, passes) in [
            (&[Verdict::Same, Verdict::Better][..], 0, true),
            (&[Verdict::Same, Verdict::Worse][..], 0, false),
            (&[Verdict::New][..], 0, false),
            (&[Verdict::Same][..], 1, false),
        ] {
            assert_eq!(conclude(verdicts, gone), passes, "{verdicts:?} {gone}");
        }
    }
}
