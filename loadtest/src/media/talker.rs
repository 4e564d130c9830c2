//! What we say: 20 ms packets of speech, digits after it, then silence.

use std::collections::VecDeque;

use vox_codecs::{CodecKind, Encoder};
use vox_rtp::event::{EventSender, EventTiming};
use vox_rtp::{RtpHeader, RtpTime, SeqNo, Ssrc};

use super::Agreed;

/// Largest datagram we make: a 20 ms Opus or G.711 packet is far below.
const DATAGRAM_BYTES: usize = 1_472;

/// Makes the packets of one call, one every 20 ms.
#[derive(Debug)]
pub struct Talker {
    encoder: Encoder,
    payload_type: u8,
    event_payload_type: Option<u8>,
    speech: Vec<i16>,
    spoken: usize,
    /// Still to be pressed.
    digits: VecDeque<char>,
    /// The digit being pressed, and the pause after it.
    press: Option<EventSender>,
    timing: EventTiming,
    header: RtpHeader,
    silence: Vec<i16>,
    out: [u8; DATAGRAM_BYTES],
}

impl Talker {
    /// Speaks `speech` (at the codec's rate), then presses `digits`.
    pub fn new(agreed: &Agreed, speech: Vec<i16>, digits: &str, seed: u32) -> Self {
        let header = RtpHeader {
            marker: true,
            payload_type: agreed.payload_type,
            seq: SeqNo(seed as u16),
            time: RtpTime(seed.wrapping_mul(2_654_435_761)),
            ssrc: Ssrc(seed ^ 0x5EED_CA11),
        };
        Self {
            encoder: Encoder::new(agreed.codec),
            payload_type: agreed.payload_type,
            event_payload_type: agreed.event_payload_type,
            speech,
            spoken: 0,
            digits: digits.chars().collect(),
            press: None,
            timing: EventTiming::new(agreed.clock()),
            header,
            silence: vec![0; agreed.codec.frame_samples()],
            out: [0; DATAGRAM_BYTES],
        }
    }

    /// Whether everything was said and every digit pressed.
    pub fn is_done(&self) -> bool {
        self.spoken >= self.speech.len() && self.digits.is_empty() && self.press.is_none()
    }

    /// The next packet's bytes; called every 20 ms of the talker's clock.
    pub fn next_packet(&mut self) -> &[u8] {
        if self.spoken >= self.speech.len() && self.press.is_none() {
            self.press_next();
        }
        let len = match self.event_packet() {
            Some(len) => len,
            None => self.speech_packet(),
        };
        self.header.seq = self.header.seq.next();
        self.header.time = self.header.time.plus((self.codec().clock_hz() / 50) as i32);
        &self.out[..len]
    }

    fn codec(&self) -> CodecKind {
        self.encoder.kind()
    }

    fn speech_packet(&mut self) -> usize {
        let frame = self.codec().frame_samples();
        let pcm = match self.speech.get(self.spoken..self.spoken + frame) {
            Some(pcm) => pcm,
            None => &self.silence,
        };
        self.header.payload_type = self.payload_type;
        self.header.write(&mut self.out);
        let len = RtpHeader::LEN + self.encoder.encode(pcm, &mut self.out[RtpHeader::LEN..]);
        self.spoken += frame;
        self.header.marker = false;
        len
    }

    fn press_next(&mut self) {
        let digit = self.digits.pop_front();
        self.press = digit.and_then(|digit| EventSender::new(digit, self.header.time, self.timing));
    }

    /// While a digit is pressed it replaces the audio (RFC 4733 §2.5.1.1).
    fn event_packet(&mut self) -> Option<usize> {
        let press = self.press.as_mut()?;
        let packet = press.tick();
        if press.is_done() {
            self.press = None;
        }
        let packet = packet?;
        let header = RtpHeader {
            marker: packet.marker,
            payload_type: self.event_payload_type?,
            time: packet.time,
            ..self.header
        };
        header.write(&mut self.out);
        self.header.marker = true;
        Some(RtpHeader::LEN + packet.event.write(&mut self.out[RtpHeader::LEN..]))
    }
}
