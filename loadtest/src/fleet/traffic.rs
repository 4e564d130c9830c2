//! When calls come and how long they last.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::scenario::{Arrival, Drawn, Scenario, Span, Spread};

/// A call to come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// When it comes, seconds since the start.
    pub at: f64,
    /// How long it lasts once it is taken, seconds.
    pub hold: f64,
}

/// Calls, as a rule that a seed makes a list of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// When they come.
    pub arrivals: Arrivals,
    /// How long they last.
    pub hold: Spread,
    /// How many.
    pub calls: u64,
    /// Calls that come before this count nowhere: the fleet is empty at first.
    pub warm_up_seconds: f64,
}

/// When calls come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// As independent callers call, with a rate that changes over the day.
    Day {
        /// Calls a second in the busiest hour.
        peak_rate: f64,
        /// How the rate changes.
        profile: Profile,
    },
    /// As in a scenario of the load generator.
    Scenario(Arrival),
}

/// How the rate changes over a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Not at all: always the busiest hour.
    #[default]
    Flat,
    /// As on a working day of an office: two peaks, little at night.
    Day,
}

impl Traffic {
    /// So many calls of an exponential length, at a rate of the busiest hour.
    pub fn poisson(calls: u64, peak_rate: f64, mean_seconds: f64, profile: Profile) -> Self {
        let mean = Span(Duration::from_secs_f64(mean_seconds));
        Self {
            arrivals: Arrivals::Day { peak_rate, profile },
            hold: Spread::Drawn(Drawn::Exponential { mean }),
            calls,
            warm_up_seconds: WARM_UP_HOLDS * mean_seconds,
        }
    }

    /// As the callers of `scenario` call.
    ///
    /// # Errors
    /// When it has no callers, or holds a number of calls at once: there the next call waits for the
    /// end of another, and nothing is ever offered to a full fleet.
    pub fn of_scenario(scenario: &Scenario, calls: u64) -> Result<Self, String> {
        let callers = scenario.callers.as_ref();
        let callers = callers.ok_or("this scenario has no callers: expected one that has")?;
        if callers.arrival.at_once().is_some() {
            return Err("this scenario holds a number of calls at once: expected one whose calls \
                        come at a rate (rate, poisson, ramp, steps, bursts)"
                .into());
        }
        Ok(Self {
            arrivals: Arrivals::Scenario(callers.arrival.clone()),
            hold: callers.hold.clone(),
            calls,
            warm_up_seconds: callers.arrival.run_up().as_secs_f64()
                + WARM_UP_HOLDS * callers.hold.mean().as_secs_f64(),
        })
    }

    /// The calls, by when they come.
    pub fn calls(&self, seed: u64) -> Vec<Call> {
        let mut holds = Random::nth(seed, HOLD_STREAM);
        let mut call = |at: f64| Call { at, hold: self.hold.draw(&mut holds).as_secs_f64() };
        let count = usize::try_from(self.calls).unwrap_or(usize::MAX);
        match &self.arrivals {
            Arrivals::Scenario(arrival) => {
                let moments = arrival.moments(seed).map(|moment| moment.as_secs_f64());
                moments.take(count).map(call).collect()
            }
            Arrivals::Day { peak_rate, profile } => {
                let mut random = Random::nth(seed, ARRIVAL_STREAM);
                let (mut at, mut calls) = (0.0, Vec::with_capacity(count));
                while calls.len() < count {
                    // Calls at the busiest rate, of which the others of the day are left out.
                    at += random.exponential() / peak_rate;
                    if random.unit() < profile.share(at) {
                        calls.push(call(at));
                    }
                }
                calls
            }
        }
    }
}

impl Profile {
    /// The rate at this time, as a share of the busiest; the first second is midnight's.
    pub fn share(self, seconds: f64) -> f64 {
        if self == Self::Flat {
            return 1.0;
        }
        let hours = (seconds / 3_600.0).rem_euclid(24.0);
        let hour = (hours.floor() as usize).min(23);
        let (from, to) = (WORKING_DAY[hour], WORKING_DAY[(hour + 1) % 24]);
        from + (to - from) * hours.fract()
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "flat" => Ok(Self::Flat),
            "day" => Ok(Self::Day),
            _ => Err(format!("{text:?}: expected flat or day")),
        }
    }
}

/// At each full hour; an assumption: an enterprise's own switchboard knows better.
const WORKING_DAY: [f64; 24] = [
    0.04, 0.03, 0.02, 0.02, 0.02, 0.03, 0.06, 0.15, 0.45, 0.80, 1.00, 0.96, 0.78, 0.80, 0.95, 0.92,
    0.85, 0.62, 0.38, 0.27, 0.20, 0.13, 0.08, 0.05,
];
/// After so many mean lengths a fleet that began empty is as full as it will be, but for e^-8 of it.
const WARM_UP_HOLDS: f64 = 8.0;
const ARRIVAL_STREAM: u64 = 2;
const HOLD_STREAM: u64 = 3;
