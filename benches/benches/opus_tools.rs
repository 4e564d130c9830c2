//! Opus at 16 kHz, 20 ms: our encoder beside `opusenc`, the tool that people have, at the same
//! settings. Debian's has a libopus of its own, older than ours.

use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};

use criterion::{Criterion, criterion_group, criterion_main};

use vox_benches::{ThreadTime, quick};
use vox_codecs::codec::PAYLOAD_BYTES_MAX;
use vox_codecs::opus::Settings;
use vox_codecs::{CodecKind, Encoder};
use vox_gate::speech;
use vox_tests::peers;

fn opus(criterion: &mut Criterion<ThreadTime>) {
    let frames = speech(RATE_HZ, FRAMES);
    let mut group = criterion.benchmark_group("Opus encode 20 ms, a stream");
    group.sample_size(10);
    group.bench_function("ours", |b| {
        b.iter_custom(|streams| {
            let stream = |_| ThreadTime::of(|| encode(&frames));
            (0..streams).map(stream).sum::<std::time::Duration>() / FRAMES as u32
        });
    });
    let Some(opusenc) = peers::find("opusenc") else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let raw = directory.path().join("speech.raw");
    let bytes: Vec<u8> = frames.iter().flatten().flat_map(|sample| sample.to_le_bytes()).collect();
    std::fs::write(&raw, bytes).expect("the speech is written");
    group.bench_function("opusenc", |b| {
        b.iter_custom(|streams| {
            let before = ThreadTime::of_children();
            (0..streams).for_each(|_| run(&opusenc, &raw));
            (ThreadTime::of_children() - before) / FRAMES as u32
        });
    });
    group.finish();
}

fn encode(frames: &[Vec<i16>]) {
    let (mut encoder, mut payload) = (Encoder::new(CodecKind::Opus), [0; PAYLOAD_BYTES_MAX]);
    for frame in frames {
        black_box(encoder.encode(black_box(frame), &mut payload));
    }
}

fn run(opusenc: &Path, raw: &Path) {
    let Settings { bitrate_bps, complexity, expected_loss_percent, .. } = Settings::default();
    let mut command = Command::new(opusenc);
    command.args(["--quiet", "--speech", "--raw", "--raw-chan", "1", "--framesize", "20"]);
    command.args(["--raw-rate", &RATE_HZ.to_string(), "--comp", &complexity.to_string()]);
    command.args(["--bitrate", &(f64::from(bitrate_bps) / 1_000.0).to_string()]);
    command.args(["--expect-loss", &expected_loss_percent.to_string(), "-", "-"]);
    command.stdin(File::open(raw).expect("the speech")).stdout(Stdio::null());
    assert!(command.status().is_ok_and(|status| status.success()), "opusenc failed");
}

const RATE_HZ: u32 = 16_000;
/// Ten seconds: starting the tool is nothing beside it.
const FRAMES: usize = 500;

criterion_group! { name = benches; config = quick(); targets = opus }
criterion_main!(benches);
