//! How many hosts a traffic needs, from what one host was measured to hold.
//!
//! [`Plan::make`] takes a [`Forecast`] and a [`Measured`] host, and shows every step: the busiest
//! hour, its traffic in erlang, the channels that carry it by Erlang B (callers who find nothing go
//! away) and by Erlang C (callers wait), and the hosts and workers that have so many channels.
//!
//! - [`erlang`]: the formulas.
//! - [`forecast`]: what is to be carried, as written on a command line.
//! - [`text`]: a plan for people.
//!
//! What this module does not do: failures and deploys over time; [`crate::fleet`] simulates those.

pub mod erlang;
pub mod forecast;
pub mod text;

use serde::Serialize;

use crate::results::{CapacityReport, ResultsFile};

pub use forecast::{Forecast, Growth, Wait};

/// What a host was measured to hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Measured {
    /// Calls at once.
    pub calls: u64,
    /// Calls placed a second at that load; `None` when it was not measured.
    pub calls_per_second: Option<f64>,
    /// Where the figure comes from.
    pub source: String,
}

/// How many hosts, and how that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// What was to be carried.
    pub forecast: Forecast,
    /// What it was planned with.
    pub measured: Measured,
    /// Calls of the busiest hour, at the end of the growth.
    pub busy_hour_calls: f64,
    /// Calls that arrive in a second of that hour, on average.
    pub arrivals_per_second: f64,
    /// Traffic of that hour: calls up at once on average if none were turned away.
    pub erlang: f64,
    /// Calls that are planned on a host: the measured ones less the headroom.
    pub calls_per_host: u64,
    /// Workers on a host.
    pub workers_per_host: u64,
    /// Callers who find nothing go away.
    pub blocking: Need,
    /// Callers wait; `None` when no wait was asked for.
    pub waiting: Option<Need>,
    /// What the figures rest on.
    pub assumptions: Vec<String>,
}

/// What one of the formulas asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Need {
    /// Channels.
    pub channels: u64,
    /// Hosts that have them.
    pub hosts: u64,
    /// The same and the spare ones.
    pub hosts_with_spare: u64,
    /// Workers on all of them.
    pub workers: u64,
    /// Share of the planned calls of a host that are up in the busiest hour, 0..=1.
    pub used: f64,
    /// Share of calls that are turned away (B), or wait longer than asked for (C), on the hosts
    /// without the spare ones.
    pub missed: f64,
    /// The same when one more host is gone than there are spare ones.
    pub missed_one_more_lost: f64,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// The file is no search.
    #[error(
        "expected the JSON of `voxload capacity`, found that of `voxload run`: it says what was tried, not what holds"
    )]
    NoSearch,
    /// It is a search for calls a second.
    #[error("this search raised calls a second: expected one that raised calls at once")]
    OfRate,
    /// Nothing held.
    #[error("the search found no load that held the pass line: there is nothing to plan with")]
    NothingHeld,
    /// The host carries nothing.
    #[error("{0} calls a host with a headroom of {1} leave none to plan with")]
    NoRoom(u64, String),
    /// Too much traffic.
    #[error("{0:.0} erlang: expected traffic that {max} channels carry", max = erlang::CHANNELS_MAX)]
    TooMuch(f64),
}

impl Measured {
    /// Of a search's file.
    pub fn of(results: &ResultsFile) -> Result<Self, PlanError> {
        let ResultsFile::Capacity(search) = results else { return Err(PlanError::NoSearch) };
        if search.is_of_rate() {
            return Err(PlanError::OfRate);
        }
        if search.calls == 0 {
            return Err(PlanError::NothingHeld);
        }
        Ok(Self {
            calls: search.calls,
            calls_per_second: Some(search.calls_per_second).filter(|rate| *rate > 0.0),
            source: source(search),
        })
    }
}

fn source(search: &CapacityReport) -> String {
    let host = &search.provenance.host;
    format!(
        "measured {} on {} ({}, {} cores, {}), scenario {}, pass line {}",
        search.provenance.began,
        host.name,
        host.cpu,
        host.cores,
        host.network,
        search.scenario,
        search.pass_line
    )
}

impl Plan {
    /// Plans for `forecast` with hosts as `measured`.
    pub fn make(forecast: &Forecast, measured: &Measured) -> Result<Self, PlanError> {
        let busy_hour_calls = forecast.busy_hour_calls();
        let arrivals_per_second = busy_hour_calls / 3_600.0;
        let erlang = arrivals_per_second * forecast.duration_seconds;
        let calls_per_host = (measured.calls as f64 * forecast.headroom).floor() as u64;
        if calls_per_host == 0 {
            let headroom = format!("{} %", forecast.headroom * 100.0);
            return Err(PlanError::NoRoom(measured.calls, headroom));
        }
        let workers_per_host = calls_per_host.div_ceil(forecast.worker_calls.unwrap_or(u64::MAX));
        let mut plan = Self {
            forecast: forecast.clone(),
            measured: measured.clone(),
            busy_hour_calls,
            arrivals_per_second,
            erlang,
            calls_per_host,
            workers_per_host,
            blocking: Need::default(),
            waiting: None,
            assumptions: Vec::new(),
        };
        plan.blocking = plan.by_blocking()?;
        plan.waiting = forecast.wait.map(|wait| plan.by_waiting(wait)).transpose()?;
        plan.assumptions = text::assumptions(&plan);
        Ok(plan)
    }

    fn by_blocking(&self) -> Result<Need, PlanError> {
        let channels = erlang::channels_for_blocking(self.erlang, self.forecast.blocking);
        let channels = channels.ok_or(PlanError::TooMuch(self.erlang))?;
        Ok(self.need(channels, |channels| erlang::blocking(self.erlang, channels)))
    }

    fn by_waiting(&self, wait: Wait) -> Result<Need, PlanError> {
        let hold = self.forecast.duration_seconds;
        let Wait { seconds, share } = wait;
        let channels = erlang::channels_for_waiting(self.erlang, hold, seconds, share);
        let channels = channels.ok_or(PlanError::TooMuch(self.erlang))?;
        let late = |channels| 1.0 - erlang::served_within(self.erlang, channels, hold, seconds);
        Ok(self.need(channels, late))
    }

    fn need(&self, channels: u64, missed: impl Fn(u64) -> f64) -> Need {
        let hosts = channels.div_ceil(self.calls_per_host).max(1);
        let hosts_with_spare = hosts + self.forecast.spare;
        let all = |hosts: u64| hosts * self.calls_per_host;
        Need {
            channels,
            hosts,
            hosts_with_spare,
            workers: hosts_with_spare * self.workers_per_host,
            used: self.erlang / all(hosts_with_spare) as f64,
            missed: missed(all(hosts)),
            missed_one_more_lost: missed(all(hosts - 1)),
        }
    }
}

#[cfg(test)]
mod tests;
