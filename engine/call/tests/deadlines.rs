//! Every state has a deadline, and nothing outlives it by more than a tick.

mod common;

use std::time::Duration;

use common::{Caller, LIMITS, World, ms, session};
use vox_call::{CallId, Component, Direction, Event, Limits, MediaSession, Outcome, Reason};
use vox_codecs::CodecKind;
use vox_rtp::Ssrc;
use vox_rtp::rtcp::CompoundWriter;

const PEER: &str = "192.0.2.7:4000";
const TICK: Duration = Duration::from_millis(20);

/// Runs until the call ends; how long that took.
fn time_to_end(world: &mut World, call: CallId) -> Duration {
    let start = world.now;
    while world.ending(call).is_none() {
        world.run(TICK);
        assert!(world.now.since(start) < Duration::from_secs(3_600), "the call never ends");
    }
    world.memory.assert_all_back();
    world.now.since(start)
}

fn check(found: Duration, limit: Duration) {
    assert!((limit..=limit + TICK).contains(&found), "{found:?}, limit {limit:?}");
}

#[test]
fn a_call_that_is_never_answered_ends_after_its_limit() {
    let mut world = World::new(4);
    let limit = ms(4_310);
    let call = world.open(1, Limits { answer: limit, ..LIMITS }, None);
    check(time_to_end(&mut world, call), limit);
    let ending = world.ending(call).unwrap();
    assert_eq!((ending.outcome, ending.reason), (Outcome::NotAnswered, Reason::SetupTimeout));
    assert_eq!(ending.duration, Duration::ZERO);
}

#[test]
fn a_phantom_is_noticed_at_a_third_and_ends_after_its_limit() {
    for packets in [0, 1, 200] {
        let mut world = World::new(4);
        let call = world.echo(1, session(CodecKind::Pcmu, PEER));
        Caller::new(CodecKind::Pcmu, PEER).speak(&mut world, call, packets);
        // `speak` lets 20 ms pass after the last packet.
        let already = if packets == 0 { Duration::ZERO } else { TICK };
        check(time_to_end(&mut world, call) + already, LIMITS.no_audio);
        let ending = world.ending(call).unwrap();
        assert_eq!((ending.outcome, ending.reason), (Outcome::Failed, Reason::MediaTimeout));
        let silences: Vec<_> = world.events.iter().filter_map(silence).collect();
        let [silent] = silences[..] else { panic!("stalled {} times", silences.len()) };
        check(silent, LIMITS.no_audio / 3);
    }
}

#[test]
fn a_caller_who_comes_back_in_time_is_no_phantom_and_may_stall_again() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    let mut caller = Caller::new(CodecKind::Pcmu, PEER);
    for _ in 0..3 {
        caller.speak(&mut world, call, 10);
        world.run(ms(14_900));
    }
    assert!(world.ending(call).is_none());
    assert_eq!(world.events.iter().filter_map(silence).count(), 3);
}

#[test]
fn a_caller_who_never_hangs_up_is_cut_off_after_the_longest_duration() {
    let mut world = World::new(4);
    let limits = Limits { duration: ms(30_000), ..LIMITS };
    let call = world.open(1, limits, None);
    world.run(ms(5_000));
    world.answer(call, session(CodecKind::Pcmu, PEER));
    let mut caller = Caller::new(CodecKind::Pcmu, PEER);
    caller.speak(&mut world, call, 1_500);
    check(time_to_end(&mut world, call), Duration::ZERO);
    let ending = world.ending(call).unwrap();
    assert_eq!((ending.outcome, ending.reason), (Outcome::Completed, Reason::MaxDuration));
    check(ending.duration, ms(30_000));
}

#[test]
fn a_held_call_is_no_phantom_until_the_peer_that_spoke_rtcp_falls_silent() {
    // `sendonly` from the peer is our `RecvOnly`, and many a phone then sends nothing.
    for direction in [Direction::RecvOnly, Direction::SendOnly, Direction::Inactive] {
        let held = MediaSession { direction, ..session(CodecKind::Pcmu, PEER) };
        // Without RTCP only the duration ends it.
        let mut world = World::new(4);
        let call = world.echo(1, session(CodecKind::Pcmu, PEER));
        world.answer(call, held);
        check(time_to_end(&mut world, call), LIMITS.duration);
        assert_eq!(world.ending(call).unwrap().reason, Reason::MaxDuration);

        // With it, 30 s after the last report.
        let held = MediaSession { direction, ..session(CodecKind::Pcmu, PEER) };
        let call = world.echo(2, session(CodecKind::Pcmu, PEER));
        world.answer(call, held);
        for _ in 0..4 {
            world.run(ms(20_000));
            let report = receiver_report();
            let leg = world.leg(call);
            world.deliver_to(leg, Component::Rtcp, "192.0.2.7:4001".parse().unwrap(), &report);
        }
        check(time_to_end(&mut world, call), ms(30_000));
        assert_eq!(world.ending(call).unwrap().reason, Reason::MediaTimeout);
    }
}

#[test]
fn rtcp_alone_keeps_no_call_alive_and_a_resumed_call_has_its_whole_limit_again() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    let report = receiver_report();
    let leg = world.leg(call);
    world.run(LIMITS.no_audio / 2);
    world.deliver_to(leg, Component::Rtcp, "192.0.2.7:4001".parse().unwrap(), &report);
    check(time_to_end(&mut world, call), LIMITS.no_audio / 2);
    assert_eq!(world.ending(call).unwrap().reason, Reason::MediaTimeout);

    let call = world.echo(2, session(CodecKind::Pcmu, PEER));
    let direction = Direction::Inactive;
    world.answer(call, MediaSession { direction, ..session(CodecKind::Pcmu, PEER) });
    world.run(ms(60_000));
    world.answer(call, session(CodecKind::Pcmu, PEER));
    check(time_to_end(&mut world, call), LIMITS.no_audio);
}

fn silence(event: &Event) -> Option<Duration> {
    match event {
        Event::Stalled { silent, .. } => Some(*silent),
        _ => None,
    }
}

fn receiver_report() -> Vec<u8> {
    let mut bytes = vec![0; 200];
    let report = CompoundWriter::receiver_report(&mut bytes, Ssrc(7), &[]).unwrap();
    let len = report.cname(Ssrc(7), b"caller").unwrap().finish();
    bytes.truncate(len);
    bytes
}
