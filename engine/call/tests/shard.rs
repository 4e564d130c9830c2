//! Many calls on one shard: room, slices, late hosts, and one call's trouble staying its own.

mod common;

use common::{Caller, LIMITS, World, ms, payload_type, session};
use vox_call::pipeline::{Agent, Prompt, Tap, tap};
use vox_call::{
    CallId, Command, Component, Digits, Event, Input, LegKey, Limits, Outcome, Reason, Shard,
};
use vox_codecs::CodecKind;
use vox_rtp::DropReason;

const PEER: &str = "192.0.2.7:4000";

/// A peer of its own for each call.
fn peer(id: u64) -> String {
    format!("192.0.2.7:{}", 4_000 + 2 * id)
}

/// Opens and answers this many echo calls, and has their callers say something.
fn echoes(world: &mut World, calls: u64) -> Vec<(CallId, Caller)> {
    (1..=calls)
        .map(|id| {
            let call = world.echo(id, session(CodecKind::Pcmu, &peer(id)));
            (call, Caller::new(CodecKind::Pcmu, &peer(id)))
        })
        .collect()
}

fn speak(world: &mut World, callers: &mut [(CallId, Caller)], packets: usize) {
    for _ in 0..packets {
        for (call, caller) in callers.iter_mut() {
            let packet = caller.packet(&[0x80; 160]);
            world.deliver(*call, caller.address, &packet);
        }
        world.run(ms(20));
    }
}

#[test]
fn a_full_shard_refuses_and_gives_a_slot_to_the_next_when_one_is_free() {
    let mut world = World::new(3);
    for id in 1..=5 {
        world.open(id, LIMITS, None);
    }
    let refused: Vec<_> = (1..=5).filter_map(|id| world.ending(CallId(id))).collect();
    let all_so = refused.iter().all(|ending| {
        (ending.outcome, ending.reason) == (Outcome::NotAnswered, Reason::AtCapacity)
    });
    assert!(refused.len() == 2 && all_so);
    assert!(world.unlistened.is_empty(), "a refused call had no sockets in use");
    let old = world.leg(CallId(2));
    world.close(CallId(2), Reason::CallerCancelled);
    world.open(6, LIMITS, None);
    let new = world.leg(CallId(6));
    assert_eq!(new.slot, old.slot);
    assert_ne!(new.generation, old.generation);
    let counters = *world.shard.counters();
    assert_eq!((counters.opened, counters.ended, counters.refused), (4, 1, 2));
}

#[test]
fn an_id_that_is_in_use_is_refused_and_its_call_is_not_touched() {
    let mut world = World::new(3);
    world.open(1, LIMITS, None);
    world.open(1, LIMITS, None);
    assert_eq!(world.shard.calls(), 1);
    world.close(CallId(1), Reason::CallerCancelled);
    let reasons: Vec<_> = world.events.iter().filter_map(reason).collect();
    assert_eq!(reasons, [Reason::AtCapacity, Reason::CallerCancelled]);
}

#[test]
fn a_draining_shard_takes_no_call_and_lets_the_present_ones_finish() {
    let mut world = World::new(4);
    let mut callers = echoes(&mut world, 2);
    world.command(Command::Drain);
    world.open(9, LIMITS, None);
    assert_eq!(world.ending(CallId(9)).unwrap().reason, Reason::WorkerStopped);
    speak(&mut world, &mut callers, 100);
    assert_eq!(world.shard.calls(), 2);
    world.close(CallId(1), Reason::CallerHungUp);
    world.close(CallId(2), Reason::WorkerStopped);
    assert_eq!((world.shard.calls(), world.shard.next_tick()), (0, None));
    world.memory.assert_all_back();
}

#[test]
fn sends_of_many_calls_are_spread_over_the_twenty_milliseconds() {
    let mut world = World::new(100);
    echoes(&mut world, 100);
    world.run(ms(1_000));
    assert_eq!(sent_by_slice(&world), [500; 10]);
}

#[test]
fn callers_in_phase_crowd_no_slice() {
    let mut world = World::new(200);
    let mut callers = echoes(&mut world, 200);
    // Half of them send before anything is played, the others when all are under way.
    speak(&mut world, &mut callers[..100], 10);
    speak(&mut world, &mut callers, 10);
    world.sent.clear();
    speak(&mut world, &mut callers, 50);
    let by_slice = sent_by_slice(&world);
    // Half as many again as the mean, and one.
    assert!(by_slice.iter().all(|&sent| sent <= 50 * 31), "{by_slice:?}");
    for (call, _) in callers {
        let times: Vec<_> = world.rtp(call).map(|(sent, _)| sent.at).collect();
        assert_eq!(times.len(), 50, "{call:?}");
        assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) == ms(20)), "{call:?}");
        let delay = world.quality(call).buffer_delay;
        assert!(delay <= ms(24), "{call:?}: {delay:?}");
    }
}

fn sent_by_slice(world: &World) -> [usize; 10] {
    let mut by_slice = [0; 10];
    for sent in world.sent.iter().filter(|sent| sent.rtp().is_some()) {
        by_slice[(sent.at.micros() / 2_000 % 10) as usize] += 1;
    }
    by_slice
}

/// A recorded echo call in slice `slice` whose caller sends `phase` ms after its start and then
/// every 20 ms, for a minute.
fn minute(phase: u64, slice: u64, tap: Tap) -> (World, CallId) {
    let mut world = World::new(20);
    for id in 100..100 + slice {
        world.open(id, LIMITS, None);
    }
    let call = world.open(1, LIMITS, Some(Box::new(tap)));
    for id in 100..100 + slice {
        world.close(CallId(id), Reason::CallerCancelled);
    }
    world.attach(call, Agent::echo());
    world.answer(call, session(CodecKind::Pcmu, PEER));
    world.run(ms(phase));
    Caller::new(CodecKind::Pcmu, PEER).speak(&mut world, call, 3_000);
    (world, call)
}

#[test]
fn a_clean_callers_packets_wait_ten_ms_whatever_their_phase() {
    for (phase, slice) in (0..20).flat_map(|phase| [0, 3, 6, 9].map(|slice| (phase, slice))) {
        let (mut world, call) = minute(phase, slice, tap(1, 8_000).0);
        let quality = world.quality(call);
        let (delay, now) = (quality.buffer_delay, world.now);
        assert!(delay >= ms(10) && delay < ms(12), "{phase}, {slice}: {delay:?}");
        // The echo goes out when the packet is played: `now` is 20 ms after the last arrival.
        let (last, _) = world.rtp(call).last().unwrap();
        let waited = ms(20) - now.since(last.at);
        assert!(waited >= ms(10) && waited < ms(12), "{phase}, {slice}: {waited:?}");
        assert!(quality.concealed == ms(0));
    }
}

#[test]
fn following_the_caller_moves_the_clocks_once_and_by_less_than_a_frame() {
    for (phase, slice) in (80..120).flat_map(|phase| [0, 3, 6, 9].map(|slice| (phase, slice))) {
        let (recording, mut reader) = tap(4_000, 8_000);
        let (world, call) = minute(phase, slice, recording);
        assert_eq!(world.shard.counters().skipped_frames, 0);
        let sent: Vec<_> = world.rtp(call).map(|(sent, rtp)| (sent.at, rtp.header)).collect();
        for pair in sent.windows(2) {
            assert_eq!(pair[1].1.seq, pair[0].1.seq.next());
            let period = pair[1].0.since(pair[0].0);
            assert_eq!(pair[1].1.time.since(pair[0].1.time) as u128, period.as_millis() * 8);
            // As after any pause. The call's first packet is the other one.
            assert_eq!(pair[1].1.marker, period != ms(20));
        }
        let periods = sent.windows(2).map(|pair| pair[1].0.since(pair[0].0));
        let odd: Vec<_> = periods.filter(|&period| period != ms(20)).collect();
        assert!(odd.len() <= 1 && odd.iter().all(|&it| it > ms(20) && it < ms(40)), "{odd:?}");
        let mut frames = 0;
        reader.drain(|frame| {
            assert_eq!(frame.index, frames);
            frames += 1;
        });
        // In a tick that comes early nothing is sent.
        assert!([0, 1].contains(&(frames as usize - sent.len())), "{frames} frames");
        let passed = sent[sent.len() - 1].0.since(sent[0].0);
        assert!(passed.abs_diff(ms(20) * (frames - 1)) < ms(20), "{passed:?}, {frames} frames");
    }
}

#[test]
fn a_call_follows_its_caller_only_once() {
    let mut world = World::new(20);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    let mut caller = Caller::new(CodecKind::Pcmu, PEER);
    caller.speak(&mut world, call, 10);
    world.sent.clear();
    // Another stream in another phase, another address in another one.
    world.run(ms(7));
    Caller::new(CodecKind::Pcmu, PEER).with(7, PEER).speak(&mut world, call, 10);
    world.run(ms(9));
    world.answer(call, session(CodecKind::Pcma, &peer(9)));
    Caller::new(CodecKind::Pcma, &peer(9)).speak(&mut world, call, 10);
    let times: Vec<_> = world.rtp(call).map(|(sent, _)| sent.at).collect();
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) == ms(20)));
}

#[test]
fn every_call_sends_exactly_one_packet_a_frame() {
    let mut world = World::new(30);
    let mut callers = echoes(&mut world, 30);
    speak(&mut world, &mut callers, 50);
    for (call, _) in &callers {
        let times: Vec<_> = world.rtp(*call).map(|(sent, _)| sent.at).collect();
        assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) == ms(20)), "{call:?}");
    }
}

#[test]
fn a_call_that_ends_in_its_tick_costs_no_neighbour_a_packet() {
    let mut world = World::new(30);
    let short = Limits { duration: ms(500), ..LIMITS };
    for id in 1..=30 {
        let call = world.open(id, if id <= 10 { short } else { LIMITS }, None);
        world.answer(call, session(CodecKind::Pcmu, &peer(id)));
    }
    world.run(ms(1_000));
    assert_eq!(world.shard.calls(), 20);
    for call in (11..=30).map(CallId) {
        let times: Vec<_> = world.rtp(call).map(|(sent, _)| sent.at).collect();
        assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) == ms(20)), "{call:?}");
    }
}

#[test]
fn a_host_that_was_away_recovers_without_a_burst_and_the_clocks_stay_right() {
    for (away, skipped) in [(33, 0), (107, 4), (1_007, 49)] {
        let mut world = World::new(20);
        let (recording, mut reader) = tap(1_000, 8_000);
        let call = world.open(1, LIMITS, Some(Box::new(recording)));
        world.attach(call, Agent::echo());
        world.answer(call, session(CodecKind::Pcmu, &peer(1)));
        let mut caller = Caller::new(CodecKind::Pcmu, &peer(1));
        caller.speak(&mut world, call, 50);
        // Packets wait in the kernel meanwhile and are all handed in at once.
        let waiting: Vec<_> = (0..away / 20).map(|_| caller.speech()).collect();
        let before = world.rtp(call).count();
        world.now = world.now + ms(away);
        for packet in waiting {
            world.deliver(call, caller.address, &packet);
        }
        world.stall(ms(0));
        assert!(world.rtp(call).count() - before <= 1, "a burst after {away} ms");
        caller.speak(&mut world, call, 100);
        assert!(world.shard.counters().late_slices > 0);
        let found = world.shard.counters().skipped_frames;
        assert!(found.abs_diff(skipped) <= 1, "{found} frames were skipped in {away} ms");
        // The stream's clock is the call's: a packet's time is when its tick was due.
        let sent: Vec<_> = world.rtp(call).map(|(sent, rtp)| (sent.at, rtp.header)).collect();
        let (first, last) = (sent[0], sent[sent.len() - 1]);
        let units = last.1.time.since(first.1.time);
        assert_eq!(units as u128, last.0.since(first.0).as_millis() * 8, "{away} ms");
        assert!(sent.windows(2).all(|pair| pair[1].1.seq == pair[0].1.seq.next()));
        let mut last_frame = 0;
        reader.drain(|frame| last_frame = frame.index);
        assert_eq!(u128::from(last_frame), last.0.since(first.0).as_millis() / 20, "{away} ms");
    }
}

#[test]
fn a_tick_too_early_does_nothing() {
    let mut world = World::new(4);
    echoes(&mut world, 2);
    world.run(ms(100));
    let sent = world.sent.len();
    for _ in 0..10 {
        world.tick();
    }
    assert_eq!(world.sent.len(), sent);
}

#[test]
fn a_bug_that_one_call_runs_into_ends_that_call_only() {
    for in_tick in [false, true] {
        let mut world = World::new(10);
        let mut callers = echoes(&mut world, 3);
        speak(&mut world, &mut callers, 10);
        let (victim, caller) = &mut callers[1];
        let (victim, packet) = (*victim, caller.packet(&[0x80; 160]));
        let buf = world.memory.receive(&packet).unwrap();
        if !in_tick {
            world.memory.poisoned = Some(buf.index);
        }
        let poisoned = buf.index;
        let (leg, source) = (world.leg(victim), caller.address);
        let input = Input::Datagram { leg, component: Component::Rtp, source, buf };
        quietly(|| world.shard.handle(world.now, input, &mut world.memory));
        world.memory.poisoned = Some(poisoned);
        quietly(|| world.run(ms(200)));
        world.memory.poisoned = None;
        let ending = world.ending(victim).expect("the call ended");
        assert_eq!((ending.outcome, ending.reason), (Outcome::Failed, Reason::Fault));
        assert_eq!(world.unlistened, [leg]);
        assert_eq!(world.shard.counters().faults, 1);
        callers.remove(1);
        speak(&mut world, &mut callers, 50);
        for (call, _) in &callers {
            assert!(world.ending(*call).is_none());
            world.close(*call, Reason::CallerHungUp);
        }
        world.memory.assert_all_back();
    }
}

/// Without the backtrace of a panic that is meant to be.
fn quietly(job: impl FnOnce()) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    job();
    std::panic::set_hook(hook);
}

#[test]
fn datagrams_of_a_call_that_is_over_reach_nobody() {
    let mut world = World::new(1);
    let mut callers = echoes(&mut world, 1);
    speak(&mut world, &mut callers, 10);
    let old = world.leg(CallId(1));
    world.close(CallId(1), Reason::CallerHungUp);
    let late = callers[0].1.packet(&[0x80; 160]);
    world.deliver_to(old, Component::Rtp, PEER.parse().unwrap(), &late);
    world.echo(2, session(CodecKind::Pcmu, PEER));
    assert_eq!(world.leg(CallId(2)).slot, old.slot);
    world.deliver_to(old, Component::Rtp, PEER.parse().unwrap(), &late);
    world.deliver_to(
        LegKey { slot: 999, generation: 0 },
        Component::Rtp,
        PEER.parse().unwrap(),
        &late,
    );
    assert_eq!(world.memory.held(), 0);
    let counters = *world.shard.counters();
    assert_eq!((counters.stale, counters.dropped[DropReason::NotListening as usize]), (3, 3));
    assert_eq!(world.quality(CallId(2)).packets_received, 0);
}

#[test]
fn what_a_command_brings_for_a_call_that_is_gone_comes_back() {
    let mut world = World::new(1);
    let call = CallId(7);
    let (recording, _reader) = tap(10, 8_000);
    let prompt = Prompt { samples: vec![1; 160].into(), rate_hz: 8_000 };
    let digits = Digits::new("1").unwrap();
    world.answer(call, session(CodecKind::Pcmu, PEER));
    world.attach(call, Agent::echo());
    world.command(Command::Play { call, id: 1, prompt });
    world.command(Command::Record { call, tap: Some(Box::new(recording)) });
    world.command(Command::Record { call, tap: None });
    world.command(Command::Digits { call, digits });
    world.command(Command::Query { call });
    world.close(call, Reason::CallerHungUp);
    assert!(matches!(
        world.events[..],
        [
            Event::Renegotiated { displaced: Some(_), .. },
            Event::Spent { agent: Some(_), .. },
            Event::Spent { prompt: Some(_), .. },
            Event::Spent { tap: Some(_), .. },
        ]
    ));
}

#[test]
fn without_a_free_send_slot_packets_are_counted_as_lost_by_us_and_the_call_goes_on() {
    let mut world = World::new(1);
    let mut callers = echoes(&mut world, 1);
    speak(&mut world, &mut callers, 10);
    world.memory.exhausted = true;
    speak(&mut world, &mut callers, 10);
    world.memory.exhausted = false;
    speak(&mut world, &mut callers, 10);
    assert_eq!(world.shard.counters().no_send_slot, 10);
    let headers: Vec<_> = world.rtp(CallId(1)).map(|(_, rtp)| rtp.header).collect();
    assert_eq!(headers.len(), 20);
    assert_eq!(headers[10].seq.since(headers[9].seq), 11, "the peer sees the loss");
    assert_eq!(headers[10].payload_type, payload_type(CodecKind::Pcmu));
}

#[test]
fn buffers_held_by_calls_are_known_and_all_given_back_at_the_end() {
    let mut world = World::new(10);
    let mut callers = echoes(&mut world, 10);
    speak(&mut world, &mut callers, 20);
    for (call, caller) in &mut callers {
        for _ in 0..5 {
            let packet = caller.packet(&[0x80; 160]);
            world.deliver(*call, caller.address, &packet);
        }
    }
    assert!(world.memory.held() >= 40);
    assert_eq!(world.shard.counters().buffers_held, world.memory.held() as u64);
    for (call, _) in &callers {
        world.close(*call, Reason::CallerHungUp);
    }
    assert_eq!(world.shard.counters().buffers_held, 0);
    world.memory.assert_all_back();
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let run = || {
        let mut world = World::new(10);
        let mut callers = echoes(&mut world, 7);
        speak(&mut world, &mut callers, 300);
        world
            .sent
            .into_iter()
            .map(|sent| (sent.at, sent.leg, sent.to, sent.bytes))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

fn reason(event: &Event) -> Option<Reason> {
    match event {
        Event::Ended { ending, .. } => Some(ending.reason),
        _ => None,
    }
}

#[test]
fn callers_who_flood_their_buffers_lose_their_own_packets_and_nobody_elses() {
    let calls: u64 = 30;
    let mut world = World::with_buffers(calls as usize, Shard::buffers_max(calls as usize) + 1);
    let mut callers = echoes(&mut world, calls);
    speak(&mut world, &mut callers, 10);
    let (honest, floods) = callers.split_first_mut().unwrap();
    for (call, caller) in floods.iter_mut() {
        for _ in 0..200 {
            let packet = caller.packet(&[0x80; 160]);
            world.deliver(*call, caller.address, &packet);
        }
    }
    // A stall of a third of a second that hits the honest one meanwhile.
    for _ in 0..15 {
        let packet = honest.1.packet(&[0x80; 160]);
        world.deliver(honest.0, honest.1.address, &packet);
    }
    assert!(world.memory.held() <= Shard::buffers_max(calls as usize));
    let quality = world.quality(honest.0);
    assert_eq!((quality.lost, quality.dropped[DropReason::Overflow as usize]), (0, 0));
    let flooded: Vec<_> = floods.iter().map(|(call, _)| world.quality(*call)).collect();
    assert!(flooded.iter().all(|quality| quality.lost > 0));
    assert!(flooded.iter().any(|quality| quality.dropped[DropReason::Overflow as usize] > 0));
    speak(&mut world, &mut callers, 100);
    assert_eq!(world.quality(callers[0].0).lost, 0);
    for (call, _) in &callers {
        world.close(*call, Reason::BotHungUp);
    }
    world.memory.assert_all_back();
}

#[test]
fn a_stall_of_half_a_second_that_hits_all_calls_at_once_loses_nothing() {
    for calls in [1, 2, 20, 100] {
        let mut world = World::with_buffers(calls, Shard::buffers_max(calls) + 1);
        let mut callers = echoes(&mut world, calls as u64);
        speak(&mut world, &mut callers, 50);
        for (call, caller) in &mut callers {
            for _ in 0..23 {
                let packet = caller.packet(&[0x80; 160]);
                world.deliver(*call, caller.address, &packet);
            }
        }
        speak(&mut world, &mut callers, 50);
        for (call, _) in &callers {
            assert_eq!(world.quality(*call).lost, 0, "{calls} calls");
        }
    }
}
