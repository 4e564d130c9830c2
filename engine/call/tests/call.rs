//! One call from the outside: what a caller hears, and how it ends.

mod common;

use common::{Caller, World, ms, session};
use vox_call::{CallId, Event, Outcome, Reason};
use vox_codecs::CodecKind;

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

fn name(event: &Event) -> &'static str {
    match event {
        Event::Opened { .. } => "opened",
        Event::MediaStarted { .. } => "media started",
        Event::Renegotiated { .. } => "renegotiated",
        Event::Spent { .. } => "spent",
        Event::Digit { .. } => "digit",
        Event::Stalled { .. } => "stalled",
        Event::Played { .. } => "played",
        Event::Report { .. } => "report",
        Event::Ended { .. } => "ended",
    }
}
