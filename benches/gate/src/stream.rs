use vox_call::jitter::{Arrival, Content, JitterBuffer, Played};
use vox_call::{MediaTime, PacketMemory};
use vox_codecs::{CodecKind, Decoder};
use vox_rtp::{RtpHeader, RtpPacket, RtpTime, SeqNo};

use crate::{Memory, packets};

/// A jitter buffer and its stream, which never ends: ten seconds of packets over and over, numbered
/// on.
#[derive(Debug)]
pub struct Stream {
    buffer: JitterBuffer,
    decoder: Decoder,
    memory: Memory,
    packets: Vec<Vec<u8>>,
    loses: u64,
    sent: u64,
    pcm: Vec<i16>,
}

impl Stream {
    /// One packet in `loses` is lost; 0 for none.
    pub fn new(kind: CodecKind, loses: u64) -> Self {
        Self {
            buffer: JitterBuffer::new(kind.clock_hz(), kind.rate_hz()),
            decoder: Decoder::new(kind),
            memory: Memory::new(64, 1),
            packets: packets(kind, 0, 500),
            loses,
            sent: 0,
            pcm: vec![0; kind.frame_samples()],
        }
    }

    /// Files a packet and plays a frame, decoding included.
    pub fn step(&mut self) -> Played {
        let now = MediaTime::from_micros(1_000_000 + self.sent * 20_000);
        if self.loses == 0 || self.sent % self.loses != self.loses - 1 {
            self.file(now);
        }
        self.sent += 1;
        self.buffer.play(now, &mut self.decoder, &mut self.memory, &mut self.pcm)
    }

    fn file(&mut self, now: MediaTime) {
        let place = (self.sent % self.packets.len() as u64) as usize;
        let mut payload = self.memory.receive(&self.packets[place]);
        let packet = RtpPacket::parse(self.memory.received(&payload)).expect("our own packet");
        let ticks = self.decoder.kind().clock_hz() / 50;
        let header = RtpHeader {
            seq: SeqNo(self.sent as u16),
            time: RtpTime((self.sent as u32).wrapping_mul(ticks)),
            ..packet.header
        };
        payload.offset += RtpHeader::LEN as u16;
        payload.len -= RtpHeader::LEN as u16;
        let arrival = Arrival { header, content: Content::Speech, payload };
        let filed = self.buffer.file(now, arrival, &mut self.memory);
        assert_eq!(filed, Ok(()), "packet {}", self.sent);
    }
}
