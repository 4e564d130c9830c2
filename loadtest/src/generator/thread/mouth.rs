use std::sync::Arc;

use vox_rtp::{ClockRate, RtpHeader, RtpTime, SeqNo, Ssrc};

use super::echo::Echo;
use super::listen::MARKER_AHEAD;
use crate::generator::report::Said;
use crate::generator::speech::Payloads;
use crate::media::{Agreed, Presses};

/// What a leg says: one packet every 20 ms of its own clock, from payloads that are ready.
#[derive(Debug)]
pub(super) struct Mouth {
    header: RtpHeader,
    /// Timestamp units of 20 ms.
    units: i32,
    event_payload_type: Option<u8>,
    payloads: Arc<Payloads>,
    /// The next to be said; beyond the last one: everything was.
    frame: u32,
    repeat: bool,
    silent: bool,
    /// Whether the direction lets us talk.
    pub(super) sends: bool,
    pub(super) presses: Presses,
    pub(super) said: Said,
}

/// What a mouth is made with.
#[derive(Debug)]
pub(super) struct Voice {
    pub(super) payloads: Arc<Payloads>,
    pub(super) repeat: bool,
    pub(super) silent: bool,
    pub(super) seed: u32,
}

/// A packet that was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) len: usize,
    /// A marker begins this far into it, µs.
    pub(super) marker_us: Option<u32>,
    /// The same for the packet [`MARKER_AHEAD`] later.
    pub(super) marker_ahead_us: Option<u32>,
}

impl Mouth {
    pub(super) fn new(agreed: &Agreed, voice: Voice) -> Self {
        let Voice { payloads, repeat, silent, seed } = voice;
        let header = RtpHeader {
            marker: true,
            payload_type: agreed.payload_type,
            seq: SeqNo(seed.wrapping_mul(0x9E37) as u16),
            time: RtpTime(seed.wrapping_mul(2_654_435_761)),
            ssrc: Ssrc(seed.wrapping_mul(0x85EB_CA6B) ^ 0x5EED_CA11),
        };
        Self {
            header,
            units: units(agreed.clock()),
            event_payload_type: agreed.event_payload_type,
            payloads,
            frame: 0,
            repeat,
            silent,
            sends: true,
            presses: Presses::new(agreed.clock()),
            said: Said::default(),
        }
    }

    /// Goes on as agreed now: source, sequence and timestamps stay.
    pub(super) fn agree(&mut self, agreed: &Agreed, payloads: Arc<Payloads>) {
        self.header.payload_type = agreed.payload_type;
        self.event_payload_type = agreed.event_payload_type;
        self.units = units(agreed.clock());
        if self.payloads.codec != payloads.codec {
            self.payloads = payloads;
            self.frame = 0;
            self.presses = Presses::new(agreed.clock());
        }
    }

    /// 20 ms pass in which nothing can be sent.
    pub(super) fn skip(&mut self) {
        self.header.time = self.header.time.plus(self.units);
        self.header.marker = true;
        self.next_frame();
    }

    /// 20 ms pass: writes the packet for them into `out`, which is long enough.
    pub(super) fn speak(&mut self, out: &mut [u8], echo: Option<&mut Echo>) -> Packet {
        let packet = match self.event(out) {
            Some(packet) => packet,
            None => self.audio(out, echo),
        };
        self.header.seq = self.header.seq.next();
        self.header.time = self.header.time.plus(self.units);
        packet
    }

    fn audio(&mut self, out: &mut [u8], echo: Option<&mut Echo>) -> Packet {
        let (payload, marker_us) = match echo {
            Some(echo) => (echo.next().unwrap_or(self.payloads.silence()), None),
            None if self.silent || self.frame >= self.payloads.frames() => {
                (self.payloads.silence(), None)
            }
            None => (self.payloads.frame(self.frame), self.payloads.marker_in(self.frame)),
        };
        let room = self.header.write(out);
        room[..payload.len()].copy_from_slice(payload);
        let len = RtpHeader::LEN + payload.len();
        self.header.marker = false;
        self.said.markers += u64::from(marker_us.is_some());
        let marker_ahead_us = self.payloads.marker_in(self.frame_ahead());
        self.next_frame();
        Packet { len, marker_us, marker_ahead_us }
    }

    /// While a digit is pressed it replaces the audio, whose time goes on (RFC 4733 §2.5.1.1).
    fn event(&mut self, out: &mut [u8]) -> Option<Packet> {
        let payload_type = self.event_payload_type?;
        let press = self.presses.tick(self.header.time)?;
        let header =
            RtpHeader { marker: press.marker, payload_type, time: press.time, ..self.header };
        header.write(out);
        self.header.marker = true;
        self.next_frame();
        let len = RtpHeader::LEN + press.event.write(&mut out[RtpHeader::LEN..]);
        Some(Packet { len, marker_us: None, marker_ahead_us: None })
    }

    fn frame_ahead(&self) -> u32 {
        let ahead = self.frame + MARKER_AHEAD;
        if self.repeat { ahead % self.payloads.frames() } else { ahead }
    }

    fn next_frame(&mut self) {
        self.frame += 1;
        if self.repeat && self.frame >= self.payloads.frames() {
            self.frame = 0;
        }
        self.frame = self.frame.min(self.payloads.frames());
    }
}

fn units(clock: ClockRate) -> i32 {
    clock.units_in_ms(20) as i32
}
