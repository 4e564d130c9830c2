//! 20 ms through what listens to a call or changes its rate: resampler, DTMF detector, level.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

use vox_benches::{ThreadTime, quick};
use vox_call::hearing::{Vad, VadOptions};
use vox_codecs::dsp::level::level_dbov;
use vox_codecs::dsp::resample::Resampler;
use vox_codecs::tones::{DtmfDetector, ToneGenerator};
use vox_gate::speech;

fn resampler(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("resample 20 ms");
    for (from_hz, to_hz) in [
        (8_000, 16_000),
        (16_000, 8_000),
        (8_000, 48_000),
        (48_000, 8_000),
        (16_000, 24_000),
        (24_000, 48_000),
    ] {
        group.bench_function(format!("{from_hz} to {to_hz}"), |b| {
            let frames = speech(from_hz, SECOND);
            let mut frames = frames.iter().cycle();
            let (mut resampler, mut output) = (Resampler::new(from_hz, to_hz), [0; 1_000]);
            b.iter(|| {
                let frame = frames.next().expect("a cycle has no end");
                resampler.process(black_box(frame), &mut output)
            });
        });
    }
    group.finish();
}

fn detector(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("DTMF detector 20 ms");
    for rate_hz in [8_000, 16_000] {
        let mut digit = ToneGenerator::dtmf(rate_hz, '5').expect("a digit");
        let mut tone = vec![vec![0; rate_hz as usize / 50]; SECOND];
        tone.iter_mut().for_each(|frame| digit.fill(frame));
        for (name, frames) in [("speech", speech(rate_hz, SECOND)), ("digit", tone)] {
            group.bench_function(format!("{name} at {rate_hz}"), |b| {
                let (mut detector, mut frames) =
                    (DtmfDetector::new(rate_hz), frames.iter().cycle());
                b.iter(|| detector.push(black_box(frames.next().expect("a cycle has no end"))));
            });
        }
    }
    group.finish();
}

/// Speech goes through the network, which is what it costs; noise ends at the gate.
fn vad(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("VAD 20 ms");
    for (name, neural) in [("energy", false), ("energy and earshot", true)] {
        for (heard, gain) in [("speech", 1.0), ("noise", 0.002)] {
            let quieter = |sample: i16| (f32::from(sample) * gain) as i16;
            let frames: Vec<Vec<i16>> = speech(8_000, SECOND)
                .into_iter()
                .map(|frame| frame.into_iter().map(quieter).collect())
                .collect();
            group.bench_function(format!("{name}, {heard} at 8000"), |b| {
                let mut vad = Vad::new(VadOptions { neural, ..VadOptions::default() });
                let mut frames = frames.iter().cycle();
                b.iter(|| {
                    let frame = frames.next().expect("a cycle has no end");
                    let heard = vad.push(8_000, black_box(frame));
                    vad.sent(&[0; 160]);
                    heard
                });
            });
        }
    }
    group.finish();
}

fn level(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("level 20 ms");
    for rate_hz in [8_000, 16_000] {
        let frame = &speech(rate_hz, 1)[0];
        group.bench_function(format!("at {rate_hz}"), |b| b.iter(|| level_dbov(black_box(frame))));
    }
    group.finish();
}

/// Frames in a second.
const SECOND: usize = 50;

criterion_group! { name = benches; config = quick(); targets = resampler, detector, vad, level }
criterion_main!(benches);
