use core::time::Duration;

use super::{NtpShort, NtpTime};
use crate::{RtpTime, Ssrc};

/// A sender report (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy)]
pub struct SenderReport<'a> {
    /// Who sent it.
    pub ssrc: Ssrc,
    /// What it sent.
    pub info: SenderInfo,
    /// What it heard, one block per source.
    pub blocks: ReportBlocks<'a>,
}

impl<'a> SenderReport<'a> {
    pub(super) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let (ssrc, body) = body.split_first_chunk()?;
        let (info, body) = body.split_first_chunk()?;
        let blocks = ReportBlocks::read(count, body)?;
        Some(Self { ssrc: Ssrc(u32::from_be_bytes(*ssrc)), info: SenderInfo::read(info), blocks })
    }
}

/// A receiver report (RFC 3550 §6.4.2).
#[derive(Debug, Clone, Copy)]
pub struct ReceiverReport<'a> {
    /// Who sent it.
    pub ssrc: Ssrc,
    /// What it heard, one block per source.
    pub blocks: ReportBlocks<'a>,
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let (ssrc, body) = body.split_first_chunk()?;
        let blocks = ReportBlocks::read(count, body)?;
        Some(Self { ssrc: Ssrc(u32::from_be_bytes(*ssrc)), blocks })
    }
}

/// The sender's half of a sender report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    /// When the report was sent.
    pub ntp: NtpTime,
    /// The same instant in the units of the sender's RTP timestamps.
    pub rtp: RtpTime,
    /// RTP packets sent since the source began.
    pub packets: u32,
    /// Payload bytes sent since the source began, without headers and padding.
    pub octets: u32,
}

impl SenderInfo {
    pub(super) const LEN: usize = 20;

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[0..8].copy_from_slice(&self.ntp.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.rtp.0.to_be_bytes());
        out[12..16].copy_from_slice(&self.packets.to_be_bytes());
        out[16..20].copy_from_slice(&self.octets.to_be_bytes());
        out
    }

    const fn read(bytes: &[u8; Self::LEN]) -> Self {
        let ntp = (word(bytes, 0) as u64) << 32 | word(bytes, 1) as u64;
        Self {
            ntp: NtpTime(ntp),
            rtp: RtpTime(word(bytes, 2)),
            packets: word(bytes, 3),
            octets: word(bytes, 4),
        }
    }
}

/// The report blocks of an SR or RR, 0..=31 of them. Whatever a profile adds behind them is ignored.
#[derive(Debug, Clone, Copy)]
pub struct ReportBlocks<'a> {
    blocks: &'a [[u8; ReportBlock::LEN]],
}

impl<'a> ReportBlocks<'a> {
    /// The blocks in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ReportBlock> + use<'a> {
        self.blocks.iter().map(ReportBlock::read)
    }

    /// The block about `ssrc`.
    pub fn about(&self, ssrc: Ssrc) -> Option<ReportBlock> {
        self.iter().find(|block| block.ssrc == ssrc)
    }

    fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let (chunks, _) = body.as_chunks();
        Some(Self { blocks: chunks.get(..usize::from(count))? })
    }
}

/// What a receiver heard from one source (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: Ssrc,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the source began, −8,388,608..=8,388,607; negative after duplicates.
    pub cumulative_lost: i32,
    /// Highest sequence number received, its wraps in the high 16 bits.
    pub highest_seq: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// When the last SR from the source was sent by its own clock; zero before any.
    pub last_sr: NtpShort,
    /// Time between receiving that SR and sending this block; zero before any.
    pub delay_since_last_sr: NtpShort,
}

impl ReportBlock {
    /// Bytes of a block.
    pub const LEN: usize = 24;

    /// Round-trip time by RFC 3550 §6.4.1, seen by the sender that the block is about; `now` is when
    /// the block arrived, by the clock that stamps our own SRs.
    ///
    /// `None` before the peer has heard an SR, and when the sum is negative beyond
    /// what rounding explains. A peer can put anything into these fields: whoever needs to trust the
    /// figure first checks that `last_sr` is an SR it sent.
    pub fn round_trip(&self, now: NtpTime) -> Option<Duration> {
        if self.last_sr == NtpShort(0) {
            return None;
        }
        let units =
            now.short().0.wrapping_sub(self.last_sr.0).wrapping_sub(self.delay_since_last_sr.0);
        match units as i32 {
            0.. => Some(NtpShort(units).duration()),
            // Both sides round to 15 µs; on a fast path the sum may fall just below zero.
            BELOW_ZERO_MAX..0 => Some(Duration::ZERO),
            _ => None,
        }
    }

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let lost = self.cumulative_lost.clamp(LOST_MIN, LOST_MAX) as u32 & 0x00ff_ffff;
        let words = [
            self.ssrc.0,
            u32::from(self.fraction_lost) << 24 | lost,
            self.highest_seq,
            self.jitter,
            self.last_sr.0,
            self.delay_since_last_sr.0,
        ];
        let mut out = [0; Self::LEN];
        for (bytes, word) in out.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_be_bytes();
        }
        out
    }

    const fn read(bytes: &[u8; Self::LEN]) -> Self {
        let losses = word(bytes, 1);
        Self {
            ssrc: Ssrc(word(bytes, 0)),
            fraction_lost: (losses >> 24) as u8,
            // Shifting up and down again extends the sign of the 24 bits.
            cumulative_lost: (losses << 8) as i32 >> 8,
            highest_seq: word(bytes, 2),
            jitter: word(bytes, 3),
            last_sr: NtpShort(word(bytes, 4)),
            delay_since_last_sr: NtpShort(word(bytes, 5)),
        }
    }
}

/// The big-endian word at `index`, which the callers' array types hold.
const fn word<const N: usize>(bytes: &[u8; N], index: usize) -> u32 {
    let at = index * 4;
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// RFC 3550 §A.3: cumulative loss is clamped to 24 bits, not wrapped.
pub(super) const LOST_MAX: i32 = 0x7f_ffff;
pub(super) const LOST_MIN: i32 = -0x80_0000;
/// −1 ms in 1/65,536 s.
const BELOW_ZERO_MAX: i32 = -66;
