//! Decision 0005: resampling a call's 20 ms frames between 8 and 16 and 8 and 48 kHz, PCM16 in and
//! out, with our polyphase FIR and with rubato.
//!
//! What a resampler costs means nothing without what it does: for each one the delay, the gain at
//! 3.4 kHz (the end of the telephone band) and the loudest alias or image of any sine are measured
//! and printed before it is timed. rubato's FFT takes a frame as one block and as four; its sinc
//! has its usual 256 points, or as many as our delay allows.

use std::f64::consts::TAU;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{
    Async, Fft, FixedAsync, FixedSync, Resampler, SincInterpolationParameters, WindowFunction,
};
use vox_alternatives::{ThreadTime, quick};

fn resample(criterion: &mut Criterion<ThreadTime>) {
    for (from_hz, to_hz) in [(8_000, 16_000), (16_000, 8_000), (8_000, 48_000), (48_000, 8_000)] {
        println!("{from_hz} to {to_hz} Hz: delay, gain at 3.4 kHz, loudest alias or image");
        let mut group = criterion.benchmark_group(format!("resample 20 ms {from_hz} to {to_hz}"));
        for (name, build) in SIDES {
            let fresh = || build(from_hz, to_hz);
            println!(
                "  {name:<24} {:.2} ms {:+.2} dB {:.0} dB",
                delay_ms(fresh(), from_hz, to_hz),
                db(gain(fresh(), from_hz, to_hz, 3_400.0).0),
                loudest_unwanted_db(&fresh, from_hz, to_hz),
            );
            let frame = sine(from_hz, 440.0, from_hz as usize / 50);
            let (mut side, mut output) = (fresh(), Vec::with_capacity(2_048));
            group.bench_function(*name, |b| {
                b.iter(|| {
                    output.clear();
                    side(black_box(&frame), &mut output);
                    black_box(output.len())
                });
            });
        }
        group.finish();
    }
}

/// Takes a frame of 20 ms and appends what comes out.
type Side = Box<dyn FnMut(&[i16], &mut Vec<i16>)>;

type Build = fn(u32, u32) -> Side;

const SIDES: &[(&str, Build)] = &[
    ("vox polyphase FIR", ours),
    ("rubato FFT", |from_hz, to_hz| fft(from_hz, to_hz, 1)),
    ("rubato FFT, 4 blocks", |from_hz, to_hz| fft(from_hz, to_hz, 4)),
    ("rubato sinc 256", |from_hz, to_hz| sinc(from_hz, to_hz, 256)),
    // Twice our delay is the filter's length, in input samples.
    ("rubato sinc, our delay", |from_hz, to_hz| sinc(from_hz, to_hz, from_hz as usize * 7 / 1_000)),
];

fn ours(from_hz: u32, to_hz: u32) -> Side {
    let mut resampler = vox_codecs::dsp::resample::Resampler::new(from_hz, to_hz);
    Box::new(move |frame, output| {
        let start = output.len();
        output.resize(start + frame.len() * to_hz as usize / from_hz as usize + 1, 0);
        let written = resampler.process(frame, &mut output[start..]);
        output.truncate(start + written);
    })
}

/// A frame in this many blocks: the delay is half a block.
fn fft(from_hz: u32, to_hz: u32, blocks: usize) -> Side {
    let (from, to, window) = (from_hz as usize, to_hz as usize, WindowFunction::BlackmanHarris2);
    let chunk = from / 50;
    let fft = Fft::<f32>::new_custom(from, to, chunk, blocks, 1, window, FixedSync::Input);
    theirs(fft.expect("rubato takes these rates"), chunk)
}

fn sinc(from_hz: u32, to_hz: u32, points: usize) -> Side {
    let (ratio, chunk) = (f64::from(to_hz) / f64::from(from_hz), from_hz as usize / 50);
    let parameters = SincInterpolationParameters::new(points, WindowFunction::BlackmanHarris2);
    let sinc = Async::<f32>::new_sinc(ratio, 1.0, &parameters, chunk, 1, FixedAsync::Input);
    theirs(sinc.expect("rubato takes these rates"), chunk)
}

/// rubato works on floats: a call would convert both ways, as here.
fn theirs(mut resampler: impl Resampler<f32> + 'static, chunk: usize) -> Side {
    assert_eq!(resampler.input_frames_next(), chunk, "a frame in, a frame out");
    let mut input = [vec![0.0; chunk]];
    let room = resampler.output_frames_max();
    let mut output = [vec![0.0; room]];
    Box::new(move |frame, pcm| {
        for (to, sample) in input[0].iter_mut().zip(frame) {
            *to = f32::from(*sample);
        }
        let from = SequentialSliceOfVecs::new(&input, 1, chunk).expect("its own size");
        let mut to = SequentialSliceOfVecs::new_mut(&mut output, 1, room).expect("its own size");
        let (_, written) = resampler.process_into_buffer(&from, &mut to, None).expect("room");
        pcm.extend(output[0][..written].iter().map(|value| value.round() as i16));
    })
}

/// Where the peak of the impulse response lies.
fn delay_ms(side: Side, from_hz: u32, to_hz: u32) -> f64 {
    let mut impulse = vec![0; from_hz as usize / 5];
    let at = impulse.len() / 2;
    impulse[at] = 30_000;
    let output = stream(side, from_hz, &impulse);
    let loudest = (0..output.len()).max_by_key(|&n| output[n].unsigned_abs());
    let loudest = loudest.expect("there is an output");
    1_000.0 * (loudest as f64 / f64::from(to_hz) - at as f64 / f64::from(from_hz))
}

/// The loudest of what comes out besides the sine that goes in, relative to that, over sines from
/// 100 Hz up to half the input rate.
fn loudest_unwanted_db(fresh: &dyn Fn() -> Side, from_hz: u32, to_hz: u32) -> f64 {
    let highest_hz = from_hz / 2 - 50;
    let half_lower_hz = f64::from(from_hz.min(to_hz) / 2);
    let sines = (0..120).map(|n| 100.0 + f64::from(highest_hz - 100) * f64::from(n) / 119.0);
    let unwanted = sines.map(|frequency_hz| {
        let (gain, rest) = gain(fresh(), from_hz, to_hz, frequency_hz);
        // Above that half nothing is wanted: it sounds as another frequency.
        if frequency_hz < half_lower_hz { rest } else { rest.max(gain) }
    });
    db(unwanted.fold(0.0, f64::max))
}

/// Of a sine: its amplitude in the output, and that of the rest, relative to the input's.
fn gain(side: Side, from_hz: u32, to_hz: u32, frequency_hz: f64) -> (f64, f64) {
    let output = stream(side, from_hz, &sine(from_hz, frequency_hz, from_hz as usize / 2));
    let settled = &output[to_hz as usize / 10..];
    let angle = |n: usize| TAU * frequency_hz * n as f64 / f64::from(to_hz);
    let mean = |of: &dyn Fn(usize, f64) -> f64| {
        let sum: f64 = settled.iter().enumerate().map(|(n, s)| of(n, f64::from(*s))).sum();
        sum / settled.len() as f64
    };
    // Least squares of a sine and a cosine.
    let (ss, cc) = (mean(&|n, _| angle(n).sin().powi(2)), mean(&|n, _| angle(n).cos().powi(2)));
    let sc = mean(&|n, _| angle(n).sin() * angle(n).cos());
    let (ys, yc) = (mean(&|n, y| y * angle(n).sin()), mean(&|n, y| y * angle(n).cos()));
    let determinant = ss * cc - sc * sc;
    let (a, b) = ((ys * cc - yc * sc) / determinant, (yc * ss - ys * sc) / determinant);
    let rest = mean(&|n, y| (y - a * angle(n).sin() - b * angle(n).cos()).powi(2));
    (a.hypot(b) / AMPLITUDE, (2.0 * rest).sqrt() / AMPLITUDE)
}

fn stream(mut side: Side, from_hz: u32, input: &[i16]) -> Vec<i16> {
    let mut output = Vec::new();
    for frame in input.chunks_exact(from_hz as usize / 50) {
        side(frame, &mut output);
    }
    output
}

fn sine(rate_hz: u32, frequency_hz: f64, samples: usize) -> Vec<i16> {
    let step = TAU * frequency_hz / f64::from(rate_hz);
    (0..samples).map(|n| (AMPLITUDE * (step * n as f64).sin()).round() as i16).collect()
}

fn db(ratio: f64) -> f64 {
    20.0 * ratio.log10()
}

const AMPLITUDE: f64 = 20_000.0;

criterion_group! { name = benches; config = quick(); targets = resample }
criterion_main!(benches);
