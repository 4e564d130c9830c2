//! One call from the outside: what a caller hears, and how it ends.

mod common;

use std::time::Duration;

use common::{Caller, LIMITS, World, ms, payload_type, session};
use vox_call::pipeline::{Agent, Prompt, tap};
use vox_call::{CallId, Command, Direction, Event, MediaSession, Outcome, Reason};
use vox_codecs::dsp::level::level_dbov;
use vox_codecs::{CodecKind, Decoder};
use vox_rtp::{DropReason, RtpHeader};

const PEER: &str = "192.0.2.7:4000";

#[test]
fn an_echo_of_g711_is_bit_exact_and_the_call_gives_everything_back() {
    for codec in [CodecKind::Pcmu, CodecKind::Pcma] {
        let mut world = World::new(4);
        let call = world.echo(1, session(codec, PEER));
        let mut caller = Caller::new(codec, PEER);
        // Every code but µ-law's negative zero, which decodes to the same sample as positive zero.
        let codes: Vec<u8> = (0..=255u8).filter(|&code| code != 0x7f).cycle().take(8_000).collect();
        for payload in codes.chunks(160) {
            let packet = caller.packet(payload);
            world.deliver(call, caller.address, &packet);
            world.run(ms(20));
        }
        world.run(ms(200));
        let echoed: Vec<u8> = world.rtp(call).flat_map(|(_, rtp)| rtp.payload.to_vec()).collect();
        let start = echoed.windows(160).position(|heard| heard == &codes[..160]).expect("an echo");
        assert_eq!(echoed[start..start + codes.len()], codes[..]);

        world.close(call, Reason::CallerHungUp);
        let ending = world.ending(call).unwrap();
        assert_eq!((ending.outcome, ending.reason), (Outcome::Completed, Reason::CallerHungUp));
        assert_eq!(ending.duration, ms(1_200));
        assert_eq!(ending.quality.packets_received, 50);
        assert_eq!((ending.quality.lost, ending.quality.late), (0, 0));
        assert_eq!(world.unlistened, [world.leg(call)]);
        assert_eq!(world.shard.calls(), 0);
        assert_eq!(world.shard.next_tick(), None);
        world.memory.assert_all_back();
    }
}

#[test]
fn events_come_in_the_order_of_a_call() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    let mut caller = Caller::new(CodecKind::Pcmu, PEER);
    world.run(ms(100));
    caller.speak(&mut world, call, 5);
    world.close(call, Reason::BotHungUp);
    world.close(call, Reason::CallerHungUp);
    let names: Vec<&str> = world.events.iter().map(name).collect();
    assert_eq!(names, ["opened", "spent", "renegotiated", "media started", "ended"]);
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::MediaStarted { call: CallId(1), after } if *after == ms(100)
    )));
}

#[test]
fn every_codec_is_echoed_at_its_own_rate() {
    for codec in [CodecKind::Pcmu, CodecKind::Pcma, CodecKind::G722, CodecKind::Opus] {
        let mut world = World::new(4);
        let call = world.echo(1, session(codec, PEER));
        let mut caller = Caller::new(codec, PEER);
        caller.speak(&mut world, call, 100);
        let mut decoder = Decoder::new(codec);
        let mut heard = Vec::new();
        for (_, rtp) in world.rtp(call) {
            let mut pcm = [0; 2_000];
            let samples = decoder.decode(rtp.payload, &mut pcm).unwrap();
            heard.extend_from_slice(&pcm[..samples]);
        }
        assert_eq!(heard.len(), 100 * codec.frame_samples(), "{codec:?}");
        let second = &heard[heard.len() / 2..];
        assert!((-18..=-13).contains(&level_dbov(second)), "{codec:?}: {}", level_dbov(second));
        let quality = world.quality(call);
        assert_eq!((quality.lost, quality.late), (0, 0), "{codec:?}");
        assert!(quality.speech >= ms(1_800), "{codec:?}: {:?}", quality.speech);
    }
}

#[test]
fn packets_are_as_long_as_was_agreed() {
    let rows = [
        (CodecKind::Pcmu, 20, 160, 160),
        (CodecKind::Pcmu, 40, 320, 320),
        (CodecKind::Pcma, 60, 480, 480),
        (CodecKind::G722, 60, 480, 480),
        // Not agreed on by any sane peer: the nearest we speak.
        (CodecKind::Pcmu, 0, 160, 160),
        (CodecKind::Pcmu, 255, 480, 480),
    ];
    for (codec, ptime_ms, octets, units) in rows {
        let mut world = World::new(4);
        let call = world.echo(1, MediaSession { ptime_ms, ..session(codec, PEER) });
        world.run(ms(1_200));
        let packets: Vec<_> = world.rtp(call).map(|(_, rtp)| rtp).collect();
        assert_eq!(packets.len(), 1_200 / (units as usize / 8), "{codec:?} {ptime_ms}");
        assert!(packets.iter().all(|rtp| rtp.payload.len() == octets), "{codec:?} {ptime_ms}");
        assert_stream(&packets.iter().map(|rtp| rtp.header).collect::<Vec<_>>(), |_| units);
    }
}

#[test]
fn a_held_call_sends_nothing_and_goes_on_as_the_same_stream() {
    for held in [Direction::RecvOnly, Direction::Inactive] {
        let mut world = World::new(4);
        let call = world.echo(1, session(CodecKind::Pcmu, PEER));
        let mut caller = Caller::new(CodecKind::Pcmu, PEER);
        caller.speak(&mut world, call, 50);
        world.answer(call, MediaSession { direction: held, ..session(CodecKind::Pcmu, PEER) });
        let before = world.rtp(call).count();
        world.run(ms(3_000));
        assert_eq!(world.rtp(call).count(), before, "{held:?}");
        world.answer(call, session(CodecKind::Pcmu, PEER));
        caller.time = caller.time.wrapping_add(3 * 8_000);
        caller.speak(&mut world, call, 50);
        let headers: Vec<_> = world.rtp(call).map(|(_, rtp)| rtp.header).collect();
        assert_eq!(headers.len(), 100);
        assert_stream(&headers, |n| if n == 50 { 160 * 151 } else { 160 });
        let markers: Vec<_> = (0..100).filter(|&n| headers[n].marker).collect();
        assert_eq!(markers, [0, 50]);
        assert_eq!(world.quality(call).lost, 0);
        assert!(!world.events.iter().any(|event| matches!(event, Event::Stalled { .. })));
    }
}

#[test]
fn what_a_held_caller_sends_is_dropped_where_we_do_not_listen() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    let mut caller = Caller::new(CodecKind::Pcmu, PEER);
    caller.speak(&mut world, call, 50);
    let held = MediaSession { direction: Direction::SendOnly, ..session(CodecKind::Pcmu, PEER) };
    world.answer(call, held);
    caller.speak(&mut world, call, 50);
    assert_eq!(world.memory.held(), 0);
    let quality = world.quality(call);
    assert_eq!(quality.packets_received, 50);
    assert_eq!(quality.dropped[DropReason::NotListening as usize], 50);
}

#[test]
fn another_codec_takes_over_in_mid_call_within_the_same_stream() {
    let codecs = [CodecKind::Pcmu, CodecKind::G722, CodecKind::Opus, CodecKind::Pcma];
    let mut world = World::new(4);
    let call = world.open(1, LIMITS, None);
    world.attach(call, Agent::tone(8_000, 400.0));
    for codec in codecs {
        world.answer(call, session(codec, PEER));
        let mut caller = Caller::new(codec, PEER);
        caller.seq = caller.seq.wrapping_add(1_000);
        caller.speak(&mut world, call, 50);
        let sent: Vec<_> = world.rtp(call).map(|(_, rtp)| rtp).collect();
        let last = &sent[sent.len() - 50..];
        assert!(last.iter().all(|rtp| rtp.header.payload_type == payload_type(codec)));
        let mut decoder = Decoder::new(codec);
        let mut pcm = [0; 2_000];
        let level = last.iter().map(|rtp| {
            let samples = decoder.decode(rtp.payload, &mut pcm).unwrap();
            level_dbov(&pcm[..samples])
        });
        assert!((-18..=-14).contains(&level.last().unwrap()), "{codec:?}");
    }
    let headers: Vec<_> = world.rtp(call).map(|(_, rtp)| rtp.header).collect();
    assert!(headers.windows(2).all(|pair| pair[1].seq == pair[0].seq.next()));
    assert!(headers.iter().all(|header| header.ssrc == headers[0].ssrc));
    assert_eq!(world.quality(call).codec, Some(CodecKind::Pcma));
}

#[test]
fn a_recording_says_once_that_it_is_over_and_a_prompt_goes_over_it() {
    let mut world = World::new(4);
    let call = world.open(1, LIMITS, None);
    let prompt = |value, samples| Prompt { samples: vec![value; samples].into(), rate_hz: 8_000 };
    world.attach(call, Agent::play(prompt(8_031, 1_600), false));
    world.answer(call, session(CodecKind::Pcmu, PEER));
    world.run(ms(100));
    world.command(Command::Play { call, id: 7, prompt: prompt(-8_031, 800) });
    world.run(ms(60));
    world.command(Command::Play { call, id: 8, prompt: prompt(-8_031, 800) });
    world.run(ms(300));
    let wrong_rate = Prompt { rate_hz: 16_000, ..prompt(1, 800) };
    world.command(Command::Play { call, id: 9, prompt: wrong_rate });
    world.run(ms(100));
    let played: Vec<_> = world.events.iter().filter_map(played).collect();
    let over = [(7, 60, false), (8, 100, true), (0, 200, true), (9, 0, false)];
    assert_eq!(played, over.map(|(id, ms, complete)| (id, Duration::from_millis(ms), complete)));
    let heard: Vec<i8> = world.rtp(call).map(|(_, rtp)| sign(rtp.payload[80])).collect();
    let expected = [(1, 5), (-1, 3), (-1, 5), (1, 5), (0, 10)];
    assert_eq!(heard, expected.map(|(sign, count)| vec![sign; count]).concat());
    let spent = world.events.iter().filter(|event| matches!(event, Event::Spent { .. })).count();
    assert_eq!(spent, 1 + 3, "the silent agent, and three prompts");
}

#[test]
fn a_recording_holds_both_sides_on_one_clock_without_a_missing_frame() {
    let (tap, mut reader) = tap(1_000, 8_000);
    let mut world = World::new(4);
    let call = world.open(1, LIMITS, Some(Box::new(tap)));
    world.attach(call, Agent::echo());
    world.answer(call, session(CodecKind::Pcmu, PEER));
    let mut caller = Caller::new(CodecKind::Pcmu, PEER);
    caller.speak(&mut world, call, 50);
    let held = MediaSession { direction: Direction::Inactive, ..session(CodecKind::Pcmu, PEER) };
    world.answer(call, held);
    world.run(ms(1_000));
    assert!(!reader.is_closed());
    world.close(call, Reason::CallerHungUp);
    assert!(reader.is_closed());
    let mut frames = 0;
    reader.drain(|frame| {
        assert_eq!((frame.index, frame.rate_hz, frame.interleaved.len()), (frames, 8_000, 320));
        let (chunks, _) = frame.interleaved.as_chunks::<2>();
        let quiet = chunks.iter().all(|both| both == &[0, 0]);
        assert!(chunks.iter().all(|[left, right]| left == right), "an echo is on both sides");
        // The jitter buffer may take its time in the beginning.
        assert!(frames < 5 || quiet == (frames >= 50), "frame {frames}");
        frames += 1;
    });
    assert_eq!((frames, reader.overruns()), (100, 0));
}

#[test]
fn a_recording_that_begins_in_mid_call_begins_at_zero() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    world.run(ms(500));
    let ((first, mut first_reader), (second, _)) = (tap(100, 8_000), tap(100, 8_000));
    world.command(Command::Record { call, tap: Some(Box::new(first)) });
    world.run(ms(100));
    world.command(Command::Record { call, tap: Some(Box::new(second)) });
    world.run(ms(100));
    world.command(Command::Record { call, tap: None });
    world.command(Command::Record { call, tap: None });
    let mut indices = Vec::new();
    first_reader.drain(|frame| indices.push(frame.index));
    assert_eq!(indices, [0, 1, 2, 3, 4]);
    assert!(first_reader.is_closed());
    let taps = world.events.iter().filter(|e| matches!(e, Event::Spent { tap: Some(_), .. }));
    assert_eq!(taps.count(), 2);
}

/// Sequence numbers without a gap, one source, and timestamps that grow by `step` of the packet.
fn assert_stream(headers: &[RtpHeader], step: impl Fn(usize) -> i32) {
    for (n, pair) in headers.windows(2).enumerate() {
        assert_eq!(pair[1].seq, pair[0].seq.next(), "packet {}", n + 1);
        assert_eq!(pair[1].ssrc, pair[0].ssrc, "packet {}", n + 1);
        assert_eq!(pair[1].time.since(pair[0].time), step(n + 1), "packet {}", n + 1);
    }
}

fn played(event: &Event) -> Option<(u32, Duration, bool)> {
    match event {
        Event::Played { id, played, complete, .. } => Some((*id, *played, *complete)),
        _ => None,
    }
}

/// Of a µ-law code; 0 for silence.
fn sign(code: u8) -> i8 {
    match code {
        0xff | 0x7f => 0,
        0x80.. => 1,
        _ => -1,
    }
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Opened { .. } => "opened",
        Event::MediaStarted { .. } => "media started",
        Event::Renegotiated { .. } => "renegotiated",
        Event::Spent { .. } => "spent",
        Event::Peer { .. } | Event::Offered { .. } | Event::Left { .. } => "peer",
        Event::Digit { .. } => "digit",
        Event::Stalled { .. } => "stalled",
        Event::Speech { .. } => "speech",
        Event::Played { .. } => "played",
        Event::Report { .. } => "report",
        Event::Ended { .. } => "ended",
    }
}
