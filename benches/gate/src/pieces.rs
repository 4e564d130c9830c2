//! What is counted.

use std::hint::black_box;

use vox_call::hearing::{Vad, VadOptions};
use vox_codecs::codec::{PAYLOAD_BYTES_MAX, PCM_SAMPLES_MAX};
use vox_codecs::dsp::level::level_dbov;
use vox_codecs::dsp::resample::Resampler;
use vox_codecs::tones::DtmfDetector;
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_gate::{Answers, Sealed, Stream, World, packets, speech};
use vox_rtp::{RtpHeader, RtpPacket, RtpTime, SeqNo, Ssrc, classify};

use crate::meter::{Meter, gate_piece_is_over};

/// A piece of the call path.
pub(crate) struct Piece {
    pub(crate) name: &'static str,
    /// How many percent more a change may need without being asked.
    pub(crate) tolerance: f64,
    run: fn(&mut Meter),
}

/// Counts all of them, under callgrind.
pub(crate) fn run() {
    for piece in PIECES {
        let mut meter = Meter::default();
        (piece.run)(&mut meter);
        gate_piece_is_over(piece.name, meter.frames);
    }
}

pub(crate) const PIECES: &[Piece] = &[
    ours("PCMU encode", |meter| encode(meter, CodecKind::Pcmu)),
    ours("PCMU decode", |meter| decode(meter, CodecKind::Pcmu)),
    ours("PCMA encode", |meter| encode(meter, CodecKind::Pcma)),
    ours("PCMA decode", |meter| decode(meter, CodecKind::Pcma)),
    ours("G.722 encode", |meter| encode(meter, CodecKind::G722)),
    ours("G.722 decode", |meter| decode(meter, CodecKind::G722)),
    theirs("Opus 16 kHz encode", |meter| encode(meter, CodecKind::Opus)),
    theirs("Opus 16 kHz decode", |meter| decode(meter, CodecKind::Opus)),
    ours("resample 8 to 16 kHz", |meter| resample(meter, 8_000, 16_000)),
    ours("resample 16 to 8 kHz", |meter| resample(meter, 16_000, 8_000)),
    ours("resample 24 to 8 kHz", |meter| resample(meter, 24_000, 8_000)),
    ours("level 8 kHz", level),
    ours("DTMF detector 8 kHz", digits),
    ours("VAD, energy", |meter| hear(meter, false)),
    ours("VAD, energy and earshot", |meter| hear(meter, true)),
    ours("RTP classify and parse", parse),
    ours("RTP write header", write),
    ours("jitter buffer PCMU, file and play", |meter| jitter(meter, CodecKind::Pcmu, 0)),
    ours("jitter buffer PCMU, 5 % loss", |meter| jitter(meter, CodecKind::Pcmu, 20)),
    ours("jitter buffer G.722, 5 % loss", |meter| jitter(meter, CodecKind::G722, 20)),
    theirs("SRTP seal (WebRTC peer)", seal),
    theirs("SRTP open (WebRTC peer)", open),
    ours("shard datagram, 100 calls echo", |meter| datagrams(meter, Answers::Echo)),
    ours("shard tick, 100 calls echo", |meter| ticks(meter, Answers::Echo)),
    ours("shard tick, 100 calls port and VAD", |meter| ticks(meter, Answers::PortWithVad)),
];

/// Compiled by the same compiler everywhere.
const fn ours(name: &'static str, run: fn(&mut Meter)) -> Piece {
    Piece { name, tolerance: 2.0, run }
}

/// Mostly libopus and AWS-LC: the C compiler differs between machines and, from run to run, the keys.
const fn theirs(name: &'static str, run: fn(&mut Meter)) -> Piece {
    Piece { name, tolerance: 10.0, run }
}

fn encode(meter: &mut Meter, kind: CodecKind) {
    let frames = speech(kind.rate_hz(), WARM_UP + FRAMES);
    let mut encoder = Encoder::new(kind);
    let mut payload = [0; PAYLOAD_BYTES_MAX];
    each(meter, &frames, |pcm| _ = black_box(encoder.encode(pcm, &mut payload)));
}

fn decode(meter: &mut Meter, kind: CodecKind) {
    let packets = packets(kind, 0, WARM_UP + FRAMES);
    let payloads: Vec<_> = packets.iter().map(|packet| packet[RtpHeader::LEN..].to_vec()).collect();
    let mut decoder = Decoder::new(kind);
    let mut pcm = [0; PCM_SAMPLES_MAX];
    each(meter, &payloads, |payload| _ = black_box(decoder.decode(payload, &mut pcm)));
}

fn resample(meter: &mut Meter, from_hz: u32, to_hz: u32) {
    let frames = speech(from_hz, WARM_UP + FRAMES);
    let (mut resampler, mut output) = (Resampler::new(from_hz, to_hz), [0; 1_000]);
    each(meter, &frames, |pcm| _ = black_box(resampler.process(pcm, &mut output)));
}

fn level(meter: &mut Meter) {
    let frames = speech(8_000, WARM_UP + FRAMES);
    each(meter, &frames, |pcm| _ = black_box(level_dbov(black_box(pcm))));
}

fn digits(meter: &mut Meter) {
    let frames = speech(8_000, WARM_UP + FRAMES);
    let mut detector = DtmfDetector::new(8_000);
    each(meter, &frames, |pcm| _ = black_box(detector.push(pcm)));
}

fn hear(meter: &mut Meter, neural: bool) {
    let frames = speech(8_000, WARM_UP + FRAMES);
    let mut vad = Vad::new(VadOptions { neural, ..VadOptions::default() });
    each(meter, &frames, |pcm| {
        black_box(vad.push(8_000, pcm));
        vad.sent(&[0; 160]);
    });
}

fn parse(meter: &mut Meter) {
    let packets = packets(CodecKind::Pcmu, 0, WARM_UP + FRAMES);
    each(meter, &packets, |packet| {
        black_box(classify(black_box(packet)));
        _ = black_box(RtpPacket::parse(black_box(packet)));
    });
}

fn write(meter: &mut Meter) {
    let mut slots = vec![vec![0; 172]; WARM_UP + FRAMES];
    let mut number = 0_u16;
    let mut next = || {
        number = number.wrapping_add(1);
        let (seq, time) = (SeqNo(number), RtpTime(u32::from(number) * 160));
        RtpHeader { marker: false, payload_type: 0, seq, time, ssrc: Ssrc(7) }
    };
    slots[..WARM_UP].iter_mut().for_each(|slot| _ = next().write(slot));
    meter.count(FRAMES as u32, || {
        for slot in &mut slots[WARM_UP..] {
            black_box(black_box(next()).write(slot));
        }
    });
}

fn jitter(meter: &mut Meter, kind: CodecKind, loses: u64) {
    let mut stream = Stream::new(kind, loses);
    let mut step = |_: &()| _ = black_box(stream.step());
    each(meter, &[(); WARM_UP + FRAMES], &mut step);
}

fn seal(meter: &mut Meter) {
    let (mut pair, payload) = (Sealed::new(), [0x5a; OPUS_BYTES]);
    for _ in 0..FRAMES {
        let packet = pair.plain(&payload);
        meter.count(1, || assert!(pair.seal(&packet) > packet.len()));
    }
}

fn open(meter: &mut Meter) {
    let (mut pair, payload) = (Sealed::new(), [0x5a; OPUS_BYTES]);
    for _ in 0..FRAMES {
        let mut packet = pair.sealed(&payload);
        meter.count(1, || assert_eq!(pair.open(&mut packet), RtpHeader::LEN + OPUS_BYTES));
    }
}

fn datagrams(meter: &mut Meter, answers: Answers) {
    let mut world = World::new(CodecKind::Pcmu, CALLS, answers);
    for _ in 0..ROUNDS {
        let mut arrived = Some(world.arrive());
        meter.count(CALLS.into(), || world.datagrams(arrived.take().unwrap_or_default()));
        world.ticks();
    }
}

fn ticks(meter: &mut Meter, answers: Answers) {
    let mut world = World::new(CodecKind::Pcmu, CALLS, answers);
    for _ in 0..ROUNDS {
        let arrived = world.arrive();
        world.datagrams(arrived);
        meter.count(CALLS.into(), || world.ticks());
    }
}

/// Warms up with the first frames and counts the rest.
fn each<T>(meter: &mut Meter, frames: &[T], mut job: impl FnMut(&T)) {
    let (first, rest) = frames.split_at(WARM_UP);
    first.iter().for_each(&mut job);
    meter.count(rest.len() as u32, || rest.iter().for_each(&mut job));
}

/// A second of speech until everything has settled.
const WARM_UP: usize = 50;
/// Two seconds that are counted.
const FRAMES: usize = 100;
const CALLS: u16 = 100;
const ROUNDS: u32 = 10;
/// 20 ms at 24 kbit/s.
const OPUS_BYTES: usize = 60;
