//! Two results beside each other: what changed, and whether that is more than noise.
//!
//! The rule, which every comparison repeats ([`RULE`]): a difference is noise when the bands of the
//! two values overlap. A band is three standard errors to each side, from what the runs themselves
//! show: the spread between stretches of five measured seconds, or the ranks of a quantile, or the
//! square root of a count. Of a capacity it reaches from the most calls that held the pass line to
//! the fewest that did not. What a machine does from one hour to the next is in none of them.
//!
//! - `figures`: what is compared, in a run and in a search.
//! - `bands`: how far a value may be off.
//! - `fairness`: what else differs.

mod bands;
mod fairness;
mod figures;

use crate::report::document::Table;
use crate::report::numbers::{self, NOTHING};
use crate::report::{markdown, terminal};
use crate::results::ResultsFile;

use bands::Band;

/// Two results beside each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Why the two should not be compared, or only with care.
    pub unfair: Vec<String>,
    /// What changed.
    pub changes: Vec<Change>,
}

/// A figure before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What it is.
    pub name: &'static str,
    /// Before, with its unit.
    pub before: String,
    /// After, with its unit.
    pub after: String,
    /// By what share of the value before; `None` when that was nothing.
    pub by: Option<f64>,
    /// What to make of it.
    pub judged: Judged,
}

/// What to make of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// It is more than noise, and welcome.
    Better,
    /// It is more than noise, and not welcome.
    Worse,
    /// The runs' own spread explains it.
    WithinNoise,
    /// More than noise, but neither good nor bad by itself.
    Different,
    /// The runs are too short to tell.
    Unknown,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Less,
    More,
    Neither,
}

/// A figure of one result.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    name: &'static str,
    value: f64,
    text: String,
    band: Option<Band>,
    wanted: Wanted,
}

/// How noise is told from change, for readers.
pub const RULE: &str = "Within noise: the bands of both values overlap. A band is three standard errors to each side, by the \
     spread between stretches of five measured seconds, a quantile's ranks or a count's square root; \
     of a capacity it reaches from the most calls that held to the fewest that did not. Drift of a \
     machine from hour to hour is in none of these: repeat in turns before you believe a small change.";

/// Compares them.
pub fn compare(before: &ResultsFile, after: &ResultsFile) -> Comparison {
    let earlier = figures::of(before, after);
    let later = figures::of(after, before);
    let pairs = earlier.into_iter().filter_map(|a| {
        let b = later.iter().find(|b| b.name == a.name)?;
        Some(change(&a, b))
    });
    Comparison { changes: pairs.collect(), unfair: fairness::of(before, after) }
}

impl Comparison {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for reason in &self.unfair {
            text += &format!("NOT A FAIR COMPARISON: {reason}\n");
        }
        if !self.unfair.is_empty() {
            text.push('\n');
        }
        text += &terminal::table(&self.table());
        text += &format!("\n{}\n", terminal::wrapped(RULE));
        text
    }

    /// For a page.
    pub fn markdown(&self) -> String {
        let reasons = self
            .unfair
            .iter()
            .map(|reason| format!("- **Not a fair comparison:** {}\n", markdown::line(reason)));
        let mut text: String = reasons.collect();
        if !text.is_empty() {
            text.push('\n');
        }
        text += &markdown::table(&self.table());
        text + RULE + "\n"
    }

    fn table(&self) -> Table {
        let mut table = Table::new(["", "before", "after", "change", ""], &[0, 4]);
        for change in &self.changes {
            let by = match change.by {
                Some(by) if by > 0.0 => format!("+{}", numbers::percent(by)),
                Some(by) => numbers::percent(by),
                None => NOTHING.into(),
            };
            let judged = match change.judged {
                Judged::Better => "better",
                Judged::Worse => "WORSE",
                Judged::WithinNoise => "within noise",
                Judged::Different => "different",
                Judged::Unknown => "too short to tell",
            };
            let [before, after] = [change.before.clone(), change.after.clone()];
            table = table.row([change.name.into(), before, after, by, judged.into()]);
        }
        table
    }
}

fn change(before: &Figure, after: &Figure) -> Change {
    let by = (after.value - before.value) / before.value;
    let judged = match (before.band, after.band) {
        _ if before.value == after.value => Judged::WithinNoise,
        (Some(a), Some(b)) if a.overlaps(b) => Judged::WithinNoise,
        (Some(_), Some(_)) => match (before.wanted, after.value < before.value) {
            (Wanted::Neither, _) => Judged::Different,
            (Wanted::Less, true) | (Wanted::More, false) => Judged::Better,
            _ => Judged::Worse,
        },
        _ => Judged::Unknown,
    };
    Change {
        name: before.name,
        before: before.text.clone(),
        after: after.text.clone(),
        by: by.is_finite().then_some(by),
        judged,
    }
}

#[cfg(test)]
mod tests;
