//! What a call was like: counters, percentiles, and MOS by the E-model (ITU-T G.107).

pub mod emodel;
mod responses;

use std::time::Duration;

use vox_codecs::CodecKind;
use vox_rtp::DropReason;

use crate::jitter::JitterStats;
pub(crate) use responses::ResponseClock;
pub use responses::{Response, Responses};

/// A call's quality, with everything that its MOS was computed from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quality {
    /// Codec last agreed on.
    pub codec: Option<CodecKind>,
    /// RTP packets received and valid.
    pub packets_received: u64,
    /// RTP packets sent.
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
    /// How long the caller waited for an agent elsewhere; all zero on calls without voice activity
    /// detection.
    pub responses: Responses,
    /// Digits received.
    pub digits: u32,
    /// Estimated listening quality, MOS-LQ in hundredths (100..=450); 0 before anything was heard.
    pub mos_lq_hundredths: u16,
    /// The same with the one-way delay counted in: conversational quality, MOS-CQ.
    pub mos_cq_hundredths: u16,
    /// Dropped datagrams by [`DropReason`].
    pub dropped: [u32; DropReason::COUNT],
}

impl Quality {
    /// Takes over what the jitter buffer knows.
    pub(crate) fn with_jitter(self, stats: &JitterStats) -> Self {
        Self {
            lost: stats.lost,
            late: stats.late,
            duplicates: stats.duplicates,
            reordered: stats.reordered,
            recovered: stats.recovered,
            concealed: stats.concealed,
            jitter_p50: stats.jitter_p50,
            jitter_p95: stats.jitter_p95,
            buffer_delay: stats.delay_mean,
            buffer_delay_now: stats.delay_now,
            ..self
        }
    }

    /// Adds the scores to what was measured.
    pub(crate) fn scored(self) -> Self {
        let Some(codec) = self.codec.filter(|_| self.packets_received > 0) else { return self };
        let score = |delay| {
            let inputs = emodel::Inputs { codec, loss_percent: self.loss_percent(), delay };
            (emodel::mos(emodel::rating(inputs)) * 100.0).round() as u16
        };
        let delay = self.rtt.unwrap_or_default() / 2 + self.buffer_delay + PACKETISATION;
        Self { mos_lq_hundredths: score(Duration::ZERO), mos_cq_hundredths: score(delay), ..self }
    }

    fn loss_percent(&self) -> f64 {
        let unplayable = (self.lost + self.late).saturating_sub(self.recovered) as f64;
        let expected = self.packets_received as f64 + self.lost as f64;
        100.0 * unplayable / expected.max(1.0)
    }
}

/// What a packet waits for before it can be sent: its own length.
const PACKETISATION: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lost: u64, late: u64) -> Quality {
        let codec = Some(CodecKind::Pcmu);
        Quality { codec, packets_received: 1_000 - lost, lost, late, ..Quality::default() }
    }

    #[test]
    fn scores_follow_loss_and_delay_apart() {
        let slow = Quality { rtt: Some(Duration::from_millis(600)), ..heard(0, 0) };
        let rows = [
            (heard(0, 0), (441, 441)),
            (heard(50, 0), (392, 392)),
            (heard(25, 25), (392, 392)),
            (slow, (441, 388)),
            (Quality::default(), (0, 0)),
        ];
        for (quality, expected) in rows {
            let scored = quality.scored();
            assert_eq!((scored.mos_lq_hundredths, scored.mos_cq_hundredths), expected);
        }
    }
}
