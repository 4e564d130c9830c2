//! What the integration tests share: reference vectors, peers, speech-like audio, likeness.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod ogg;

use std::env;
use std::f64::consts::TAU;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The bytes of a reference vector, or `None` after saying loudly that they are missing.
pub(crate) fn vector(name: &str) -> Option<Vec<u8>> {
    let beside_the_project = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors");
    let folder =
        env::var_os("VOX_VECTORS").map_or_else(|| beside_the_project.into(), PathBuf::from);
    let path = folder.join(name);
    match fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) => skip("REQUIRE_VECTORS", &format!("{}: {error}", path.display())),
    }
}

/// A reference vector of 16-bit little-endian samples.
pub(crate) fn vector_samples(name: &str) -> Option<Vec<i16>> {
    vector(name).map(|bytes| samples(&bytes))
}

/// Feeds `input` to a peer program and returns what it writes, or `None` after saying loudly that
/// the program is not installed. A program that fails fails the test.
pub(crate) fn peer(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let started =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return skip("REQUIRE_PEERS", &format!("{program}: {error}")),
    };
    let mut stdin = child.stdin.take().expect("it is piped");
    let output = std::thread::scope(|scope| {
        // A thread, since the peer writes before it has read everything.
        scope.spawn(move || stdin.write_all(input).expect("the peer reads all its input"));
        child.wait_with_output().expect("the peer ends")
    });
    assert!(output.status.success(), "{program} {arguments:?}: {}", output.status);
    Some(output.stdout)
}

fn skip<T>(required_by: &str, what: &str) -> Option<T> {
    let required = env::var_os(required_by).is_some_and(|value| value == "1");
    assert!(!required, "{required_by}=1, but {what}");
    // Not by `eprintln!`, which the harness hides when a test passes.
    writeln!(io::stderr(), "SKIPPED, because {what}").expect("stderr is open");
    None
}

/// 16-bit little-endian samples from bytes.
pub(crate) fn samples(bytes: &[u8]) -> Vec<i16> {
    let (pairs, _) = bytes.as_chunks();
    pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
}

/// Bytes from samples, 16-bit little-endian.
pub(crate) fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Something like a vowel: a gliding pitch of 110–150 Hz with formants to 3.3 kHz, in
/// syllables.
pub(crate) fn voice(rate_hz: u32, seconds: f64) -> Vec<i16> {
    let rate = f64::from(rate_hz);
    let mut phase = 0.0;
    let sample = |n: usize| {
        let t = n as f64 / rate;
        phase += (130.0 + 20.0 * (TAU * 0.7 * t).sin()) / rate;
        let harmonics = (1..=22).map(|k| {
            let frequency = f64::from(k) * 130.0;
            let formants = [(550.0, 150.0), (1_500.0, 200.0), (2_500.0, 300.0)];
            let gain: f64 =
                formants.iter().map(|(f, w)| (-((frequency - f) / w).powi(2)).exp()).sum();
            (0.05 + gain) * (TAU * phase * f64::from(k)).sin()
        });
        let syllable = (0.5 - 0.5 * (TAU * 3.0 * t).cos()).powf(0.7);
        (3_500.0 * syllable * harmonics.sum::<f64>()) as i16
    };
    (0..(rate * seconds) as usize).map(sample).collect()
}

/// A sine of full-scale-relative `amplitude`.
pub(crate) fn sine(rate_hz: u32, frequency_hz: f64, amplitude: f64, count: usize) -> Vec<i16> {
    let step = TAU * frequency_hz / f64::from(rate_hz);
    let sample = |n| (amplitude * 32_767.0 * (step * n as f64).sin()).round() as i16;
    (0..count).map(sample).collect()
}

/// Signal-to-noise ratio in dB of `heard` against `said`, of the shorter length.
pub(crate) fn snr_db(said: &[i16], heard: &[i16]) -> f64 {
    let pairs = || said.iter().zip(heard).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let signal: f64 = pairs().map(|(a, _)| a * a).sum();
    let noise: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
    10.0 * (signal / noise.max(f64::MIN_POSITIVE)).log10()
}

/// The delay in 0..`delay_max` at which `heard` is most like `said`, and that SNR in dB.
pub(crate) fn best_alignment(said: &[i16], heard: &[i16], delay_max: usize) -> (usize, f64) {
    let aligned = (0..delay_max).map(|delay| (delay, snr_db(said, &heard[delay..])));
    aligned.max_by(|a, b| a.1.total_cmp(&b.1)).expect("delay_max is positive")
}
