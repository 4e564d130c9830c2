//! After construction no codec and no resampler allocates.
//!
//! The counter sees Rust's allocations. libopus allocates in C, and by its documentation only when
//! a state is created.

#![allow(unsafe_code, reason = "a global allocator is an unsafe trait")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use vox_codecs::codec::{PAYLOAD_BYTES_MAX, PCM_SAMPLES_MAX};
use vox_codecs::dsp::comfort_noise::{ComfortNoise, NoiseEstimator};
use vox_codecs::dsp::conceal::Concealer;
use vox_codecs::dsp::level::level_dbov;
use vox_codecs::dsp::resample::Resampler;
use vox_codecs::dsp::stretch::{Eagerness, Stretcher};
use vox_codecs::tones::{CallProgress, DtmfDetector, ToneGenerator, ToneSet};
use vox_codecs::{CodecKind, Decoder, Encoder};

struct Counting;

thread_local! {
    /// Of this thread only: the test harness allocates on its own.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator unchanged; the counter is a constant
// thread-local without a destructor, so that touching it does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, and all memory is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps `realloc`'s contract, and all memory is the system's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    let counted = allocations(|| drop(std::hint::black_box(vec![0u8; 100])));
    assert_eq!(counted, 1);
}

#[test]
fn encoding_decoding_and_concealing_allocate_nothing() {
    for kind in [CodecKind::Pcmu, CodecKind::Pcma, CodecKind::G722, CodecKind::Opus] {
        let voice = support::voice(kind.rate_hz(), 1.0);
        let (mut encoder, mut decoder) = (Encoder::new(kind), Decoder::new(kind));
        let (mut payload, mut pcm) = ([0; PAYLOAD_BYTES_MAX], [0; PCM_SAMPLES_MAX]);
        let counted = allocations(|| {
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
            let counted = allocations(|| {
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
        let counted = allocations(|| {
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
