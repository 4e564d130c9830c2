//! What is to be carried.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// What is to be carried, and how safely.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// Calls of an ordinary hour.
    pub calls_per_hour: f64,
    /// Mean length of a call, from being taken to its end.
    pub duration_seconds: f64,
    /// The busiest hour has so many times the calls of an ordinary one.
    pub peak_factor: f64,
    /// Growth a year, and for how many; none when nothing grows.
    pub growth: Growth,
    /// Hosts that may be gone while the rest still carries all.
    pub spare: u64,
    /// Share of what a host was measured to hold that is planned on it, 0..=1.
    pub headroom: f64,
    /// Share of calls that may find everything taken, 0..=1.
    pub blocking: f64,
    /// How long callers wait, if they do.
    pub wait: Option<Wait>,
    /// Calls of one worker process at most; one worker has all of a host when `None`.
    pub worker_calls: Option<u64>,
}

/// Growth over years.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Growth {
    /// Share that is added every year: 0.2 is a fifth.
    pub per_year: f64,
    /// Years.
    pub years: f64,
}

/// A service level: such a share of the calls is taken within so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Wait {
    /// Seconds.
    pub seconds: f64,
    /// Share, 0..1.
    pub share: f64,
}

impl Forecast {
    /// So many calls an hour of such a length, with what is usual for the rest.
    pub fn new(calls_per_hour: f64, duration_seconds: f64) -> Self {
        Self {
            calls_per_hour,
            duration_seconds,
            peak_factor: 1.5,
            growth: Growth::default(),
            spare: 1,
            headroom: 0.8,
            blocking: 0.001,
            wait: None,
            worker_calls: None,
        }
    }

    /// Calls of the busiest hour at the end of the growth.
    pub fn busy_hour_calls(&self) -> f64 {
        self.calls_per_hour * self.peak_factor * self.growth.factor()
    }
}

impl Growth {
    /// By what everything is multiplied in the end.
    pub fn factor(self) -> f64 {
        (1.0 + self.per_year).powf(self.years)
    }
}

impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(time, share)| {
            Some(Self { seconds: seconds(time).ok()?, share: percentage(share).ok()? })
        });
        parsed
            .filter(|wait| wait.share < 1.0)
            .ok_or_else(|| format!("{text:?}: expected TIME/SHARE below 100 %, as in 20s/80%"))
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s/{}%", self.seconds, self.share * 100.0)
    }
}

/// `20%/year` as 0.2; `/year` may be left out.
pub fn yearly(text: &str) -> Result<f64, String> {
    let rate = text.strip_suffix("/year").unwrap_or(text);
    let negative = rate.strip_prefix('-');
    match (number(negative.unwrap_or(rate), &["%"]), negative) {
        (Some(percent), None) if percent <= 1e4 => Ok(percent / 100.0),
        (Some(percent), Some(_)) if percent < 100.0 => Ok(-percent / 100.0),
        _ => Err(format!("{text:?}: expected a percentage a year, as in 20%/year")),
    }
}

/// `80%` as 0.8; more than 0 and not more than 100 %.
pub fn percentage(text: &str) -> Result<f64, String> {
    number(text, &["%"])
        .map(|percent| percent / 100.0)
        .filter(|share| *share > 0.0 && *share <= 1.0)
        .ok_or_else(|| format!("{text:?}: expected a percentage above 0, as in 0.1%"))
}

/// `180s`, `3m`, `1h`, `30d` in seconds; more than nothing.
pub fn seconds(text: &str) -> Result<f64, String> {
    let units = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
    let found = units.iter().find_map(|(unit, scale)| Some(number(text, &[unit])? * scale));
    found
        .filter(|seconds| *seconds > 0.0 && *seconds <= 86_400.0 * 36_500.0)
        .ok_or_else(|| format!("{text:?}: expected a time, as in 180s, 3m, 1h or 30d"))
}

fn number(text: &str, units: &[&str]) -> Option<f64> {
    let number = units.iter().find_map(|unit| text.trim().strip_suffix(unit))?;
    number.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forecasts_are_written_with_units() {
        assert_eq!(yearly("20%/year"), Ok(0.2));
        assert_eq!(yearly("-5%"), Ok(-0.05));
        assert_eq!(percentage("0.1%"), Ok(0.001));
        assert_eq!(seconds("3m"), Ok(180.0));
        assert_eq!("20s/80%".parse(), Ok(Wait { seconds: 20.0, share: 0.8 }));
        for wrong in ["20", "-100%", "nan%", "%"] {
            assert!(yearly(wrong).is_err(), "{wrong}");
        }
        for wrong in ["20s", "20s/100%", "s/80%", "20s/80", "-1s/80%"] {
            assert!(wrong.parse::<Wait>().is_err(), "{wrong}");
        }
        for wrong in ["180", "0s", "1e400s", "-1s", "s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0%", "101%", "5"] {
            assert!(percentage(wrong).is_err(), "{wrong}");
        }
    }
}
