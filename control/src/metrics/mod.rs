//! What a worker tells Prometheus.
//!
//! Nothing is counted twice: the engine, the slots and the queues count for themselves and are
//! read when somebody scrapes; how calls ended is counted here ([`Counters`]).

mod counters;
mod exposition;
mod livekit;

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;
use vox_engine::{Engine, Stats};

use crate::agents::Counts as AgentCounts;
use crate::calls::Slots;
use crate::delivery::{Outbox, QueueCounts, Spool};
use crate::livekit::Counts as LivekitCounts;
use crate::sip::SipCounts;

pub use counters::Counters;

use exposition::Exposition;
use livekit::LivekitExposition;

/// The `Content-Type` of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// What other parts of the worker count, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Readings {
    pub(crate) engine: Stats,
    pub(crate) sip: SipCounts,
    pub(crate) agents: Arc<AgentCounts>,
    pub(crate) slots_taken: usize,
    pub(crate) slots: usize,
    pub(crate) draining: bool,
    pub(crate) results: QueueCounts,
    pub(crate) recordings: QueueCounts,
}

/// The worker's metrics.
pub struct Metrics(Registry);

impl Metrics {
    /// Of these parts.
    pub fn new(
        counters: &Counters,
        slots: Slots,
        engine: Engine,
        outbox: Outbox,
        spool: Spool,
        sip: impl Fn() -> SipCounts + Send + Sync + 'static,
        agents: Arc<AgentCounts>,
    ) -> Self {
        Self::reading(counters, move || Readings {
            engine: engine.stats(),
            sip: sip(),
            agents: agents.clone(),
            slots_taken: slots.taken(),
            slots: slots.capacity(),
            draining: slots.is_draining(),
            results: outbox.counts(),
            recordings: spool.counts(),
        })
    }

    /// `read` is called for each scrape, on the thread that answers it: it must not wait.
    pub(crate) fn reading(
        counters: &Counters,
        read: impl Fn() -> Readings + Send + Sync + 'static,
    ) -> Self {
        let counters = counters.clone();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut registry = Registry::with_prefix("vox");
        registry.register_collector(Box::new(Exposition::new(counters, read, started)));
        Self(registry)
    }

    /// And of how calls come from LiveKit.
    #[must_use]
    pub fn with_livekit(mut self, counts: Arc<LivekitCounts>) -> Self {
        self.0.register_collector(Box::new(LivekitExposition(counts)));
        self
    }

    /// All of them, in Prometheus' text format 0.0.4.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(TEXT_BYTES);
        prometheus_text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// About twice what is written.
const TEXT_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests;
