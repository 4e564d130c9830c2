//! The jitter buffer: packets are filed on arrival and played on the tick.  (owner: jitter)
use std::time::Duration;

use vox_codecs::Decoder;
use vox_rtp::{DropReason, RtpHeader};

use crate::{MediaTime, PacketMemory, RxBuf};

/// What a filed packet holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Audio of the negotiated codec.
    Speech,
    /// A comfort-noise update (RFC 3389).
    ComfortNoise,
    /// A telephone-event (RFC 4733): it takes a sequence number, so that it is no loss, and holds
    /// no audio. Its timestamp is the start of the event and says nothing about jitter.
    TelephoneEvent,
}

/// A packet to be filed; the buffer's `offset..offset+len` are narrowed to the *payload*.
#[derive(Debug)]
pub struct Arrival {
    /// Its header.
    pub header: RtpHeader,
    /// What it holds.
    pub content: Content,
    /// The payload, where it was received.
    pub payload: RxBuf,
}

/// What one tick of the buffer was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Played {
    /// Decoded audio (perhaps stretched).
    Speech,
    /// Made up for something lost or late.
    Concealed,
    /// Comfort noise of a DTX pause.
    ComfortNoise,
    /// Nothing to play yet (before the first packet, or the talkspurt is over): silence.
    Silence,
}

/// Counters for the call's quality.
#[derive(Debug, Clone, Copy, Default)]
pub struct JitterStats {
    /// Valid packets filed.
    pub filed: u64,
    /// Lost for good.
    pub lost: u64,
    /// Too late.
    pub late: u64,
    /// Twice.
    pub duplicates: u64,
    /// Out of order.
    pub reordered: u64,
    /// Recovered by FEC.
    pub recovered: u64,
    /// Made-up audio.
    pub concealed: Duration,
    /// Interarrival jitter median.
    pub jitter_p50: Duration,
    /// 95th percentile.
    pub jitter_p95: Duration,
    /// Playout delay now (oldest packet's wait, plus decoded samples not yet played).
    pub delay_now: Duration,
    /// Mean.
    pub delay_mean: Duration,
    /// Target now.
    pub target: Duration,
    /// Audio removed by time stretching.
    pub shortened: Duration,
    /// Audio inserted.
    pub lengthened: Duration,
}

/// The jitter buffer of one stream.
#[derive(Debug)]
pub struct JitterBuffer {}

impl JitterBuffer {
    /// For a stream with an RTP clock of `clock_hz` and audio at `rate_hz`.
    pub fn new(clock_hz: u32, rate_hz: u32) -> Self {
        unimplemented!("{clock_hz}{rate_hz}")
    }
    /// Files a packet. On `Err` the payload was released already.
    pub fn file(
        &mut self,
        now: MediaTime,
        arrival: Arrival,
        memory: &mut impl PacketMemory,
    ) -> Result<(), DropReason> {
        let _ = (now, arrival, memory);
        unimplemented!()
    }
    /// Fills `pcm` with the next 20 ms.
    pub fn play(
        &mut self,
        now: MediaTime,
        decoder: &mut Decoder,
        memory: &mut impl PacketMemory,
        pcm: &mut [i16],
    ) -> Played {
        let _ = (now, decoder, memory, pcm);
        unimplemented!()
    }
    /// Forgets the stream (new SSRC, codec change, close), releasing what it holds. Statistics stay.
    pub fn reset(&mut self, clock_hz: u32, rate_hz: u32, memory: &mut impl PacketMemory) {
        let _ = (clock_hz, rate_hz, memory);
        unimplemented!()
    }
    /// Statistics so far.
    pub fn stats(&self) -> JitterStats {
        unimplemented!()
    }
}
