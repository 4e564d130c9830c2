use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use vox_engine::Stats;
use vox_rtp::DropReason;

use super::Readings;
use super::counters::{Counters, Counts};
use crate::agents::Counts as AgentCounts;
use crate::delivery::QueueCounts;
use crate::sip::SipCounts;

/// Writes everything down, from one reading.
pub(super) struct Exposition<R> {
    counters: Counters,
    read: R,
    /// Since 1970.
    started: Duration,
}

impl<R> Exposition<R> {
    pub(super) fn new(counters: Counters, read: R, started: Duration) -> Self {
        Self { counters, read, started }
    }
}

impl<R: Fn() -> Readings + Send + Sync + 'static> Collector for Exposition<R> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let readings = (self.read)();
        let mut page = Page(encoder);
        page.process(self.started)?;
        page.capacity(&readings)?;
        page.calls(&self.counters.read())?;
        page.telephony(&self.counters.read())?;
        page.agents(&readings.agents)?;
        page.sip(readings.sip)?;
        page.engine(&readings.engine)?;
        page.packets(&readings.engine)?;
        page.outbox(&readings.results)?;
        page.uploads(&readings.recordings)
    }
}

impl<R> fmt::Debug for Exposition<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exposition")
    }
}

pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    fn process(&mut self, started: Duration) -> fmt::Result {
        self.each(
            "build_info",
            "Always 1; the label is the version that runs",
            [([("version", env!("CARGO_PKG_VERSION"))], ConstGauge::new(1_u64))],
        )?;
        self.one(
            "process_start_time_seconds",
            "When this worker started, in seconds since 1970; changes with each restart",
            ConstGauge::new(started.as_secs_f64()),
        )
    }

    fn capacity(&mut self, readings: &Readings) -> fmt::Result {
        self.gauge("calls_live", "Calls this worker has now", readings.slots_taken as u64)?;
        self.gauge("calls_max", "Calls this worker takes at once", readings.slots as u64)?;
        self.gauge(
            "draining",
            "1 while the worker refuses new calls and waits for its last ones to end, else 0",
            u64::from(readings.draining),
        )
    }

    fn calls(&mut self, counts: &Counts) -> fmt::Result {
        let ended = counts.ended.iter().map(|((reason, outcome), count)| {
            ([("reason", *reason), ("outcome", *outcome)], ConstCounter::new(*count))
        });
        self.each(
            "calls_ended",
            "Calls that are over, by reason; outcome=failed ones deserve a look, \
             media_timeout is a caller who vanished",
            ended,
        )?;
        let refused = counts
            .refused
            .iter()
            .map(|(reason, count)| ([("reason", *reason)], ConstCounter::new(*count)));
        self.each("calls_refused", "Calls that were not taken, by reason", refused)?;
        self.counter("recordings", "Recordings that are complete", counts.recordings)?;
        self.one(
            "recorded_seconds",
            "Length of all complete recordings together",
            ConstCounter::new(counts.recorded.as_secs_f64()),
        )?;
        self.counter(
            "recording_overruns",
            "20 ms frames that are silence in a recording because the disk was too slow",
            counts.overruns,
        )
    }

    fn telephony(&mut self, counts: &Counts) -> fmt::Result {
        let wrong = counts.telephony_wrong.iter();
        let wrong = wrong.map(|(reason, count)| ([("reason", *reason)], ConstCounter::new(*count)));
        self.each(
            "telephony_refused",
            "What telephony sockets brought that cannot be used, by reason",
            wrong,
        )?;
        let dropped = counts.telephony_dropped.iter();
        let dropped =
            dropped.map(|(whose, count)| ([("whose", *whose)], ConstCounter::new(*count)));
        self.each(
            "telephony_audio_dropped",
            "Messages of audio lost on telephony sockets: the caller's when a peer sends far faster \
             than real time (20 ms each), the bot's when it does not read",
            dropped,
        )
    }

    fn sip(&mut self, counts: SipCounts) -> fmt::Result {
        self.gauge("sip_dialogs", "SIP dialogs in progress", counts.dialogs as u64)?;
        self.counter(
            "sip_requests_refused",
            "SIP requests answered with a failure; the log says why for some of them",
            counts.refused,
        )?;
        self.counter(
            "sip_messages_dropped",
            "SIP messages that were not answered: garbage, strays, floods",
            counts.dropped,
        )
    }

    fn engine(&mut self, stats: &Stats) -> fmt::Result {
        self.gauge("engine_calls", "Calls the media engine has now", stats.calls)?;
        self.counter("calls_opened", "Calls the media engine has opened", stats.opened)?;
        self.counter(
            "call_faults",
            "Calls ended by a bug in the media engine, which spared the others; please report",
            stats.faults,
        )?;
        self.counter(
            "events_lost",
            "Events the engine threw away because control was too slow; results miss entries",
            stats.events_lost,
        )?;
        self.counter(
            "late_ticks",
            "Slices of media work that began over 2 ms late: the cores are too busy",
            stats.late_ticks,
        )?;
        self.counter(
            "skipped_frames",
            "20 ms frames never sent because a core was a whole frame late: callers hear gaps",
            stats.skipped_frames,
        )?;
        self.gauge("ports_used", "RTP port pairs that calls hold now", stats.ports_used)?;
        self.gauge(
            "ports_resting",
            "RTP port pairs that rest before another call may have them",
            stats.ports_quarantined,
        )
    }

    fn packets(&mut self, stats: &Stats) -> fmt::Result {
        self.counter(
            "packets_received",
            "Datagrams received by media ports",
            stats.packets_received,
        )?;
        self.counter("packets_sent", "Datagrams sent from media ports", stats.packets_sent)?;
        let dropped = DropReason::ALL
            .into_iter()
            .zip(stats.dropped)
            .map(|(reason, count)| ([("reason", reason.label())], ConstCounter::new(count)));
        self.each("packets_dropped", "Datagrams received but not played, by reason", dropped)?;
        self.counter(
            "sends_failed",
            "Datagrams that could not be sent: socket buffer full or no send slot free",
            stats.send_failed,
        )?;
        self.counter(
            "peer_unreachable",
            "Times a peer's network said that nobody listens there (ICMP)",
            stats.peer_unreachable,
        )?;
        self.counter(
            "receive_buffers_missed",
            "Times the kernel had no buffer to receive into (ENOBUFS); packets wait in the socket",
            stats.no_buffers,
        )?;
        self.gauge(
            "receive_buffers_held",
            "Received packets that wait in jitter buffers now; 0 without calls",
            stats.buffers_held,
        )
    }

    fn outbox(&mut self, counts: &QueueCounts) -> fmt::Result {
        self.gauge(
            "outbox_pending",
            "Call results on disk that the Backend has not confirmed; grows while it is down",
            counts.pending,
        )?;
        self.counter("outbox_delivered", "Call results the Backend confirmed", counts.delivered)?;
        self.counter(
            "outbox_failures",
            "Failed tries to deliver a call result; each is tried again, the log says why",
            counts.failures,
        )?;
        self.counter(
            "outbox_poisoned",
            "Call results nobody can deliver as they are; the log names each file",
            counts.poisoned,
        )
    }

    fn uploads(&mut self, counts: &QueueCounts) -> fmt::Result {
        self.gauge(
            "upload_pending",
            "Recordings in the spool that the store has not confirmed; grows while it is down",
            counts.pending,
        )?;
        self.counter("upload_delivered", "Recordings the store confirmed", counts.delivered)?;
        self.counter(
            "upload_failures",
            "Failed tries to store a recording; each is tried again, the log says why",
            counts.failures,
        )?;
        self.counter(
            "upload_poisoned",
            "Recordings nobody can store as they are; the log names each file",
            counts.poisoned,
        )
    }

    /// `name` without `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.one(name, help, ConstCounter::new(value))
    }

    fn agents(&mut self, counts: &AgentCounts) -> fmt::Result {
        let count = |count: &AtomicU64| ConstCounter::new(count.load(Ordering::Relaxed));
        self.one(
            "agent_connections",
            "Connections to bots' brains that were opened",
            count(&counts.connected),
        )?;
        self.one(
            "agent_reconnects",
            "Connections to brains that were tried again after a loss",
            count(&counts.reconnects),
        )?;
        self.one("agent_gone", "Brains that were gone for good in mid-call", count(&counts.gone))?;
        self.one(
            "agent_frames_lost",
            "Frames (20 ms) of callers that no brain got: it was slow, or not there",
            count(&counts.lost_frames),
        )?;
        self.one(
            "agent_messages_unsent",
            "Messages for brains that found their buffers full",
            count(&counts.unsent),
        )?;
        let wrong = counts.wrongs();
        let wrong =
            wrong.iter().map(|(name, count)| ([("reason", *name)], ConstCounter::new(*count)));
        self.each("agent_refused", "Messages of brains that cannot be used, by reason", wrong)
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.one(name, help, ConstGauge::new(value))
    }

    fn one(&mut self, name: &str, help: &str, metric: impl EncodeMetric) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, None, metric.metric_type())?)
    }

    /// One series for each label set.
    pub(super) fn each<L: EncodeLabelSet, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, M)>,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        let Some((_, first)) = series.peek() else { return Ok(()) };
        let mut encoder = self.0.encode_descriptor(name, help, None, first.metric_type())?;
        series.try_for_each(|(labels, metric)| metric.encode(encoder.encode_family(&labels)?))
    }
}
