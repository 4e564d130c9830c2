//! Figures for Prometheus: counted as calls end, the rest folded when somebody asks.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use vox_engine::Engine;
use vox_rtp::DropReason;

use crate::calls::Slots;
use crate::delivery::{Outbox, QueueCounts, Spool};

/// What is counted where it happens.
#[derive(Debug, Default)]
pub struct Counters {
    ended: Family<EndLabels, Counter>,
    refused: Family<ReasonLabel, Counter>,
    recorded_seconds: Counter<f64, std::sync::atomic::AtomicU64>,
    overruns: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    reason: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

impl Counters {
    /// A call is over.
    pub fn ended(&self, outcome: &'static str, reason: &'static str) {
        self.ended.get_or_create(&EndLabels { reason, outcome }).inc();
    }

    /// A call was not taken.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// A recording is on disk.
    pub fn recorded(&self, duration: Duration, overruns: u64) {
        self.recorded_seconds.inc_by(duration.as_secs_f64());
        self.overruns.inc_by(overruns);
    }
}

/// All figures of a worker.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Figures of these parts.
    pub fn new(
        counters: &Counters,
        slots: Slots,
        engine: Engine,
        outbox: Outbox,
        spool: Spool,
    ) -> Self {
        let mut registry = Registry::with_prefix("vox");
        let ended = "Calls that ended, by reason and outcome";
        registry.register("calls_ended", ended, counters.ended.clone());
        registry.register("calls_refused", "Calls not taken, by reason", counters.refused.clone());
        let seconds = "Audio recorded, in seconds";
        registry.register("recorded_seconds", seconds, counters.recorded_seconds.clone());
        let overruns = "Frames missing in recordings because the disk was behind";
        registry.register("recording_overruns", overruns, counters.overruns.clone());
        registry.register_collector(Box::new(Folded { slots, engine, outbox, spool }));
        Self { registry }
    }

    /// The text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// What other parts count for themselves.
#[derive(Debug)]
struct Folded {
    slots: Slots,
    engine: Engine,
    outbox: Outbox,
    spool: Spool,
}

impl Collector for Folded {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        out.gauge("calls_live", "Slots taken", self.slots.taken() as u64)?;
        out.gauge("calls_max", "Slots in all", self.slots.capacity() as u64)?;
        let draining = u64::from(self.slots.is_draining());
        out.gauge("draining", "1 while new calls are refused because the worker ends", draining)?;
        self.engine(&mut out)?;
        out.queue("outbox", "results", self.outbox.counts())?;
        out.queue("upload", "recordings", self.spool.counts())
    }
}

impl Folded {
    fn engine(&self, out: &mut Out<'_>) -> fmt::Result {
        let stats = self.engine.stats();
        out.gauge("engine_calls", "Calls in the shards' tables", stats.calls)?;
        out.counter("calls_opened", "Calls opened", stats.opened)?;
        out.gauge("ports_used", "RTP port pairs in use", stats.ports_used)?;
        out.gauge("ports_resting", "Freed RTP port pairs that rest", stats.ports_quarantined)?;
        out.counter("packets_received", "Datagrams in", stats.packets_received)?;
        out.counter("packets_sent", "Datagrams out", stats.packets_sent)?;
        out.counter("sends_failed", "Datagrams that could not be sent", stats.send_failed)?;
        let unreachable = "Times a peer's host said that nobody listens there";
        out.counter("peer_unreachable", unreachable, stats.peer_unreachable)?;
        let no_buffers = "Times a receive found no buffer with the kernel";
        out.counter("receive_buffers_missed", no_buffers, stats.no_buffers)?;
        let held = "Receive buffers held by jitter buffers";
        out.gauge("receive_buffers_held", held, stats.buffers_held)?;
        out.counter("late_ticks", "Slices that began over 2 ms late", stats.late_ticks)?;
        out.counter("skipped_frames", "Frames skipped by a late shard", stats.skipped_frames)?;
        out.counter("call_faults", "Calls that ended by a bug", stats.faults)?;
        out.counter("events_lost", "Events control was too slow for", stats.events_lost)?;
        let dropped = DropReason::ALL.into_iter().zip(stats.dropped);
        out.counters(
            "packets_dropped",
            "Datagrams dropped, by reason",
            dropped.map(|(reason, count)| (ReasonLabel { reason: reason.label() }, count)),
        )
    }
}

struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (ReasonLabel, u64)>,
    ) -> fmt::Result {
        let kind = ConstCounter::new(0u64).metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn queue(&mut self, name: &str, what: &str, counts: QueueCounts) -> fmt::Result {
        let pending = format!("{name}_pending");
        self.gauge(&pending, &format!("Waiting {what}"), counts.pending)?;
        let delivered = format!("{name}_delivered");
        self.counter(&delivered, &format!("Delivered {what}"), counts.delivered)?;
        let failures = format!("{name}_failures");
        self.counter(&failures, &format!("Failed tries to deliver {what}"), counts.failures)?;
        let poisoned = format!("{name}_poisoned");
        self.counter(&poisoned, &format!("Unreadable {what} set aside"), counts.poisoned)
    }
}
