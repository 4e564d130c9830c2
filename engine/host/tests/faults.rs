//! What callers and networks do wrong, and that nobody else notices.

mod common;

use std::net::UdpSocket;
use std::time::Duration;

use common::{Caller, LIMITS, LOCALHOST, PATIENCE, Rig, session, talk, wait_until};
use vox_engine::call::{Event, Limits, Reason};
use vox_engine::{CallOptions, EngineEvent};
use vox_rtp::DropReason;

#[test]
fn a_call_that_is_never_answered_goes_through_the_same_door() {
    let mut rig = Rig::new(1);
    for _ in 0..50 {
        let opened =
            rig.engine.open(CallOptions { limits: LIMITS, recording: None, vad: None }).unwrap();
        rig.engine.close(opened.call, Reason::CallerCancelled).unwrap();
        assert_eq!(rig.wait_for_end(opened.call), Reason::CallerCancelled);
        rig.heard.clear();
        wait_until("its ports are back", || rig.engine.stats().ports_used == 0);
    }
}

#[test]
fn a_caller_whose_port_closes_disturbs_nobody_and_is_heard_again_when_it_opens() {
    let mut rig = Rig::new(2);
    let mut callers = rig.echoes(2);
    talk(&mut callers, |callers| callers.iter().all(|(caller, _)| caller.hears_the_tone()));

    // The second one's process dies: what we send meets a closed port, the kernel says so.
    let (mut gone, live) = callers.pop().unwrap();
    let address = gone.address();
    gone.socket = UdpSocket::bind((LOCALHOST, 0)).unwrap();
    let survivor = callers[0].0.packets;
    talk(&mut callers, |callers| {
        rig.engine.stats().peer_unreachable >= 3 && callers[0].0.packets >= survivor + 25
    });

    // It comes back on the same port, and the same call goes on.
    gone.socket = UdpSocket::bind(address).unwrap();
    gone.socket.set_nonblocking(true).unwrap();
    gone.audio.clear();
    callers.push((gone, live));
    talk(&mut callers, |callers| callers.iter().all(|(caller, _)| caller.hears_the_tone()));
    for (_, live) in &callers {
        rig.hang_up(live.call);
    }
}

#[test]
fn what_is_no_rtp_is_counted_and_the_call_goes_on() {
    let mut rig = Rig::new(1);
    let caller = Caller::new();
    let live = rig.echo(&caller, None);
    let mut callers = [(caller, live)];
    talk(&mut callers, |callers| callers[0].0.hears_the_tone());
    let before = rig.engine.stats();
    let socket = &callers[0].0.socket;
    for bytes in [&[0x80; 9_000][..], &[0x80; 1_557], b"", b"\x80", &[0xff; 60]] {
        socket.send_to(bytes, live.rtp).unwrap();
    }
    callers[0].0.audio.clear();
    talk(&mut callers, |callers| callers[0].0.hears_the_tone());
    wait_until("both are counted as too large", || {
        rig.engine.stats().dropped[DropReason::TooLarge as usize] == 2
    });
    let after = rig.engine.stats();
    let dropped = |stats: &vox_engine::Stats| stats.dropped.iter().sum::<u64>();
    assert!(dropped(&after) >= dropped(&before) + 5, "{after:?}");
    rig.hang_up(live.call);
    wait_until("no buffer is lost", || rig.engine.stats().buffers_held == 0);
}

#[test]
fn a_flood_on_one_call_is_not_heard_on_another() {
    let mut rig = Rig::new(2);
    let mut callers = rig.echoes(2);
    talk(&mut callers, |callers| callers.iter().all(|(caller, _)| caller.hears_the_tone()));
    // As many at once as the kernel takes, every 20 ms, from the flooded call's own caller: more
    // than the buffers with the kernel, so that receives end for want of them.
    let flooder = callers[1].0.socket.try_clone().unwrap();
    let target = callers[1].1.rtp;
    let noise = [0x80; 172];
    callers[0].0.audio.clear();
    let mut rounds = 0;
    talk(&mut callers, |callers| {
        for _ in 0..150 {
            let _ = flooder.send_to(&noise, target);
        }
        rounds += 1;
        let stats = rig.engine.stats();
        rounds >= 25 && stats.no_buffers > 0 && callers[0].0.hears_the_tone()
    });
    // The flood is over; both are well.
    callers.iter_mut().for_each(|(caller, _)| caller.audio.clear());
    talk(&mut callers, |callers| callers.iter().all(|(caller, _)| caller.hears_the_tone()));
    for (_, live) in &callers {
        rig.hang_up(live.call);
    }
    wait_until("no buffer is lost", || rig.engine.stats().buffers_held == 0);
}

#[test]
fn a_caller_who_falls_silent_is_a_phantom_and_ends_by_its_limit() {
    let mut rig = Rig::new(1);
    let caller = Caller::new();
    let limits = Limits { no_audio: Duration::from_millis(600), ..LIMITS };
    let opened = rig.engine.open(CallOptions { limits, recording: None, vad: None }).unwrap();
    rig.engine.answer(opened.call, session(caller.address())).unwrap();
    assert_eq!(rig.wait_for_end(opened.call), Reason::MediaTimeout);
    assert_eq!(rig.engine.taken(), 0);
    assert!(PATIENCE > limits.no_audio);
}

#[test]
fn nobody_reading_events_loses_events_but_no_ending_and_no_call() {
    let mut rig = Rig::new(4);
    let mut endings = 0;
    let mut refused = 0;
    // Four times the capacity may be unread; then `open` refuses until somebody reads.
    while refused < 100 {
        match rig.engine.open(CallOptions { limits: LIMITS, recording: None, vad: None }) {
            Ok(opened) => {
                rig.engine.close(opened.call, Reason::CallerCancelled).unwrap();
                endings += 1;
                wait_until("the slot is free", || rig.engine.taken() == 0);
            }
            Err(_) => refused += 1,
        }
    }
    assert_eq!(endings, 16);
    rig.drain();
    let ended = |event: &&vox_engine::EngineEvent| {
        matches!(event, vox_engine::EngineEvent::Call(vox_engine::call::Event::Ended { .. }))
    };
    assert_eq!(rig.heard.iter().filter(ended).count(), 16);
    assert!(rig.engine.open(CallOptions { limits: LIMITS, recording: None, vad: None }).is_ok());
}

#[test]
fn callers_who_flood_take_no_buffer_that_another_call_needs() {
    let mut rig = Rig::new(20);
    let mut callers = rig.echoes(20);
    talk(&mut callers, |callers| callers.iter().all(|(caller, _)| caller.hears_the_tone()));
    let heard = callers[0].0.packets;
    let mut rounds = 0;
    talk(&mut callers, |callers| {
        // All but the first say a second and a half in one moment, again and again.
        for (caller, live) in &mut callers[1..] {
            (0..75).for_each(|_| caller.say(live.rtp));
        }
        rounds += 1;
        rounds > 50 && callers[0].0.packets > heard + 45
    });
    let honest = callers[0].1.call;
    rig.hang_up(honest);
    let lost = rig.heard.iter().find_map(|event| match event {
        EngineEvent::Call(Event::Ended { call, ending, .. }) if *call == honest => {
            Some((ending.quality.lost, ending.quality.dropped[DropReason::Overflow as usize]))
        }
        _ => None,
    });
    assert_eq!(lost, Some((0, 0)));
    assert!(rig.engine.stats().dropped[DropReason::Overflow as usize] > 0);
    callers[1..].iter().for_each(|(_, live)| rig.hang_up(live.call));
    wait_until("every buffer is back", || rig.engine.stats().buffers_held == 0);
}
