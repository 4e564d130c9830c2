//! What must hold: `loss<0.1%,late_p99.9<5ms,failed=0,setup_p99<100ms,mos>4.2`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::RunReport;
use super::measure::Measure;

/// Limits that must all hold. Written, and kept in files, as text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PassLine(pub Vec<Limit>);

/// One limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// What is looked at.
    pub measure: Measure,
    /// On which side of the bound it must be.
    pub sense: Sense,
    /// The bound, in the measure's unit: ms, a share, a count, a MOS.
    pub bound: f64,
}

/// The side of a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    /// `<`
    Below,
    /// `>`
    Above,
    /// `=`
    Equal,
}

/// A limit that did not hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Broken {
    /// The limit, as text.
    pub limit: String,
    /// What was found, with its unit.
    pub found: String,
    /// How far beyond: found divided by bound (or the inverse for `>`); 1.0 is at the bound.
    pub by: f64,
}

/// Why a text is no pass line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part:?}: {problem}")]
pub struct PassLineError {
    part: String,
    problem: String,
}

impl PassLine {
    /// Limits that `run` broke, worst first.
    pub fn broken(&self, run: &RunReport) -> Vec<Broken> {
        let mut broken: Vec<_> = self.0.iter().filter_map(|limit| limit.broken(run)).collect();
        broken.sort_by(|a, b| b.by.total_cmp(&a.by));
        broken
    }
}

impl Limit {
    fn broken(&self, run: &RunReport) -> Option<Broken> {
        let found = self.measure.of(run);
        let (holds, by) = match self.sense {
            Sense::Below => (found < self.bound, found / self.bound),
            Sense::Above => (found > self.bound, self.bound / found),
            Sense::Equal => (found == self.bound, f64::INFINITY),
        };
        // Infinity is no JSON.
        let by = if by.is_finite() { by } else { f64::from(u32::MAX) };
        let found = || self.measure.unit().with(found);
        (!holds).then(|| Broken { limit: self.to_string(), found: found(), by })
    }
}

impl FromStr for PassLine {
    type Err = PassLineError;

    fn from_str(text: &str) -> Result<Self, PassLineError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Limit {
    type Err = PassLineError;

    fn from_str(part: &str) -> Result<Self, PassLineError> {
        let problem = |problem: String| PassLineError { part: part.into(), problem };
        let at = part.find(['<', '>', '=']).ok_or_else(|| {
            problem("expected MEASURE<BOUND, MEASURE>BOUND or MEASURE=BOUND".into())
        })?;
        let (name, bound) = (part[..at].trim(), part[at + 1..].trim());
        let sense = match part.as_bytes()[at] {
            b'<' => Sense::Below,
            b'>' => Sense::Above,
            _ => Sense::Equal,
        };
        let measure: Measure = name.parse().map_err(problem)?;
        let bound = measure.unit().parse(bound).map_err(|expected| problem(expected.into()))?;
        Ok(Self { measure, sense, bound })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sense = match self.sense {
            Sense::Below => '<',
            Sense::Above => '>',
            Sense::Equal => '=',
        };
        write!(f, "{}{sense}{}", self.measure, self.measure.unit().with(self.bound))
    }
}

impl fmt::Display for PassLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits: Vec<_> = self.0.iter().map(Limit::to_string).collect();
        f.write_str(&limits.join(","))
    }
}

impl TryFrom<String> for PassLine {
    type Error = PassLineError;

    fn try_from(text: String) -> Result<Self, PassLineError> {
        text.parse()
    }
}

impl From<PassLine> for String {
    fn from(line: PassLine) -> Self {
        line.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Distribution;

    const USUAL: &str = "loss<0.1%,late_p99.9<5ms,failed=0,setup_p99<100ms,mos>4.2";

    /// Holds [`USUAL`].
    fn run() -> RunReport {
        let mut run = RunReport::default();
        run.heard.expected = 100_000;
        run.heard.received = 100_000;
        run.heard.mos = Distribution::of_values([4.4; 100]);
        run.heard.late_ms = Distribution::of_values([0.5, 1.0, 2.0]);
        run.calls.setup_ms = Distribution::of_values([3.0, 30.0]);
        run
    }

    #[test]
    fn a_pass_line_reads_as_it_is_written() {
        for text in [USUAL, "round_trip_p50<80ms,first_audio_max<1000ms,one_way=0", ""] {
            assert_eq!(text.parse::<PassLine>().unwrap().to_string(), text);
        }
        assert_eq!("gap_max<1s".parse::<PassLine>().unwrap().to_string(), "gap_max<1000ms");
    }

    #[test]
    fn a_wrong_one_says_what_was_expected() {
        for (text, expected) in [
            ("loss", "expected MEASURE<BOUND"),
            ("rain<1", "expected one of loss, failed"),
            ("late_p98<1ms", "with a quantile (p50"),
            ("loss<1", "expected a percentage"),
            ("late_p99<5", "expected a time"),
            ("mos>good", "expected a score"),
            ("failed=-1", "expected a number"),
        ] {
            let error = text.parse::<PassLine>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn each_limit_is_broken_by_its_own_measure_only() {
        let line: PassLine = USUAL.parse().unwrap();
        assert_eq!(line.broken(&run()), []);
        type Spoil = fn(&mut RunReport);
        let rows: [(&str, Spoil, &str); 6] = [
            ("loss<0.1%", |run| run.heard.lost = 200, "0.2%"),
            (
                "late_p99.9<5ms",
                |run| run.heard.late_ms = Distribution::of_values([7.5; 9]),
                "7.5ms",
            ),
            ("failed=0", |run| _ = run.calls.failed.insert("no answer".into(), 2), "2"),
            (
                "setup_p99<100ms",
                |run| run.calls.setup_ms = Distribution::default(),
                "nothing measured",
            ),
            (
                "mos>4.2",
                |run| {
                    let mostly = [4.4; 90].into_iter().chain([2.0; 10]);
                    run.heard.mos = Distribution::of_values(mostly);
                },
                "2.06",
            ),
            ("mos>4.2", |run| run.heard.mos = Distribution::default(), "0"),
        ];
        for (limit, spoil, found) in rows {
            let mut run = run();
            spoil(&mut run);
            let broken = line.broken(&run);
            assert_eq!(broken.len(), 1, "{broken:?}");
            assert_eq!((broken[0].limit.as_str(), broken[0].found.as_str()), (limit, found));
            assert!(broken[0].by > 1.0);
        }
    }

    #[test]
    fn what_is_furthest_beyond_its_bound_comes_first() {
        let mut run = run();
        run.heard.lost = 200;
        run.heard.late_ms = Distribution::of_values([50.0; 9]);
        let limits: Vec<_> = USUAL
            .parse::<PassLine>()
            .unwrap()
            .broken(&run)
            .into_iter()
            .map(|broken| broken.limit)
            .collect();
        assert_eq!(limits, ["late_p99.9<5ms", "loss<0.1%"]);
    }
}
