//! A fleet of hosts, simulated: what no single machine can show.
//!
//! Hosts have the capacity that one was measured to have. Calls come as [`Traffic`] says, are given
//! to a worker by the rule of one of the platform's ways in ([`Way`]), and last as long as they
//! last. Hosts fail and lose their calls, and are replaced one after the other by deploys. Start at
//! [`simulate`]; the same seed gives the same run.
//!
//! - [`way`]: who gets a call, on each way in.
//! - [`traffic`]: when calls come and how long they last.
//! - [`hosts`]: workers, slots, what a host is doing.
//! - [`run`](mod@run): the events, in their order.
//! - [`tally`]: what is counted.
//! - [`page`]: the outcome for people.
//!
//! What is left out: networks, media, and the time it takes to notice a dead host (no call is
//! offered to one, except what was under way to it).

pub mod hosts;
pub mod page;
pub mod run;
pub mod tally;
pub mod traffic;
pub mod way;

use serde::{Deserialize, Serialize};

pub use run::simulate;
pub use tally::{FleetReport, Lost, Missed, Slice};
pub use traffic::{Arrivals, Call, Profile, Traffic};
pub use way::Way;

/// Hosts and what happens to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// Hosts.
    pub hosts: usize,
    /// Worker processes on each.
    pub workers_per_host: usize,
    /// Calls that a worker takes at once.
    pub calls_per_worker: u32,
    /// How calls find a worker.
    pub way: Way,
    /// From the moment a host is chosen until the call takes its slot there, seconds.
    pub dispatch_seconds: f64,
    /// How long a caller rings before giving up, where callers can wait, seconds.
    pub patience_seconds: f64,
    /// How often hosts fail; never when `None`.
    pub failures: Option<Failures>,
    /// How often they are replaced; never when `None`.
    pub deploys: Option<Deploys>,
    /// Seed of everything that is left to chance.
    pub seed: u64,
}

/// Hosts that die with all their calls.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Failures {
    /// Mean time from a host's repair to its next failure (exponential), seconds.
    pub mtbf_seconds: f64,
    /// Mean time until it is back (exponential), seconds.
    pub repair_seconds: f64,
}

/// Rolling deploys: some hosts at a time are drained, replaced, and take calls again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Deploys {
    /// From the start of one to the start of the next, seconds.
    pub every_seconds: f64,
    /// Hosts that are out at the same time.
    pub hosts_at_once: usize,
    /// Calls that last longer than this into the drain are cut, seconds.
    pub drain_seconds: f64,
    /// From the last call's end to the first new call, seconds.
    pub replace_seconds: f64,
}

impl Fleet {
    /// So many hosts with one worker of so many calls, called by `way`; nothing fails.
    pub fn new(hosts: usize, calls_per_host: u32, way: Way) -> Self {
        Self {
            hosts,
            workers_per_host: 1,
            calls_per_worker: calls_per_host,
            way,
            dispatch_seconds: 0.02,
            patience_seconds: 30.0,
            failures: None,
            deploys: None,
            seed: 1,
        }
    }

    /// Calls of all hosts.
    pub fn slots(&self) -> u64 {
        (self.hosts * self.workers_per_host) as u64 * u64::from(self.calls_per_worker)
    }

    /// Calls of a host.
    pub fn slots_per_host(&self) -> u64 {
        self.workers_per_host as u64 * u64::from(self.calls_per_worker)
    }
}

#[cfg(test)]
mod tests;
