//! From a socket's audio to RTP packets: cut to 20 ms, numbered, handed over at a pace that the
//! jitter buffer can hold. Pure: the time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use vox_rtp::{RtpHeader, RtpTime, SeqNo, Ssrc};

/// The caller's audio on its way from the socket to the engine.
///
/// Audio is let through as it comes, up to [`BURST`] at once: that is the engine's jitter buffer's
/// business. What is further ahead of real time waits here, and leaves a little faster than it is
/// played so that a delay does not stay. More than [`WAITING_BYTES_MAX`] never waits: the oldest
/// goes.
#[derive(Debug)]
pub(super) struct Inlet {
    /// PCM16, little endian.
    waiting: VecDeque<u8>,
    /// How much may be handed over at once, at `credited`.
    credit: Duration,
    credited: Duration,
    /// Until when the audio that came so far lasts, played as it came.
    lasts: Duration,
    next: RtpHeader,
    /// Frames of silence between the next packet and the one after it.
    skip: u32,
}

impl Inlet {
    /// A stream whose numbers start anywhere (RFC 3550 §5.1).
    pub(super) fn new(seed: u64, payload_type: u8) -> Self {
        let next = RtpHeader {
            marker: true,
            payload_type,
            seq: SeqNo(seed as u16),
            time: RtpTime((seed >> 16) as u32),
            ssrc: Ssrc((seed >> 32) as u32),
        };
        let (credited, lasts) = (Duration::ZERO, Duration::ZERO);
        Self { waiting: VecDeque::new(), credit: BURST, credited, lasts, next, skip: 0 }
    }

    /// Takes audio that came at `now`, whole samples of any number. Returns how many frames had to
    /// go.
    pub(super) fn push(&mut self, now: Duration, pcm: &[u8]) -> u64 {
        let lasts = micros_of(pcm.len());
        // Live audio was spoken just before it came.
        let pause = now.saturating_sub(lasts).saturating_sub(self.lasts);
        if pause > PAUSE_MIN && self.waiting.len() < FRAME_BYTES {
            self.pause(pause);
            self.lasts = now;
        } else {
            self.lasts += lasts;
        }
        self.waiting.extend(pcm);
        let excess = self.waiting.len().saturating_sub(WAITING_BYTES_MAX);
        let frames = excess.div_ceil(FRAME_BYTES);
        self.waiting.drain(..(frames * FRAME_BYTES).min(self.waiting.len()));
        frames as u64
    }

    /// Writes the next packet, when one is due at `now`; returns its length.
    pub(super) fn pop(&mut self, now: Duration, packet: &mut [u8; PACKET_BYTES]) -> Option<usize> {
        self.credit = (self.credit + (now - self.credited.min(now)).mul_f64(PACE)).min(BURST);
        self.credited = now;
        if self.waiting.len() < FRAME_BYTES || self.credit < FRAME {
            return None;
        }
        self.credit -= FRAME;
        let payload = self.next.write(packet);
        // RFC 3551 §4.5.11: network byte order.
        for sample in payload.as_chunks_mut::<2>().0 {
            let (low, high) = (self.waiting.pop_front()?, self.waiting.pop_front()?);
            *sample = [high, low];
        }
        self.next.seq = SeqNo(self.next.seq.0.wrapping_add(1));
        self.next.marker = self.skip > 0;
        self.advance(self.skip.wrapping_add(1));
        self.skip = 0;
        Some(PACKET_BYTES)
    }

    /// When [`pop`](Self::pop) has something again; `None` while nothing waits.
    pub(super) fn due(&self, now: Duration) -> Option<Duration> {
        let missing = FRAME.saturating_sub(self.credit).div_f64(PACE);
        let since = now.saturating_sub(self.credited);
        (self.waiting.len() >= FRAME_BYTES).then(|| now + missing.saturating_sub(since))
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The peer was silent: its clock went on, and so do the timestamps.
    fn pause(&mut self, pause: Duration) {
        let frames = (pause.as_micros() / FRAME.as_micros()) as u32;
        if self.waiting.is_empty() {
            self.next.marker = true;
            self.advance(frames);
        } else {
            // What makes no whole frame belongs before the pause, and becomes one.
            self.waiting.resize(FRAME_BYTES, 0);
            self.skip = frames;
        }
    }

    fn advance(&mut self, frames: u32) {
        let samples = frames.wrapping_mul(FRAME_SAMPLES);
        self.next.time = RtpTime(self.next.time.0.wrapping_add(samples));
    }
}

fn micros_of(bytes: usize) -> Duration {
    Duration::from_micros(bytes as u64 * 1_000 / 16)
}

const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: u32 = 160;
pub(super) const FRAME_BYTES: usize = 320;
pub(super) const PACKET_BYTES: usize = RtpHeader::LEN + FRAME_BYTES;
/// A call's share of receive buffers and of the reserve is 25 packets of 20 ms.
const BURST: Duration = Duration::from_millis(500);
/// Of real time, for what waits: the jitter buffer plays it faster without changing its pitch.
const PACE: f64 = 1.1;
/// 2 s. A telephone's audio is live: older than this nobody wants to hear it.
const WAITING_BYTES_MAX: usize = 32_000;
/// Longer without audio than this is silence suppression or a stall; in both cases the timestamps
/// follow the clock.
const PAUSE_MIN: Duration = Duration::from_millis(200);
