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

fn encode(pcm: &[i16]) -> Vec<u8> {
    let mut payload = vec![0; pcm.len() / 2];
    assert_eq!(Encoder::new().encode(pcm, &mut payload), payload.len());
    payload
}

fn decode(mode: Mode, payload: &[u8]) -> Vec<i16> {
    let mut pcm = vec![0; 2 * payload.len()];
    assert_eq!(Decoder::new(mode).decode(payload, &mut pcm), pcm.len());
    pcm
}

/// Voice, and a square wave of changing period.
fn signals(square_amplitude: i16) -> [Vec<i16>; 2] {
    let high = |n: usize| (n / (1 + n / 400 % 60)).is_multiple_of(2);
    let square = |n| if high(n) { square_amplitude } else { -square_amplitude };
    [support::voice(16_000, 2.0), (0..32_000).map(square).collect()]
}

#[test]
fn ffmpeg_decodes_to_the_same_samples_in_all_three_modes() {
    for signal in signals(i16::MAX) {
        let payload = encode(&signal);
        for (mode, bits) in [(Mode::K64, "8"), (Mode::K56, "7"), (Mode::K48, "6")] {
            let input = ["-v", "error", "-bits_per_codeword", bits, "-f", "g722", "-i", "-"];
            let arguments = [&input[..], &["-f", "s16le", "-"]].concat();
            let Some(output) = support::peer("ffmpeg", &arguments, &payload) else {
                return;
            };
            let (theirs, ours) = (support::samples(&output), decode(mode, &payload));
            assert_eq!(theirs.len(), ours.len());
            assert_eq!(theirs.iter().zip(&ours).position(|(a, b)| a != b), None, "{mode:?}");
        }
    }
}

/// Below the level at which a band overshoots 15 bits: the recommendation's LOWT and HIGHT limit
/// the bands there, which ffmpeg leaves out.
#[test]
fn ffmpeg_encodes_to_the_same_codes() {
    for pcm in signals(16_000) {
        let arguments =
            ["-v", "error", "-f", "s16le", "-ar", "16000", "-i", "-", "-f", "g722", "-"];
        let Some(theirs) = support::peer("ffmpeg", &arguments, &support::bytes(&pcm)) else {
            return;
        };
        let ours = encode(&pcm);
        assert_eq!(theirs.len(), ours.len());
        assert_eq!(theirs.iter().zip(&ours).position(|(a, b)| a != b), None);
    }
}

#[test]
fn speech_comes_back_after_a_delay_of_22_samples() {
    let pcm = support::voice(16_000, 2.0);
    let heard = decode(Mode::K64, &encode(&pcm));
    let (delay, snr_db) = support::best_alignment(&pcm[..pcm.len() - 60], &heard, 60);
    assert_eq!(delay, 22);
    assert!(snr_db > 25.0, "{snr_db:.1} dB");
}
