//! What we say: 20 ms packets of speech, digits after it, then silence.

use vox_codecs::{CodecKind, Encoder};
use vox_rtp::{RtpHeader, RtpTime, SeqNo, Ssrc};

use super::Agreed;
use super::press::Presses;

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
    digits: Presses,
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
        let mut presses = Presses::new(agreed.clock());
        presses.press(digits);
        Self {
            encoder: Encoder::new(agreed.codec),
            payload_type: agreed.payload_type,
            event_payload_type: agreed.event_payload_type,
            speech,
            spoken: 0,
            digits: presses,
            header,
            silence: vec![0; agreed.codec.frame_samples()],
            out: [0; DATAGRAM_BYTES],
        }
    }

    /// Whether everything was said and every digit pressed.
    pub fn is_done(&self) -> bool {
        self.spoken >= self.speech.len() && self.digits.is_done()
    }

    /// The next packet's bytes; called every 20 ms of the talker's clock.
    pub fn next_packet(&mut self) -> &[u8] {
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

    /// While a digit is pressed it replaces the audio (RFC 4733 §2.5.1.1).
    fn event_packet(&mut self) -> Option<usize> {
        if self.spoken < self.speech.len() {
            return None;
        }
        let packet = self.digits.tick(self.header.time)?;
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
