//! A shard with calls that echo, or whose agent lives elsewhere: what a datagram and a tick cost one of them, without any I/O.
//!
//! All calls get a packet, then the 20 ms grid is played once round. The time is for one call and
//! one frame: *datagram* is its arrival (latch, parse, file), *tick* the rest (jitter buffer,
//! decode, level, digits, agent, encode, RTP).

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

use vox_benches::{ThreadTime, quick};
use vox_codecs::CodecKind;
use vox_gate::{Answers, World};

fn shard(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("shard, one call and frame");
    for (kind, calls, answers) in [
        (CodecKind::Pcmu, 100, Answers::Echo),
        (CodecKind::Pcmu, 100, Answers::Port),
        (CodecKind::Pcmu, 100, Answers::PortWithVad),
        (CodecKind::Pcmu, 1_000, Answers::Echo),
        (CodecKind::G722, 100, Answers::Echo),
        (CodecKind::Opus, 100, Answers::Echo),
    ] {
        let mut world = World::new(kind, calls, answers);
        let mut bench = |part: &str, of: fn(&Round) -> Duration| {
            group.bench_function(format!("{part}, {calls} calls {kind:?} {answers:?}"), |b| {
                b.iter_custom(|rounds| {
                    let total: Duration = (0..rounds).map(|_| of(&round(&mut world))).sum();
                    total / u32::from(calls)
                });
            });
        };
        bench("datagram", |round| round.datagrams);
        bench("tick", |round| round.ticks);
    }
    group.finish();
}

/// What all calls took for 20 ms.
struct Round {
    datagrams: Duration,
    ticks: Duration,
}

fn round(world: &mut World) -> Round {
    let arrived = world.arrive();
    let datagrams = ThreadTime::of(|| world.datagrams(arrived));
    let ticks = ThreadTime::of(|| world.ticks());
    Round { datagrams, ticks }
}

criterion_group! { name = benches; config = quick(); targets = shard }
criterion_main!(benches);
