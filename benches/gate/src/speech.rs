use std::f32::consts::TAU;

use vox_codecs::codec::PAYLOAD_BYTES_MAX;
use vox_codecs::{CodecKind, Encoder};
use vox_rtp::{RtpHeader, RtpTime, SeqNo, Ssrc};

/// Something like speech at `rate_hz`, in frames of 20 ms: harmonics of a gliding pitch, swelling
/// and fading four times a second, with a little noise; the same each time.
pub fn speech(rate_hz: u32, frames: usize) -> Vec<Vec<i16>> {
    let (mut phase, mut noise) = (0.0_f32, 0x1234_5678_u32);
    let mut sample = |n: usize| {
        let time = n as f32 / rate_hz as f32;
        phase += (120.0 + 30.0 * (TAU * 0.7 * time).sin()) / rate_hz as f32;
        let voice: f32 = (1..20).map(|k| (TAU * phase * k as f32).sin() / k as f32).sum();
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let hiss = noise as f32 / u32::MAX as f32 - 0.5;
        let loudness = 0.55 + 0.45 * (TAU * 4.0 * time).sin();
        (6_000.0 * loudness * voice + 200.0 * hiss) as i16
    };
    let frame = rate_hz as usize / 50;
    (0..frames).map(|n| (n * frame..(n + 1) * frame).map(&mut sample).collect()).collect()
}

/// Speech as RTP packets of 20 ms, numbered from 0.
pub fn packets(kind: CodecKind, payload_type: u8, frames: usize) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(kind);
    let packet = |(n, pcm): (usize, Vec<i16>)| {
        let header = RtpHeader {
            marker: n == 0,
            payload_type,
            seq: SeqNo(n as u16),
            time: RtpTime(n as u32 * kind.clock_hz() / 50),
            ssrc: Ssrc(0xca11_e400),
        };
        let mut packet = vec![0; RtpHeader::LEN + PAYLOAD_BYTES_MAX];
        let len = encoder.encode(&pcm, header.write(&mut packet));
        packet.truncate(RtpHeader::LEN + len);
        packet
    };
    speech(kind.rate_hz(), frames).into_iter().enumerate().map(packet).collect()
}
