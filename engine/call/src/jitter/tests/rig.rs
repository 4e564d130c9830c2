//! A sender, packet memory that counts, and a player with its own clock.
use std::time::Duration;

use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_rtp::{DropReason, RtpHeader, RtpTime, SeqNo, Ssrc};

use super::network::Network;
use crate::jitter::{Arrival, Content, JitterBuffer, JitterStats, Played};
use crate::{MediaTime, PacketMemory, RxBuf, TxSlot};

/// A packet as it was sent.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) sent_us: u64,
    pub(super) seq: u16,
    pub(super) time: u32,
    pub(super) content: Content,
    pub(super) payload: Vec<u8>,
}

/// Encodes `pcm` in packets of `ptime_ms`. The first is sent at time 1 s.
pub(super) fn encode(kind: CodecKind, ptime_ms: usize, pcm: &[i16]) -> Vec<Packet> {
    let mut encoder = Encoder::new(kind);
    let samples = kind.rate_hz() as usize * ptime_ms / 1_000;
    let ticks = kind.clock_hz() as usize * ptime_ms / 1_000;
    let encode = |(index, chunk): (usize, &[i16])| {
        let mut payload = vec![0; 1_500];
        let len = encoder.encode(chunk, &mut payload);
        payload.truncate(len);
        Packet {
            sent_us: 1_000_000 + (index * ptime_ms * 1_000) as u64,
            seq: (65_000 + index) as u16,
            time: u32::MAX.wrapping_sub(8_000).wrapping_add((index * ticks) as u32),
            content: Content::Speech,
            payload,
        }
    };
    pcm.chunks_exact(samples).enumerate().map(encode).collect()
}

/// A voice of 100 to 180 Hz with syllables and pauses.
pub(super) fn voice(rate_hz: u32, seconds: usize) -> Vec<i16> {
    sing(rate_hz, seconds, |t| {
        let syllable = (t * 3.3 * std::f64::consts::PI).sin().abs().powf(0.7);
        if t % 2.6 < 2.1 { syllable } else { 0.0 }
    })
}

/// The same voice without syllables or pauses.
pub(super) fn breathless(rate_hz: u32, seconds: usize) -> Vec<i16> {
    sing(rate_hz, seconds, |t| 0.8 + 0.2 * (t * 20.0).sin())
}

fn sing(rate_hz: u32, seconds: usize, loudness: impl Fn(f64) -> f64) -> Vec<i16> {
    let mut phase = 0.0f64;
    let sample = |n: usize| {
        let t = n as f64 / f64::from(rate_hz);
        let pitch = 140.0 + 40.0 * (t * 2.1).sin();
        phase += std::f64::consts::TAU * pitch / f64::from(rate_hz);
        let tone: f64 = (1..=12).map(|k| (phase * f64::from(k)).sin() / f64::from(k)).sum();
        (tone * loudness(t) * 6_000.0) as i16
    };
    (0..rate_hz as usize * seconds).map(sample).collect()
}

/// Receive memory that panics on a double release and knows what is still out.
#[derive(Debug, Default)]
pub(super) struct Memory {
    buffers: Vec<Option<Vec<u8>>>,
    free: Vec<u16>,
}

impl Memory {
    pub(super) fn receive(&mut self, payload: &[u8]) -> RxBuf {
        let index = self.free.pop().unwrap_or_else(|| {
            self.buffers.push(None);
            (self.buffers.len() - 1) as u16
        });
        self.buffers[usize::from(index)] = Some(payload.to_vec());
        RxBuf { index, offset: 0, len: payload.len() as u16 }
    }

    pub(super) fn held(&self) -> usize {
        self.buffers.len() - self.free.len()
    }
}

impl PacketMemory for Memory {
    fn received(&self, buf: &RxBuf) -> &[u8] {
        let bytes = self.buffers[usize::from(buf.index)].as_ref().expect("not released");
        &bytes[usize::from(buf.offset)..usize::from(buf.offset + buf.len)]
    }
    fn received_mut(&mut self, buf: &RxBuf) -> &mut [u8] {
        let bytes = self.buffers[usize::from(buf.index)].as_mut().expect("not released");
        &mut bytes[usize::from(buf.offset)..usize::from(buf.offset + buf.len)]
    }
    fn release(&mut self, buf: RxBuf) {
        self.buffers[usize::from(buf.index)].take().expect("released once");
        self.free.push(buf.index);
    }
    fn acquire(&mut self) -> Option<TxSlot> {
        None
    }
    fn slot(&mut self, _: &TxSlot) -> &mut [u8] {
        &mut []
    }
    fn discard(&mut self, _: TxSlot) {}
}

/// A jitter buffer with all it needs.
pub(super) struct Rig {
    pub(super) buffer: JitterBuffer,
    pub(super) memory: Memory,
    decoder: Decoder,
    frame: Vec<i16>,
    /// What a frame is filled with before a tick: samples that nobody writes keep it.
    pub(super) mark: i16,
}

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) pcm: Vec<i16>,
    pub(super) played: Vec<Played>,
    /// After each tick: its time and the statistics.
    pub(super) trace: Vec<(u64, JitterStats)>,
}

impl Rig {
    pub(super) fn new(kind: CodecKind) -> Self {
        Self {
            buffer: JitterBuffer::new(kind.clock_hz(), kind.rate_hz()),
            memory: Memory::default(),
            decoder: Decoder::new(kind),
            frame: vec![0; kind.frame_samples()],
            mark: 0,
        }
    }

    /// The session changes to another codec.
    pub(super) fn change(&mut self, kind: CodecKind) {
        self.buffer.reset(kind.clock_hz(), kind.rate_hz(), &mut self.memory);
        self.decoder = Decoder::new(kind);
        self.frame = vec![0; kind.frame_samples()];
    }

    pub(super) fn file(&mut self, at_us: u64, packet: &Packet) -> Result<(), DropReason> {
        let header = RtpHeader {
            marker: false,
            payload_type: 0,
            seq: SeqNo(packet.seq),
            time: RtpTime(packet.time),
            ssrc: Ssrc(7),
        };
        let payload = self.memory.receive(&packet.payload);
        let arrival = Arrival { header, content: packet.content, payload };
        self.buffer.file(MediaTime::from_micros(at_us), arrival, &mut self.memory)
    }

    pub(super) fn tick(&mut self, at_us: u64) -> (Played, &[i16]) {
        self.frame.fill(self.mark);
        let now = MediaTime::from_micros(at_us);
        let played = self.buffer.play(now, &mut self.decoder, &mut self.memory, &mut self.frame);
        (played, &self.frame)
    }

    /// Plays all arrivals on a 20 ms grid that starts `phase_us` after a whole second, until
    /// `tail_ms` after the last.
    pub(super) fn play(
        &mut self,
        packets: &[Packet],
        arrivals: &[(u64, usize)],
        phase_us: u64,
        tail_ms: u64,
    ) -> Heard {
        let mut heard = Heard::default();
        let mut arrivals = arrivals.iter().peekable();
        let mut now_us = 980_000 + phase_us;
        let mut end_us = u64::MAX;
        while now_us < end_us {
            while let Some(&(at_us, index)) = arrivals.next_if(|(at_us, _)| *at_us <= now_us) {
                let _ = self.file(at_us, &packets[index]);
            }
            if arrivals.peek().is_none() && end_us == u64::MAX {
                end_us = now_us + tail_ms * 1_000;
            }
            let (played, pcm) = self.tick(now_us);
            heard.played.push(played);
            heard.pcm.extend_from_slice(pcm);
            heard.trace.push((now_us, self.buffer.stats()));
            now_us += 20_000;
        }
        heard
    }
}

/// Sends `packets` through `network` and plays what arrives.
pub(super) fn call(kind: CodecKind, packets: &[Packet], network: &Network) -> Heard {
    let arrivals = network.carry(packets.iter().map(|packet| packet.sent_us));
    Rig::new(kind).play(packets, &arrivals, 7_000, 200)
}

impl Heard {
    pub(super) fn stats(&self) -> JitterStats {
        self.trace.last().map(|(_, stats)| *stats).unwrap_or_default()
    }

    /// The delay at the last tick before `at_us`.
    pub(super) fn delay_at(&self, at_us: u64) -> Duration {
        let before = self.trace.iter().rev().find(|(tick_us, _)| *tick_us < at_us);
        before.map_or(Duration::ZERO, |(_, stats)| stats.delay_now)
    }

    pub(super) fn count(&self, kind: Played) -> usize {
        self.played.iter().filter(|&&played| played == kind).count()
    }
}
