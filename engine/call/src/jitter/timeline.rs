//! Where a packet stands: RTP's wrapping sequence numbers and timestamps as one endless line.
use vox_rtp::{RtpHeader, RtpTime, SeqNo};

/// Extends sequence numbers and timestamps, and carries the line on across restarts and jumps, so
/// that everything behind it sees one stream without breaks.
#[derive(Debug)]
pub(super) struct Timeline {
    clock_hz: i64,
    rate_hz: i64,
    /// The newest packet by number.
    newest: Option<Newest>,
    /// The newest timestamp and its position; `None` until the first packet with audio.
    anchor: Option<(RtpTime, i64)>,
}

#[derive(Debug, Clone, Copy)]
struct Newest {
    seq: SeqNo,
    number: i64,
}

/// A packet's number on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbered {
    /// The stream's first packet.
    First(i64),
    /// Within reach of the newest packet; `advance` is positive for a newer one.
    At { number: i64, advance: i64 },
    /// So far away that either very much was lost or the sender restarted its numbers.
    Jump,
}

impl Timeline {
    /// Sequence numbers further than this from the newest are a jump.
    pub(super) const REACH: i64 = 128;
    /// RFC 3550 §A.1, MAX_DROPOUT: a larger forward jump is a restart and no loss.
    pub(super) const DROPOUT_MAX: i64 = 3_000;

    pub(super) fn new(clock_hz: u32, rate_hz: u32) -> Self {
        let (clock_hz, rate_hz) = (i64::from(clock_hz.max(1)), i64::from(rate_hz.max(1)));
        Self { clock_hz, rate_hz, newest: None, anchor: None }
    }

    /// Numbers a packet without moving the line.
    pub(super) fn number(&self, seq: SeqNo) -> Numbered {
        let Some(newest) = self.newest else { return Numbered::First(0) };
        let advance = i64::from(seq.since(newest.seq));
        if advance.abs() >= Self::REACH {
            return Numbered::Jump;
        }
        Numbered::At { number: newest.number + advance, advance }
    }

    /// The position that the packet's timestamp stands for, if any packet with audio came before.
    pub(super) fn position(&self, time: RtpTime) -> Option<i64> {
        let (anchor, position) = self.anchor?;
        Some(position + i64::from(time.since(anchor)) * self.rate_hz / self.clock_hz)
    }

    /// The number of the newest packet.
    pub(super) fn newest_number(&self) -> Option<i64> {
        self.newest.map(|newest| newest.number)
    }

    /// The position of the newest packet with audio.
    pub(super) fn newest_position(&self) -> Option<i64> {
        self.anchor.map(|(_, position)| position)
    }

    /// Moves the line on to a newer packet's number.
    pub(super) fn advance(&mut self, header: &RtpHeader, number: i64) {
        self.newest = Some(Newest { seq: header.seq, number });
    }

    /// Says where a timestamp stands from now on.
    pub(super) fn anchor(&mut self, time: RtpTime, position: i64) {
        self.anchor = Some((time, position));
    }

    /// The number that continues the line, and how many packets a jump to `seq` skips if it is
    /// short enough to be a loss.
    pub(super) fn carry_on(&self, seq: SeqNo) -> (i64, i64) {
        let Some(newest) = self.newest else { return (0, 0) };
        let skipped = i64::from(seq.since(newest.seq)) - 1;
        let lost = if (1..Self::DROPOUT_MAX).contains(&skipped) { skipped } else { 0 };
        (newest.number + 1, lost)
    }
}
