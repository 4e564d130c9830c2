//! The jitter buffer, 20 ms: a packet is filed and a frame is played, decoding included.

use criterion::{Criterion, criterion_group, criterion_main};

use vox_benches::{ThreadTime, quick};
use vox_call::jitter::Played;
use vox_codecs::CodecKind;
use vox_gate::Stream;

fn jitter(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("jitter buffer 20 ms");
    for kind in [CodecKind::Pcmu, CodecKind::G722, CodecKind::Opus] {
        for (network, loses) in [("no loss", 0), ("5 % loss", 20)] {
            group.bench_function(format!("file and play, {kind:?}, {network}"), |b| {
                let mut stream = Stream::new(kind, loses);
                for _ in 0..50 {
                    stream.step();
                }
                b.iter(|| assert_ne!(stream.step(), Played::Silence));
            });
        }
    }
    group.finish();
}

criterion_group! { name = benches; config = quick(); targets = jitter }
criterion_main!(benches);
