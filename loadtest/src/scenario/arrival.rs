//! When calls arrive.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::units::Span;
use crate::random::Random;

/// Most calls that are placed a second.
const RATE_MAX: f64 = 10_000.0;
/// Most calls that are held at once.
const CALLS_MAX: u64 = 1_000_000;

/// When calls are placed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Arrival {
    /// So many calls at once: each that ends is replaced (a closed loop).
    AtOnce {
        /// Calls at once.
        calls: u64,
        /// Calls placed a second at most, until they are there and afterwards.
        #[serde(default = "usual_rate")]
        rate: f64,
    },
    /// Calls a second, evenly.
    Rate(f64),
    /// Calls a second at random moments, as independent callers call.
    Poisson(f64),
    /// From one rate to another, and on at that.
    Ramp {
        /// Calls a second at the start.
        from: f64,
        /// Calls a second at the end, and from then on.
        to: f64,
        /// How long it takes.
        over: Span,
    },
    /// One rate after the other; the last stays.
    Steps(Vec<Step>),
    /// Many at the same moment, again and again.
    Bursts {
        /// Calls in each.
        calls: u64,
        /// From one to the next.
        every: Span,
    },
}

/// A rate that is held for a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Calls a second.
    pub rate: f64,
    /// How long.
    #[serde(rename = "for")]
    pub length: Span,
}

impl Arrival {
    /// How long it takes until the load is what it shall be.
    pub fn run_up(&self) -> Duration {
        match self {
            Self::AtOnce { calls, rate } => Duration::from_secs_f64(*calls as f64 / rate),
            Self::Ramp { over, .. } => over.0,
            _ => Duration::ZERO,
        }
    }

    /// Calls at once that are asked for, when that is what is asked for.
    pub const fn at_once(&self) -> Option<u64> {
        match self {
            Self::AtOnce { calls, .. } => Some(*calls),
            _ => None,
        }
    }

    /// What cannot be meant, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        let bad_rate = |rate: f64| {
            let good = rate > 0.0 && rate <= RATE_MAX;
            (!good).then(|| format!("{rate} calls a second: expected above 0, up to {RATE_MAX}"))
        };
        let bad_calls = |calls: u64| {
            let good = (1..=CALLS_MAX).contains(&calls);
            (!good).then(|| format!("{calls} calls: expected 1 to {CALLS_MAX}"))
        };
        match self {
            Self::AtOnce { calls, rate } => bad_calls(*calls).or_else(|| bad_rate(*rate)),
            Self::Rate(rate) | Self::Poisson(rate) => bad_rate(*rate),
            Self::Ramp { over, .. } if over.0.is_zero() => {
                Some("a ramp over 0s: expected a longer time".into())
            }
            Self::Ramp { from, to, .. } => {
                let start = (*from != 0.0).then(|| bad_rate(*from)).flatten();
                start.or_else(|| bad_rate(*to))
            }
            Self::Steps(steps) if steps.is_empty() => {
                Some("no steps: expected at least one".into())
            }
            Self::Steps(steps) if steps.iter().any(|step| step.length.0.is_zero()) => {
                Some("a step for 0s: expected a longer time".into())
            }
            Self::Steps(steps) => steps.iter().find_map(|step| match step.rate {
                0.0 => None,
                rate => bad_rate(rate),
            }),
            Self::Bursts { every, .. } if every.0.is_zero() => {
                Some("bursts every 0s: expected a longer time".into())
            }
            Self::Bursts { calls, .. } => bad_calls(*calls),
        }
    }

    /// The moments at which calls are placed, since the start and ascending: without end. Of
    /// [`Arrival::AtOnce`] the moments at which one may be placed if one is missing.
    pub fn moments(&self, seed: u64) -> Moments<'_> {
        Moments {
            arrival: self,
            random: Random::nth(seed, ARRIVAL_STREAM),
            due: 0.0,
            at: 0.0,
            nth: 0,
        }
    }

    /// Calls due within `seconds` of the start at a rate that changes in time.
    fn due(&self, seconds: f64) -> f64 {
        match self {
            Self::Ramp { from, to, over } => {
                let over = over.0.as_secs_f64();
                let within = seconds.min(over);
                let slope = (to - from) / over;
                from * within + slope * within * within / 2.0 + to * (seconds - within)
            }
            Self::Steps(steps) => {
                let last = steps.last().map_or(0.0, |step| step.rate);
                let (mut left, mut due) = (seconds, 0.0);
                for step in steps {
                    let length = step.length.0.as_secs_f64().min(left);
                    due += step.rate * length;
                    left -= length;
                }
                due + last * left
            }
            _ => 0.0,
        }
    }
}

const fn usual_rate() -> f64 {
    20.0
}

/// Stream of random numbers that arrivals are drawn from; those of calls are their numbers.
const ARRIVAL_STREAM: u64 = u64::MAX;

/// See [`Arrival::moments`].
#[derive(Debug, Clone)]
pub struct Moments<'a> {
    arrival: &'a Arrival,
    random: Random,
    /// Calls due so far.
    due: f64,
    /// The newest moment, in seconds.
    at: f64,
    nth: u64,
}

impl Iterator for Moments<'_> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let nth = self.nth as f64;
        self.at = match self.arrival {
            Arrival::AtOnce { rate, .. } | Arrival::Rate(rate) => nth / rate,
            Arrival::Poisson(rate) => self.at + self.random.exponential() / rate,
            Arrival::Bursts { calls, every } => (self.nth / calls) as f64 * every.0.as_secs_f64(),
            Arrival::Ramp { .. } | Arrival::Steps(_) => {
                self.due += 1.0;
                self.moment_of(self.due)?
            }
        };
        self.nth += 1;
        Duration::try_from_secs_f64(self.at).ok()
    }
}

impl Moments<'_> {
    /// When so many calls are due, by bisection: [`Arrival::due`] only grows. `None` when never.
    fn moment_of(&self, due: f64) -> Option<f64> {
        let (mut low, mut high) = (self.at, self.at + 1.0);
        while self.arrival.due(high) < due {
            high += (high - low) * 2.0;
            if high > NEVER_SECONDS {
                return None;
            }
        }
        while high - low > 1e-6 {
            let middle = f64::midpoint(low, high);
            if self.arrival.due(middle) < due { low = middle } else { high = middle }
        }
        Some(high)
    }
}

/// No run takes a year: a call that would be due then is never due.
const NEVER_SECONDS: f64 = 3.2e7;
