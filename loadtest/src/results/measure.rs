//! What of a run can be limited, by name and in its unit.

use std::fmt;
use std::str::FromStr;

use super::{Distribution, RunReport};

/// What can be limited.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// Share of packets that were never heard.
    Loss,
    /// Calls that failed.
    Failed,
    /// Calls that were refused.
    Refused,
    /// Calls with audio in one direction only.
    OneWay,
    /// Packets heard twice.
    Duplicates,
    /// The score that 95 % of the calls reach.
    Mos,
    /// A quantile of a time, in ms.
    Time(Time, Quantile),
}

/// A time that has a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// Lateness of packets as heard.
    Late,
    /// INVITE to 200.
    Setup,
    /// Marker to marker.
    RoundTrip,
    /// First packet to first sound.
    FirstAudio,
    /// Interarrival jitter.
    Jitter,
    /// Longest gap of a call.
    Gap,
}

/// A quantile that distributions have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantile {
    /// Median.
    P50,
    /// 90 %.
    P90,
    /// 95 %.
    P95,
    /// 99 %.
    P99,
    /// 99.9 %.
    P999,
    /// The largest.
    Max,
}

impl Measure {
    /// What `run` says about it. A time of which nothing was measured is endless: a call that no
    /// marker came back from did not come back soon.
    pub fn of(self, run: &RunReport) -> f64 {
        match self {
            Self::Loss => run.heard.loss(),
            Self::Failed => run.calls.failures() as f64,
            Self::Refused => run.calls.refusals() as f64,
            Self::OneWay => run.heard.one_way as f64,
            Self::Duplicates => run.heard.duplicates as f64,
            Self::Mos => mos_of_most(&run.heard.mos),
            Self::Time(time, quantile) => {
                let times = time.of(run);
                if times.count == 0 { f64::INFINITY } else { quantile.of(times) }
            }
        }
    }

    pub(super) const fn unit(self) -> Unit {
        match self {
            Self::Loss => Unit::Share,
            Self::Time(..) => Unit::Ms,
            Self::Mos => Unit::Mos,
            _ => Unit::Count,
        }
    }
}

/// The score that 95 % of the calls reach, as exactly as the buckets allow.
fn mos_of_most(mos: &Distribution) -> f64 {
    let few = mos.count / 20;
    let mut seen = 0;
    let reached = mos.buckets.iter().find(|(_, count)| {
        seen += count;
        seen > few
    });
    reached.map_or(0.0, |(upper, _)| upper.clamp(mos.min, mos.max))
}

impl Time {
    const ALL: [(&str, Self); 6] = [
        ("late", Self::Late),
        ("setup", Self::Setup),
        ("round_trip", Self::RoundTrip),
        ("first_audio", Self::FirstAudio),
        ("jitter", Self::Jitter),
        ("gap", Self::Gap),
    ];

    fn of(self, run: &RunReport) -> &Distribution {
        match self {
            Self::Late => &run.heard.late_ms,
            Self::Setup => &run.calls.setup_ms,
            Self::RoundTrip => &run.heard.round_trip_ms,
            Self::FirstAudio => &run.heard.first_audio_ms,
            Self::Jitter => &run.heard.jitter_ms,
            Self::Gap => &run.heard.gap_ms,
        }
    }
}

impl Quantile {
    const ALL: [(&str, Self); 6] = [
        ("p50", Self::P50),
        ("p90", Self::P90),
        ("p95", Self::P95),
        ("p99", Self::P99),
        ("p99.9", Self::P999),
        ("max", Self::Max),
    ];

    const fn of(self, values: &Distribution) -> f64 {
        match self {
            Self::P50 => values.p50,
            Self::P90 => values.p90,
            Self::P95 => values.p95,
            Self::P99 => values.p99,
            Self::P999 => values.p999,
            Self::Max => values.max,
        }
    }
}

const COUNTS: [(&str, Measure); 6] = [
    ("loss", Measure::Loss),
    ("failed", Measure::Failed),
    ("refused", Measure::Refused),
    ("one_way", Measure::OneWay),
    ("duplicates", Measure::Duplicates),
    ("mos", Measure::Mos),
];

/// How a measure's numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Share,
    Ms,
    Count,
    Mos,
}

impl Unit {
    pub(super) fn with(self, value: f64) -> String {
        match self {
            Self::Share => format!("{}%", trimmed(value * 100.0)),
            Self::Ms if value.is_infinite() => "nothing measured".into(),
            Self::Ms => format!("{}ms", trimmed(value)),
            Self::Count => format!("{value}"),
            Self::Mos => trimmed(value),
        }
    }

    pub(super) fn parse(self, text: &str) -> Result<f64, &'static str> {
        let (number, scale, expected) = match self {
            Self::Share => (text.strip_suffix('%'), 0.01, "expected a percentage, as in 0.1%"),
            Self::Ms => match text.strip_suffix("ms") {
                Some(ms) => (Some(ms), 1.0, TIME_EXPECTED),
                None => (text.strip_suffix('s'), 1e3, TIME_EXPECTED),
            },
            Self::Count => (Some(text), 1.0, "expected a number, as in 0"),
            Self::Mos => (Some(text), 1.0, "expected a score from 1 to 4.5, as in 4.2"),
        };
        let value = number.and_then(|number| number.parse::<f64>().ok()).map(|n| n * scale);
        value.filter(|value| value.is_finite() && *value >= 0.0).ok_or(expected)
    }
}

const TIME_EXPECTED: &str = "expected a time, as in 5ms or 1s";

/// At most four digits behind the point.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        by_name(name).ok_or_else(|| format!("expected {}", names()))
    }
}

fn by_name(name: &str) -> Option<Measure> {
    if let Some((_, measure)) = COUNTS.iter().find(|(known, _)| *known == name) {
        return Some(*measure);
    }
    let (time, quantile) = name.rsplit_once('_')?;
    let time = Time::ALL.iter().find(|(known, _)| *known == time)?.1;
    let quantile = Quantile::ALL.iter().find(|(known, _)| *known == quantile)?.1;
    Some(Measure::Time(time, quantile))
}

fn names() -> String {
    let counts = COUNTS.map(|(name, _)| name).join(", ");
    let times = Time::ALL.map(|(name, _)| name).join(", ");
    let quantiles = Quantile::ALL.map(|(name, _)| name).join(", ");
    format!("one of {counts}, or a time ({times}) with a quantile ({quantiles}), as in late_p99.9")
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Time(time, quantile) => {
                let time = Time::ALL.iter().find(|(_, known)| *known == time);
                let quantile = Quantile::ALL.iter().find(|(_, known)| *known == quantile);
                write!(f, "{}_{}", time.map_or("", |t| t.0), quantile.map_or("", |q| q.0))
            }
            counted => {
                let name = COUNTS.iter().find(|(_, known)| *known == counted);
                f.write_str(name.map_or("", |n| n.0))
            }
        }
    }
}
