//! How much of a call a usual frame needs: what grows here is paid on every frame of every call.

mod common;

use std::cell::RefCell;

use common::{Caller, World, ms, session};
use vox_call::Coming;
use vox_codecs::CodecKind;

#[test]
fn a_frame_of_g711_needs_few_cache_lines_of_its_call() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    let mut caller = Caller::new(CodecKind::Pcmu, PEER);
    for _ in 0..50 {
        world.deliver(call, caller.address, &caller.packet(&[0x55; 160]));
        world.run(ms(20));
    }

    let leg = world.leg(call);
    let arrival = named(&mut world, |world| {
        world.shard.expect(leg, Coming::Later, &world.memory);
        world.shard.expect(leg, Coming::Next, &world.memory);
    });
    let turn = named(&mut world, |world| world.run(ms(20)));
    println!("{arrival} lines for an arrival, {turn} for a turn");
    assert!((5..=LINES_MAX).contains(&arrival), "{arrival}");
    assert!((5..=LINES_MAX).contains(&turn), "{turn}");
}

/// Cache lines that were named while `job` ran.
fn named(world: &mut World, job: impl FnOnce(&mut World)) -> usize {
    world.memory.expected = Some(RefCell::default());
    job(world);
    world.memory.expected.take().map_or(0, |lines| lines.borrow().len())
}

/// Two and a half kilobytes, a quarter of it audio: those of twenty calls in a slice, and what the
/// kernel needs for their packets, fit into the second level of the cache.
const LINES_MAX: usize = 40;
const PEER: &str = "192.0.2.7:4000";
