//! The resampler: pass band, alias, image and delay by sine sweep, and against rubato.

mod support;

use std::f64::consts::TAU;

use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};
use vox_codecs::dsp::resample::Resampler;

const RATES_HZ: [u32; 4] = [8_000, 16_000, 24_000, 48_000];
/// Of full scale; leaves room for overshoot.
const AMPLITUDE: f64 = 0.9;

fn pairs() -> impl Iterator<Item = (u32, u32)> {
    let all = RATES_HZ.into_iter().flat_map(|from| RATES_HZ.map(|to| (from, to)));
    all.filter(|(from, to)| from != to)
}

/// Where the pass band of a pair of rates ends.
fn flat_to_hz(from_hz: u32, to_hz: u32) -> f64 {
    match from_hz.min(to_hz) {
        8_000 => 3_400.0,
        16_000 => 7_000.0,
        lower => 0.425 * f64::from(lower),
    }
}

fn resample(from_hz: u32, to_hz: u32, input: &[i16]) -> Vec<i16> {
    let mut resampler = Resampler::new(from_hz, to_hz);
    let mut output = vec![0; input.len() * to_hz as usize / from_hz as usize + 1];
    let written = resampler.process(input, &mut output);
    output.truncate(written);
    output
}

/// The output for a sine, after the filter has settled.
fn settled(from_hz: u32, to_hz: u32, frequency_hz: f64) -> Vec<i16> {
    let input = support::sine(from_hz, frequency_hz, AMPLITUDE, from_hz as usize / 4);
    let output = resample(from_hz, to_hz, &input);
    output[to_hz as usize / 50..].to_vec()
}

/// Amplitude and phase of one frequency in `samples`, relative to what the sweep puts in.
///
/// A Hann window keeps strong neighbours out.
fn tone(samples: &[i16], rate_hz: u32, frequency_hz: f64) -> (f64, f64) {
    let step = TAU * frequency_hz / f64::from(rate_hz);
    let length = samples.len() as f64;
    let (mut re, mut im, mut weight) = (0.0, 0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * (n as f64 + 0.5) / length).cos();
        let value = window * f64::from(*sample) / (AMPLITUDE * 32_767.0);
        re += value * (step * n as f64).cos();
        im += value * (step * n as f64).sin();
        weight += window;
    }
    (2.0 * re.hypot(im) / weight, re.atan2(im))
}

fn db(ratio: f64) -> f64 {
    20.0 * ratio.log10()
}

fn sweep(from_hz: f64, to_hz: f64, steps: u32) -> impl Iterator<Item = f64> {
    (0..=steps).map(move |step| from_hz + (to_hz - from_hz) * f64::from(step) / f64::from(steps))
}

#[test]
fn the_pass_band_is_flat_within_half_a_db() {
    for (from_hz, to_hz) in pairs() {
        let frequencies = sweep(50.0, flat_to_hz(from_hz, to_hz), 40);
        let gains_db = frequencies.map(|frequency_hz| {
            let output = settled(from_hz, to_hz, frequency_hz);
            (db(tone(&output, to_hz, frequency_hz).0).abs(), frequency_hz)
        });
        let (worst_db, at_hz) = worst(gains_db);
        eprintln!("{from_hz}→{to_hz}: {worst_db:.2} dB at {at_hz:.0} Hz");
        assert!(worst_db <= 0.5, "{from_hz}→{to_hz}: {worst_db:.3} dB at {at_hz} Hz");
    }
}

#[test]
fn nothing_above_half_the_lower_rate_folds_back_above_minus_80_db() {
    for (from_hz, to_hz) in pairs().filter(|(from, to)| from > to) {
        let frequencies =
            sweep(0.5 * f64::from(to_hz) + 20.0, 0.5 * f64::from(from_hz) - 20.0, 150);
        let aliases_db = frequencies.map(|frequency_hz| {
            let output = settled(from_hz, to_hz, frequency_hz);
            let alias_hz = folded_hz(frequency_hz, to_hz);
            (db(tone(&output, to_hz, alias_hz).0), frequency_hz)
        });
        let (worst_db, at_hz) = worst(aliases_db);
        eprintln!("{from_hz}→{to_hz}: alias of {at_hz:.0} Hz at {worst_db:.1} dB");
        assert!(worst_db < -80.0, "{from_hz}→{to_hz}: {worst_db:.1} dB for {at_hz} Hz");
    }
}

#[test]
fn every_image_of_the_band_below_half_the_lower_rate_is_below_minus_80_db() {
    for (from_hz, to_hz) in pairs() {
        let up = to_hz / gcd(from_hz, to_hz);
        let frequencies = sweep(50.0, 0.5 * f64::from(from_hz.min(to_hz)) - 30.0, 60);
        let images_db = frequencies.flat_map(|frequency_hz| {
            let output = settled(from_hz, to_hz, frequency_hz);
            let centres = (1..up).map(move |k| f64::from(k * from_hz));
            let images = centres.flat_map(move |hz| [hz - frequency_hz, hz + frequency_hz]);
            let landed = images.map(move |hz| folded_hz(hz, to_hz));
            let apart = landed.filter(move |hz| (hz - frequency_hz).abs() > 40.0);
            apart.map(move |hz| (db(tone(&output, to_hz, hz).0), frequency_hz))
        });
        let (worst_db, at_hz) = worst(images_db);
        eprintln!("{from_hz}→{to_hz}: image of {at_hz:.0} Hz at {worst_db:.1} dB");
        assert!(worst_db < -80.0, "{from_hz}→{to_hz}: {worst_db:.1} dB for {at_hz} Hz");
    }
}

/// The greatest of `(dB, Hz)`; nothing measured is no sound at all.
fn worst(measured: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    measured.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::NEG_INFINITY, 0.0))
}

/// Where a frequency lands when it is sampled at `rate_hz`.
fn folded_hz(frequency_hz: f64, rate_hz: u32) -> f64 {
    let rate = f64::from(rate_hz);
    (frequency_hz - rate * (frequency_hz / rate).round()).abs()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[test]
fn the_delay_is_what_it_says_and_the_same_at_all_frequencies() {
    for (from_hz, to_hz) in pairs() {
        let delay = Resampler::new(from_hz, to_hz).delay_samples();
        assert!(delay as f64 / f64::from(to_hz) <= 0.0035, "{from_hz}→{to_hz}: {delay}");
        for frequency_hz in sweep(100.0, flat_to_hz(from_hz, to_hz), 20) {
            let input = support::sine(from_hz, frequency_hz, AMPLITUDE, from_hz as usize / 4);
            let output = resample(from_hz, to_hz, &input);
            let expected = support::sine(to_hz, frequency_hz, AMPLITUDE, output.len());
            let skipped = to_hz as usize / 50;
            let (_, phase) = tone(&output[skipped + delay..], to_hz, frequency_hz);
            let (_, phase_expected) =
                tone(&expected[skipped..output.len() - delay], to_hz, frequency_hz);
            let turn = (phase - phase_expected + TAU / 2.0).rem_euclid(TAU) - TAU / 2.0;
            assert!(turn.abs() < 1e-3, "{from_hz}→{to_hz} {frequency_hz} Hz: {turn}");
        }
    }
}

#[test]
fn chunks_of_any_length_give_the_same_stream() {
    for (from_hz, to_hz) in pairs() {
        let input = support::voice(from_hz, 0.3);
        let whole = resample(from_hz, to_hz, &input);
        assert_eq!(whole.len(), (input.len() * to_hz as usize).div_ceil(from_hz as usize));
        let (mut resampler, mut parts) = (Resampler::new(from_hz, to_hz), Vec::new());
        let mut rest = &input[..];
        for length in [1, 7, 160, 441, 2, 960].into_iter().cycle() {
            let (part, after) = rest.split_at(length.min(rest.len()));
            let mut output = vec![0; part.len() * to_hz as usize / from_hz as usize + 1];
            let written = resampler.process(part, &mut output);
            parts.extend_from_slice(&output[..written]);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        assert_eq!(parts, whole, "{from_hz}→{to_hz}");
    }
}

#[test]
fn full_scale_square_waves_saturate_and_do_not_wrap() {
    for (from_hz, to_hz) in pairs() {
        let square: Vec<i16> =
            (0..4_000).map(|n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let output = resample(from_hz, to_hz, &square);
        // Overshoot would wrap to the other sign in the middle of a half wave.
        let delay = Resampler::new(from_hz, to_hz).delay_samples();
        for (n, sample) in output[delay..].iter().enumerate() {
            let position = (n as f64 * f64::from(from_hz) / f64::from(to_hz)) % 80.0;
            let inner = (5.0..35.0).contains(&position) || (45.0..75.0).contains(&position);
            let positive = position < 40.0;
            assert!(!inner || (*sample > 0) == positive, "{from_hz}→{to_hz} {n}: {sample}");
        }
    }
}

#[test]
fn equal_rates_pass_through_without_delay() {
    let input = support::voice(16_000, 0.1);
    assert_eq!(resample(16_000, 16_000, &input), input);
    assert_eq!(Resampler::new(16_000, 16_000).delay_samples(), 0);
}

/// rubato's synchronous FFT resampler over the whole signal, its delay removed.
fn rubato(from_hz: u32, to_hz: u32, input: &[i16]) -> Vec<i16> {
    let (from, to) = (from_hz as usize, to_hz as usize);
    // Chunks of 40 ms, so that half a chunk, which is rubato's delay, is a whole number of samples.
    let (chunk, window) = (from / 25, WindowFunction::BlackmanHarris2);
    let mut resampler =
        Fft::<f64>::new_custom(from, to, chunk, 1, 1, window, FixedSync::Both).unwrap();
    let samples = vec![input.iter().map(|sample| f64::from(*sample)).collect::<Vec<_>>()];
    let adapter = SequentialSliceOfVecs::new(&samples, 1, input.len()).unwrap();
    let output = resampler.process_all(&adapter, input.len(), None).unwrap();
    output.take_data().into_iter().map(|sample| sample.round() as i16).collect()
}

#[test]
fn agrees_with_rubato_on_speech_and_sines_within_the_pass_band() {
    for (from_hz, to_hz) in pairs() {
        let delay = Resampler::new(from_hz, to_hz).delay_samples();
        let signals = [
            (support::sine(from_hz, 440.0, 0.5, from_hz as usize), 80.0),
            (support::sine(from_hz, 1_700.0, 0.5, from_hz as usize), 80.0),
            (support::voice(from_hz, 1.0), 75.0),
        ];
        for (index, (input, snr_min_db)) in signals.iter().enumerate() {
            let ours = resample(from_hz, to_hz, input);
            let theirs = rubato(from_hz, to_hz, input);
            let edge = to_hz as usize / 20;
            let length = ours.len().min(theirs.len()) - 2 * edge;
            let snr_db =
                support::snr_db(&theirs[edge..][..length], &ours[edge + delay..][..length]);
            eprintln!("{from_hz}→{to_hz} signal {index}: {snr_db:.1} dB");
            assert!(snr_db > *snr_min_db, "{from_hz}→{to_hz} signal {index}: {snr_db:.1} dB");
        }
    }
}
