//! How long something takes: a fixed time, or one drawn from a distribution.

use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::units::Span;
use crate::random::Random;

/// No drawn time is longer: the tails of the distributions are endless.
const DRAWN_MAX: Duration = Duration::from_secs(4 * 3_600);

/// A distribution of times. Written as `"30s"`, `{ uniform = { from = "10s", to = "60s" } }`,
/// `{ exponential = { mean = "90s" } }` or `{ log_normal = { median = "60s", sigma = 0.8 } }`.
#[derive(Debug, Clone, PartialEq)]
pub enum Spread {
    /// Always the same.
    Fixed(Span),
    /// Any other.
    Drawn(Drawn),
}

/// A distribution that is drawn from. No time drawn is longer than four hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Drawn {
    /// Every time between two is as likely.
    Uniform {
        /// The shortest.
        from: Span,
        /// The longest.
        to: Span,
    },
    /// As telephone traffic is usually modelled: the end is always as likely, however long it took.
    Exponential {
        /// The average.
        mean: Span,
    },
    /// As conversations are: many short, a long tail.
    LogNormal {
        /// Half are shorter.
        median: Span,
        /// Deviation of the logarithm: 0.5 is narrow, 1.5 very wide.
        sigma: f64,
    },
}

impl Spread {
    /// Always `time`.
    pub const fn fixed(time: Duration) -> Self {
        Self::Fixed(Span(time))
    }

    /// The average, for sums and progress.
    pub fn mean(&self) -> Duration {
        let mean = match self {
            Self::Fixed(time) => time.0,
            Self::Drawn(Drawn::Uniform { from, to }) => (from.0 + to.0) / 2,
            Self::Drawn(Drawn::Exponential { mean }) => mean.0,
            Self::Drawn(Drawn::LogNormal { median, sigma }) => {
                let seconds = median.0.as_secs_f64() * (sigma * sigma / 2.0).exp();
                Duration::try_from_secs_f64(seconds).unwrap_or(DRAWN_MAX)
            }
        };
        mean.min(DRAWN_MAX)
    }

    /// What cannot be meant, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Drawn(Drawn::Uniform { from, to }) if from > to => {
                Some(format!("uniform from {from} to {to}: expected the shorter time first"))
            }
            Self::Drawn(Drawn::LogNormal { sigma, .. }) if !(0.0..=3.0).contains(sigma) => {
                Some(format!("log_normal with sigma {sigma}: expected 0 to 3"))
            }
            _ => None,
        }
    }

    pub(crate) fn draw(&self, random: &mut Random) -> Duration {
        // A number is drawn in any case, so that other times do not shift what is drawn next.
        let seconds = match self {
            Self::Fixed(time) => {
                random.unit();
                return time.0;
            }
            Self::Drawn(Drawn::Uniform { from, to }) => {
                let (from, to) = (from.0.as_secs_f64(), to.0.as_secs_f64());
                from + random.unit() * (to - from)
            }
            Self::Drawn(Drawn::Exponential { mean }) => mean.0.as_secs_f64() * random.exponential(),
            Self::Drawn(Drawn::LogNormal { median, sigma }) => {
                median.0.as_secs_f64() * (sigma * random.normal()).exp()
            }
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(DRAWN_MAX).min(DRAWN_MAX)
    }
}

impl Serialize for Spread {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(time) => time.serialize(to),
            Self::Drawn(drawn) => drawn.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Spread {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Spread;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a time in quotes, as in \"30s\", or one of { uniform = { from, to } }, \
                     { exponential = { mean } }, { log_normal = { median, sigma } }",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Spread, E> {
                text.parse().map(Spread::Fixed).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Spread, A::Error> {
                Drawn::deserialize(MapAccessDeserializer::new(map)).map(Spread::Drawn)
            }
        }
        from.deserialize_any(Either)
    }
}
