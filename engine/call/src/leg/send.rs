//! What a leg sends: one RTP stream, encoded straight into its send slots.

use vox_codecs::CodecKind;
use vox_rtp::{RtpHeader, RtpTime, SeqNo, Ssrc};

use super::latch::Destination;
use super::random::Random;
use crate::shard::Context;
use crate::{Component, MediaSession, PacketMemory};

/// Our RTP stream. Sequence and timestamp go on over holds, changes of codec and of address: it
/// stays one stream.
#[derive(Debug)]
pub(crate) struct Sender {
    stream: Stream,
    /// Timestamp of the present tick.
    time: RtpTime,
    /// Slices of 2 ms by which the next tick comes later than 20 ms after the last.
    shift: i64,
    /// RFC 3551 §4.1: the next packet begins a talkspurt.
    marker: bool,
    /// Audio that waits for its packet to be full, at the codec's rate. Apart: packets of 20 ms do
    /// without it.
    pcm: Box<[i16; MAX_PACKET_SAMPLES]>,
    /// In `0..MAX_PACKET_SAMPLES`.
    filled: usize,
    /// Timestamp of the first of them.
    began: RtpTime,
}

/// What numbers the packets.
#[derive(Debug)]
struct Stream {
    ssrc: Ssrc,
    seq: SeqNo,
    packets: u32,
    octets: u32,
}

/// A packet's place in the stream, where that is not the next audio.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) payload_type: u8,
    pub(crate) time: RtpTime,
    pub(crate) marker: bool,
}

impl Sender {
    /// RFC 3550 §5.1: source, first sequence number and first timestamp are random.
    pub(crate) fn new(random: &mut Random) -> Self {
        let time = RtpTime(random.next() as u32);
        let (ssrc, seq) = (Ssrc(random.next() as u32), SeqNo(random.next() as u16));
        Self {
            stream: Stream { ssrc, seq, packets: 0, octets: 0 },
            time,
            shift: 0,
            marker: true,
            pcm: Box::new([0; MAX_PACKET_SAMPLES]),
            filled: 0,
            began: time,
        }
    }

    /// The next tick, and all after it, come so many slices of 2 ms later, or earlier.
    ///
    /// Timestamps follow. Otherwise a peer that has begun to play would take a tick that comes
    /// earlier for a packet that can wait, and what we gain would be spent in its buffer.
    pub(crate) fn shift(&mut self, slices: i64) {
        if self.stream.packets > 0 {
            self.shift += slices;
        }
    }

    /// `frames` ticks of 20 ms have passed. Says whether the last packet's audio is over; if not,
    /// nothing is to be sent in this tick.
    pub(crate) fn advance(&mut self, frames: u64, codec: CodecKind) -> bool {
        let frame = i64::from(codec.clock_hz() / 50);
        let shift = std::mem::take(&mut self.shift);
        let units = (frames as i64).wrapping_mul(frame) + shift * (frame / 10);
        self.time = self.time.plus(units as i32);
        if frames > 1 || shift != 0 {
            self.pause();
        }
        units >= frame
    }

    /// Audio is interrupted: what waits is dropped, what comes next is a new talkspurt.
    pub(crate) fn pause(&mut self) {
        self.filled = 0;
        self.marker = true;
    }

    /// Takes 20 ms of audio; sends when a packet is full.
    pub(crate) fn audio<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        session: &mut MediaSession,
        to: Destination,
        pcm: &[i16],
    ) {
        let frames = frames_per_packet(session);
        if self.filled == 0 {
            self.began = self.time;
        }
        let place =
            Place { payload_type: session.payload_type, time: self.began, marker: self.marker };
        let audio = if frames == 1 {
            // The usual packet is encoded from where the audio is.
            pcm
        } else {
            let end = (self.filled + pcm.len()).min(MAX_PACKET_SAMPLES);
            self.pcm[self.filled..end].copy_from_slice(&pcm[..end - self.filled]);
            self.filled = end;
            if end < pcm.len() * frames {
                return;
            }
            &self.pcm[..end]
        };
        self.stream.send(ctx, to, place, |payload| session.encoder.encode(audio, payload));
        self.filled = 0;
        self.marker = false;
    }

    /// Sends a packet that is not the next audio; `write` puts the payload into its place and tells
    /// its length.
    pub(crate) fn packet<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        to: Destination,
        place: Place,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) {
        self.stream.send(ctx, to, place, write);
    }

    pub(crate) fn ssrc(&self) -> Ssrc {
        self.stream.ssrc
    }

    /// Timestamp of the present tick.
    pub(crate) fn time(&self) -> RtpTime {
        self.time
    }

    /// Packets and payload octets sent, as an SR reports them.
    pub(crate) fn sent(&self) -> (u32, u32) {
        (self.stream.packets, self.stream.octets)
    }
}

impl Stream {
    /// Sends one packet, whose payload `write` puts into its place and tells the length of.
    fn send<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        to: Destination,
        place: Place,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) {
        let Place { payload_type, time, marker } = place;
        let seq = self.seq;
        // Also without a send slot: the peer shall see a loss, not a pause.
        self.seq = seq.next();
        let Some(slot) = ctx.memory.acquire() else {
            ctx.counters.no_send_slot += 1;
            return;
        };
        let header = RtpHeader { marker, payload_type, seq, time, ssrc: self.ssrc };
        let octets = write(header.write(ctx.memory.slot(&slot)));
        if octets == 0 {
            self.seq = seq;
            ctx.memory.discard(slot);
            return;
        }
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(octets as u32);
        ctx.counters.rtp_sent += 1;
        ctx.send(Component::Rtp, slot, RtpHeader::LEN + octets, to);
    }
}

/// 20, 40 or 60 ms; Opus is encoded in frames of 20 ms only.
fn frames_per_packet(session: &MediaSession) -> usize {
    match session.encoder.kind() {
        CodecKind::Opus => 1,
        _ => usize::from(session.ptime_ms / 20).clamp(1, MAX_FRAMES),
    }
}

const MAX_FRAMES: usize = 3;
/// 60 ms at 16 kHz.
const MAX_PACKET_SAMPLES: usize = 320 * MAX_FRAMES;
