//! What the callers say, as payloads.

use std::f32::consts::TAU;

use vox_codecs::{CodecKind, Encoder};

/// Two seconds that a codec takes for a voice, a payload for each 20 ms.
pub(crate) fn packets(codec: CodecKind) -> Vec<Vec<u8>> {
    let (rate_hz, frame) = (codec.rate_hz() as f32, codec.frame_samples());
    let sample = |n: usize| {
        let t = n as f32 / rate_hz * TAU;
        let voice: f32 = (1..=12).map(|k| (t * 140.0 * k as f32).sin() / k as f32).sum();
        (voice * (t * 1.75).sin().abs() * 6_000.0) as i16
    };
    let mut encoder = Encoder::new(codec);
    let packet = |nth: usize| {
        let pcm: Vec<i16> = (nth * frame..(nth + 1) * frame).map(sample).collect();
        let mut payload = vec![0; 1_500];
        let len = encoder.encode(&pcm, &mut payload);
        payload.truncate(len);
        payload
    };
    (0..100).map(packet).collect()
}
