//! One packet: classify, parse, walk its header extension, write its header.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

use vox_benches::{ThreadTime, quick};
use vox_rtp::{RtpHeader, RtpPacket, RtpTime, SeqNo, Ssrc, classify};

fn rtp(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("RTP");
    let plain = packet(0x80, &[]);
    let extended = packet(0x90, &[0xbe, 0xde, 0, 2, 0x10, 0x9a, 0x20, b'0', 0, 0, 0, 0]);
    group.bench_function("classify", |b| b.iter(|| classify(black_box(&plain))));
    group.bench_function("parse", |b| b.iter(|| RtpPacket::parse(black_box(&plain))));
    group.bench_function("parse with extension elements", |b| {
        b.iter(|| {
            let packet = RtpPacket::parse(black_box(&extended));
            packet.map(|packet| packet.elements().map(|element| element.value.len()).sum::<usize>())
        });
    });
    group.bench_function("write header", |b| {
        let mut slot = [0; 172];
        let mut number = 0_u16;
        b.iter(|| {
            number = number.wrapping_add(1);
            let header = RtpHeader {
                marker: false,
                payload_type: 0,
                seq: SeqNo(number),
                time: RtpTime(u32::from(number) * 160),
                ssrc: Ssrc(0xca11_e400),
            };
            header.write(black_box(&mut slot)).len()
        });
    });
    group.finish();
}

/// 20 ms of G.711.
fn packet(first: u8, extension: &[u8]) -> Vec<u8> {
    [&[first, 0, 0, 1, 0, 0, 0, 160, 0xca, 0x11, 0xe4, 0], extension, &[0xd5; 160]].concat()
}

criterion_group! { name = benches; config = quick(); targets = rtp }
criterion_main!(benches);
