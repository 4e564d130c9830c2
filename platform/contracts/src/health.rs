//! What a worker says about itself and its fleet.

use serde::{Deserialize, Serialize};

/// `GET /health`: one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerHealth {
    /// `ok`.
    pub status: String,
    /// Live calls.
    pub worker_calls: u32,
    /// Calls it takes at once.
    pub worker_max: u32,
    /// `worker_max` × `workers`.
    pub total_capacity: u32,
    /// `total_capacity` − `worker_calls`: this worker's estimate only.
    pub total_available: u32,
    /// Workers on this host.
    pub workers: u32,
    /// From the socket's path.
    pub worker_id: String,
    /// Its process.
    pub worker_pid: u32,
}

/// `GET /health/fleet`: all workers of a host. Compact JSON, keys in this order: an ingress matches
/// the raw text `"fleet_available":N`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetHealth {
    /// `ok`.
    pub status: String,
    /// Live calls.
    pub fleet_calls: u32,
    /// Calls the reachable workers take at once.
    pub fleet_max: u32,
    /// Free slots.
    pub fleet_available: u32,
    /// One entry per worker.
    pub workers: Vec<FleetWorker>,
}

impl FleetHealth {
    /// Adds up what the workers said.
    pub fn of(workers: Vec<FleetWorker>) -> Self {
        let sum = |count: fn(&FleetWorker) -> u32| workers.iter().map(count).sum();
        Self {
            status: "ok".into(),
            fleet_calls: sum(FleetWorker::calls),
            fleet_max: sum(FleetWorker::max),
            fleet_available: sum(|w| w.max().saturating_sub(w.calls())),
            workers,
        }
    }
}

/// A worker's row in [`FleetHealth`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FleetWorker {
    /// It answered.
    Reachable {
        /// Its id.
        id: String,
        /// Live calls.
        calls: u32,
        /// Calls it takes at once.
        max: u32,
        /// Its process.
        pid: u32,
    },
    /// It did not answer in time.
    Unreachable {
        /// Its id.
        id: String,
        /// `unreachable`.
        status: String,
    },
}

impl FleetWorker {
    /// A worker that did not answer.
    pub fn unreachable(id: impl Into<String>) -> Self {
        Self::Unreachable { id: id.into(), status: "unreachable".into() }
    }

    fn calls(&self) -> u32 {
        match self {
            Self::Reachable { calls, .. } => *calls,
            Self::Unreachable { .. } => 0,
        }
    }

    fn max(&self) -> u32 {
        match self {
            Self::Reachable { max, .. } => *max,
            Self::Unreachable { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_the_contracts_byte_for_byte() {
        let worker = WorkerHealth {
            status: "ok".into(),
            worker_calls: 0,
            worker_max: 1,
            total_capacity: 16,
            total_available: 16,
            workers: 16,
            worker_id: "3".into(),
            worker_pid: 12345,
        };
        let text = r#"{"status":"ok","worker_calls":0,"worker_max":1,"total_capacity":16,"total_available":16,"workers":16,"worker_id":"3","worker_pid":12345}"#;
        assert_eq!(serde_json::to_string(&worker).unwrap(), text);
        assert_eq!(serde_json::from_str::<WorkerHealth>(text).unwrap(), worker);

        let rows = vec![
            FleetWorker::Reachable { id: "1".into(), calls: 1, max: 1, pid: 12345 },
            FleetWorker::unreachable("2"),
        ];
        let fleet = FleetHealth::of(rows);
        let text = r#"{"status":"ok","fleet_calls":1,"fleet_max":1,"fleet_available":0,"workers":[{"id":"1","calls":1,"max":1,"pid":12345},{"id":"2","status":"unreachable"}]}"#;
        assert_eq!(serde_json::to_string(&fleet).unwrap(), text);
        assert_eq!(serde_json::from_str::<FleetHealth>(text).unwrap(), fleet);
    }
}
