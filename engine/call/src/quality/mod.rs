//! What a call was like: counters, percentiles, and MOS by the E-model (ITU-T G.107).  (owner: core)
use std::time::Duration;

use vox_codecs::CodecKind;

/// A call's quality, with everything that its MOS was computed from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quality {
    /// Codec last agreed on.
    pub codec: Option<CodecKind>,
    /// Packets received and valid.
    pub packets_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets that never came (by sequence number).
    pub lost: u64,
    /// Packets that came too late to be played.
    pub late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets that came out of order.
    pub reordered: u64,
    /// Packets recovered by in-band FEC.
    pub recovered: u64,
    /// Audio that had to be made up.
    pub concealed: Duration,
    /// Interarrival jitter, median.
    pub jitter_p50: Duration,
    /// Interarrival jitter, 95th percentile.
    pub jitter_p95: Duration,
    /// Playout delay of the jitter buffer, mean.
    pub buffer_delay: Duration,
    /// Playout delay now.
    pub buffer_delay_now: Duration,
    /// Network round trip from RTCP; `None` when the peer sends no reports.
    pub rtt: Option<Duration>,
    /// How long the caller was heard above the speech level: zero is a caller who never spoke.
    pub speech: Duration,
    /// Digits received.
    pub digits: u32,
    /// Estimated listening quality, MOS-LQ in hundredths (100..=450).
    pub mos_lq_hundredths: u16,
    /// The same with the one-way delay counted in: conversational quality, MOS-CQ.
    pub mos_cq_hundredths: u16,
    /// Dropped datagrams by [`DropReason`](vox_rtp::DropReason).
    pub dropped: [u32; vox_rtp::DropReason::COUNT],
}
