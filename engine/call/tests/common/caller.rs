//! A scripted caller.

use std::net::SocketAddr;

use vox_call::CallId;
use vox_codecs::{CodecKind, Encoder};
use vox_rtp::{RtpHeader, RtpTime, SeqNo, Ssrc};

use super::{World, ms, payload_type};

/// One RTP stream of 20 ms packets.
pub(crate) struct Caller {
    pub(crate) address: SocketAddr,
    pub(crate) ssrc: u32,
    pub(crate) seq: u16,
    pub(crate) time: u32,
    pub(crate) codec: CodecKind,
    pub(crate) payload_type: u8,
    encoder: Encoder,
    /// Samples of the sine already sent.
    phase: usize,
}

impl Caller {
    pub(crate) fn new(codec: CodecKind, address: &str) -> Self {
        Self {
            address: address.parse().unwrap(),
            ssrc: 0xca11_e400,
            seq: 65_500,
            time: u32::MAX - 8_000,
            codec,
            payload_type: payload_type(codec),
            encoder: Encoder::new(codec),
            phase: 0,
        }
    }

    /// Another stream, from another address.
    pub(crate) fn with(mut self, ssrc: u32, address: &str) -> Self {
        self.ssrc = ssrc;
        self.address = address.parse().unwrap();
        self
    }

    /// The next packet with this payload.
    pub(crate) fn packet(&mut self, payload: &[u8]) -> Vec<u8> {
        let packet = self.packet_of(self.payload_type, self.time, payload);
        self.time = self.time.wrapping_add(self.codec.clock_hz() / 50);
        packet
    }

    /// A packet of another payload type or time; audio's time does not move.
    pub(crate) fn packet_of(&mut self, payload_type: u8, time: u32, payload: &[u8]) -> Vec<u8> {
        let header = RtpHeader {
            marker: false,
            payload_type,
            seq: SeqNo(self.seq),
            time: RtpTime(time),
            ssrc: Ssrc(self.ssrc),
        };
        self.seq = self.seq.wrapping_add(1);
        let mut bytes = vec![0; RtpHeader::LEN];
        header.write(&mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// The next 20 ms of a 400 Hz sine.
    pub(crate) fn speech(&mut self) -> Vec<u8> {
        let rate_hz = self.codec.rate_hz() as f32;
        let sample = |n: usize| {
            let angle = n as f32 * 400.0 * std::f32::consts::TAU / rate_hz;
            (angle.sin() * 8_000.0) as i16
        };
        let pcm: Vec<i16> =
            (self.phase..self.phase + self.codec.frame_samples()).map(sample).collect();
        self.phase += pcm.len();
        let mut payload = [0; 1_000];
        let len = self.encoder.encode(&pcm, &mut payload);
        self.packet(&payload[..len])
    }

    /// The next 20 ms of nothing.
    pub(crate) fn silence(&mut self) -> Vec<u8> {
        let mut payload = [0; 1_000];
        let len = self.encoder.encode(&vec![0; self.codec.frame_samples()], &mut payload);
        self.packet(&payload[..len])
    }

    /// Speaks for this many packets, one every 20 ms.
    pub(crate) fn speak(&mut self, world: &mut World, call: CallId, packets: usize) {
        for _ in 0..packets {
            let packet = self.speech();
            world.deliver(call, self.address, &packet);
            world.run(ms(20));
        }
    }
}
