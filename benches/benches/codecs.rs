//! 20 ms of each codec: encode, decode, conceal; for Opus beside libopus alone.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use opus::{Application, Bandwidth, Bitrate, Channels, Signal};

use vox_benches::{ThreadTime, quick};
use vox_codecs::codec::{PAYLOAD_BYTES_MAX, PCM_SAMPLES_MAX};
use vox_codecs::opus::Settings;
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_gate::speech;

fn codecs(criterion: &mut Criterion<ThreadTime>) {
    for kind in [CodecKind::Pcmu, CodecKind::Pcma, CodecKind::G722, CodecKind::Opus] {
        let mut group = criterion.benchmark_group(format!("{kind:?} 20 ms"));
        let frames = speech(kind.rate_hz(), SECOND);
        group.bench_function("encode", |b| {
            let (mut encoder, mut frames) = (Encoder::new(kind), frames.iter().cycle());
            let mut payload = [0; PAYLOAD_BYTES_MAX];
            b.iter(|| encoder.encode(next(&mut frames), &mut payload));
        });
        let payloads = encoded(kind, &frames);
        group.bench_function("decode", |b| {
            let (mut decoder, mut payloads) = (Decoder::new(kind), payloads.iter().cycle());
            let mut pcm = [0; PCM_SAMPLES_MAX];
            b.iter(|| decoder.decode(next(&mut payloads), &mut pcm));
        });
        group.bench_function("conceal", |b| {
            b.iter_custom(|rounds| (0..rounds).map(|_| conceal(kind, &payloads)).sum());
        });
        if kind == CodecKind::Opus {
            group.bench_function("encode, libopus alone", |b| {
                let (mut encoder, mut frames) = (libopus(), frames.iter().cycle());
                let mut payload = [0; PAYLOAD_BYTES_MAX];
                b.iter(|| encoder.encode(next(&mut frames), &mut payload));
            });
            group.bench_function("decode, libopus alone", |b| {
                let decoder = opus::Decoder::new(kind.rate_hz(), Channels::Mono);
                let mut decoder = decoder.expect("libopus decodes to 16 kHz mono");
                let (mut payloads, mut pcm) = (payloads.iter().cycle(), [0; PCM_SAMPLES_MAX]);
                b.iter(|| decoder.decode(next(&mut payloads), &mut pcm, false));
            });
        }
        group.finish();
    }
}

/// The first lost frame after half a second of speech, of as many streams as there are payloads.
fn conceal(kind: CodecKind, payloads: &[Vec<u8>]) -> Duration {
    let mut pcm = [0; PCM_SAMPLES_MAX];
    let mut listen = |start: usize| {
        let mut decoder = Decoder::new(kind);
        for payload in payloads.iter().cycle().skip(start).take(SECOND / 2) {
            assert_eq!(decoder.decode(payload, &mut pcm), Ok(kind.frame_samples()));
        }
        decoder
    };
    let mut decoders: Vec<Decoder> = (0..payloads.len()).map(&mut listen).collect();
    let time = ThreadTime::of(|| {
        for decoder in &mut decoders {
            decoder.conceal(black_box(&mut pcm[..kind.frame_samples()]));
        }
    });
    time / decoders.len() as u32
}

fn next<'a, T>(endless: &mut impl Iterator<Item = &'a Vec<T>>) -> &'a [T] {
    black_box(endless.next().expect("a cycle has no end"))
}

fn encoded(kind: CodecKind, frames: &[Vec<i16>]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(kind);
    let encode = |pcm: &Vec<i16>| {
        let mut payload = vec![0; PAYLOAD_BYTES_MAX];
        let len = encoder.encode(pcm, &mut payload);
        payload.truncate(len);
        payload
    };
    frames.iter().map(encode).collect()
}

/// Tuned as ours.
fn libopus() -> opus::Encoder {
    let settings = Settings::default();
    let tuned = || {
        let mut encoder = opus::Encoder::new(16_000, Channels::Mono, Application::Voip)?;
        encoder.set_max_bandwidth(Bandwidth::Wideband)?;
        encoder.set_signal(Signal::Voice)?;
        encoder.set_bitrate(Bitrate::Bits(settings.bitrate_bps))?;
        encoder.set_complexity(settings.complexity)?;
        encoder.set_packet_loss_perc(settings.expected_loss_percent)?;
        encoder.set_inband_fec(settings.fec)?;
        encoder.set_dtx(settings.dtx)?;
        Ok::<_, opus::Error>(encoder)
    };
    tuned().expect("libopus takes its documented settings")
}

/// Frames in a second of speech.
const SECOND: usize = 50;

criterion_group! { name = benches; config = quick(); targets = codecs }
criterion_main!(benches);
