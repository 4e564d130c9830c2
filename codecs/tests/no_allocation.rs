//! After construction no codec and no resampler allocates.
//!
//! The counter sees Rust's allocations. libopus allocates in C, and by its documentation only when
//! a state is created.

mod support;

use vox_codecs::codec::{PAYLOAD_BYTES_MAX, PCM_SAMPLES_MAX};
use vox_codecs::dsp::comfort_noise::{ComfortNoise, NoiseEstimator};
use vox_codecs::dsp::conceal::Concealer;
use vox_codecs::dsp::level::level_dbov;
use vox_codecs::dsp::resample::Resampler;
use vox_codecs::dsp::stretch::{Eagerness, Stretcher};
use vox_codecs::tones::{CallProgress, DtmfDetector, ToneGenerator, ToneSet};
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_heap::touches;

#[global_allocator]
static ALLOCATOR: vox_heap::Counting = vox_heap::Counting;

#[test]
fn the_counter_counts() {
    let counted = touches(|| drop(std::hint::black_box(vec![0u8; 100])));
    assert_eq!(counted, 2, "allocated and freed");
}

#[test]
fn encoding_decoding_and_concealing_allocate_nothing() {
    for kind in [CodecKind::Pcmu, CodecKind::Pcma, CodecKind::G722, CodecKind::Opus] {
        let voice = support::voice(kind.rate_hz(), 1.0);
        let (mut encoder, mut decoder) = (Encoder::new(kind), Decoder::new(kind));
        let (mut payload, mut pcm) = ([0; PAYLOAD_BYTES_MAX], [0; PCM_SAMPLES_MAX]);
        let counted = touches(|| {
            for (index, frame) in voice.chunks_exact(kind.frame_samples()).enumerate() {
                let written = encoder.encode(frame, &mut payload);
                let packet = &payload[..written];
                let _ = decoder.samples_in(packet);
                if index % 5 == 4 {
                    decoder.conceal(&mut pcm[..frame.len()]);
                    continue;
                }
                if decoder.has_fec(packet) {
                    let _ = decoder.decode_fec(packet, &mut pcm[..frame.len()]);
                }
                decoder.decode(packet, &mut pcm).expect("it is what we have encoded");
            }
        });
        assert_eq!(counted, 0, "{kind:?}");
    }
}

#[test]
fn resampling_allocates_nothing() {
    for from_hz in [8_000, 16_000, 24_000, 48_000] {
        for to_hz in [8_000, 16_000, 24_000, 48_000] {
            let input = support::voice(from_hz, 0.2);
            let mut output = vec![0; input.len() * to_hz as usize / from_hz as usize + 1];
            let mut resampler = Resampler::new(from_hz, to_hz);
            let counted = touches(|| {
                resampler.process(&input, &mut output);
            });
            assert_eq!(counted, 0, "{from_hz}→{to_hz}");
        }
    }
}

#[test]
fn concealment_stretching_noise_tones_and_detection_allocate_nothing() {
    for rate_hz in [8_000, 16_000] {
        let frame_samples = rate_hz as usize / 50;
        let mut voice = support::voice(rate_hz, 2.0);
        let mut concealer = Concealer::new(rate_hz);
        let mut stretcher = Stretcher::new(rate_hz);
        let (mut noise, mut estimator) = (ComfortNoise::new(rate_hz), NoiseEstimator::new());
        let mut digit = ToneGenerator::dtmf(rate_hz, '5').expect("it is a digit");
        let mut busy = ToneGenerator::progress(rate_hz, ToneSet::European, CallProgress::Busy);
        let mut detector = DtmfDetector::new(rate_hz);
        let (mut pcm, mut digits) = ([0; 2_000], 0);
        let counted = touches(|| {
            for (index, frame) in voice.chunks_exact_mut(frame_samples).enumerate() {
                if index % 5 == 4 {
                    concealer.conceal(frame)
                } else {
                    concealer.good(frame)
                }
                let both = &mut pcm[..2 * frame_samples];
                both[..frame_samples].copy_from_slice(frame);
                busy.fill(&mut both[frame_samples..]);
                for how in [Eagerness::Gentle, Eagerness::Eager] {
                    stretcher.shorten(&mut pcm[..2 * frame_samples], how);
                    stretcher.lengthen(&mut pcm, 2 * frame_samples, how);
                }
                estimator.push(frame);
                noise.update(&estimator.describe());
                noise.fill(frame);
                if index >= 20 {
                    digit.fill(frame);
                }
                digits += usize::from(detector.push(frame).is_some());
                std::hint::black_box(level_dbov(frame));
            }
        });
        assert_eq!((counted, digits), (0, 1), "{rate_hz} Hz");
    }
}
