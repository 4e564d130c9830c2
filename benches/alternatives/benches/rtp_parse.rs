//! Decision 0002: what it costs to read one RTP packet, in time and in allocations, with our view
//! and with the crates that could have been taken.
//!
//! `rtp` and `rtc-rtp` own what they parse. They are measured as a receive loop would use them,
//! from the slice it received into, and at their best, from a `Bytes` that is only counted up.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use rtc_shared::marshal::Unmarshal as _;
use vox_alternatives::{CountingAllocator, ThreadTime, quick};
use vox_rtp::RtpPacket;
use webrtc_util::marshal::Unmarshal as _;

#[global_allocator]
static HEAP: CountingAllocator = CountingAllocator::new();

/// What a receiver wants to know of a packet.
type Fields = (u8, u16, u32, usize);

fn parse(criterion: &mut Criterion<ThreadTime>) {
    for (name, packet) in packets() {
        let bytes = Bytes::copy_from_slice(&packet);
        let parsers: [(&str, &dyn Fn() -> Fields); 6] = [
            ("vox-rtp, view", &|| ours(black_box(&packet))),
            ("rtp-types, view", &|| rtp_types(black_box(&packet))),
            ("rtp, from slice", &|| webrtc_rtp(&mut black_box(&packet[..]))),
            ("rtp, from Bytes", &|| webrtc_rtp(&mut black_box(&bytes).clone())),
            ("rtc-rtp, from slice", &|| rtc_rtp(&mut black_box(&packet[..]))),
            ("rtc-rtp, from Bytes", &|| rtc_rtp(&mut black_box(&bytes).clone())),
        ];
        println!("{name}: allocations for each packet");
        for (parser, parse) in &parsers {
            assert_eq!(parse(), ours(&packet), "{parser} reads something else");
            let allocations = HEAP.per_run(1_000, || {
                black_box(parse());
            });
            println!("  {parser:<20} {allocations:.1}");
        }
        let mut group = criterion.benchmark_group(format!("parse {name}"));
        for (parser, parse) in &parsers {
            group.bench_function(*parser, |b| b.iter(|| parse()));
        }
        group.finish();
    }
}

/// What a SIP peer sends, and what a browser sends: with an audio level and a mid (RFC 8285).
fn packets() -> [(&'static str, Vec<u8>); 2] {
    let fixed = |first: u8| [&[first, 0x00, 0x12, 0x34, 0, 1, 2, 3, 0xca, 0xfe, 0, 1][..]].concat();
    let payload = [0xd5; 160];
    let extension = [0xbe, 0xde, 0x00, 0x02, 0x10, 0x9a, 0x20, b'0', 0x00, 0x00, 0x00, 0x00];
    [
        ("172 bytes", [&fixed(0x80)[..], &payload].concat()),
        ("184 bytes with extension", [&fixed(0x90)[..], &extension, &payload].concat()),
    ]
}

fn ours(packet: &[u8]) -> Fields {
    let packet = RtpPacket::parse(packet).expect("a valid packet");
    let header = packet.header;
    (header.payload_type, header.seq.0, header.time.0, packet.payload.len())
}

fn rtp_types(packet: &[u8]) -> Fields {
    let packet = rtp_types::RtpPacket::parse(packet).expect("a valid packet");
    let number = packet.sequence_number();
    (packet.payload_type(), number, packet.timestamp(), packet.payload().len())
}

fn webrtc_rtp(packet: &mut impl bytes::Buf) -> Fields {
    let packet = rtp::packet::Packet::unmarshal(packet).expect("a valid packet");
    let header = &packet.header;
    (header.payload_type, header.sequence_number, header.timestamp, packet.payload.len())
}

fn rtc_rtp(packet: &mut impl bytes::Buf) -> Fields {
    let packet = rtc_rtp::packet::Packet::unmarshal(packet).expect("a valid packet");
    let header = &packet.header;
    (header.payload_type, header.sequence_number, header.timestamp, packet.payload.len())
}

criterion_group! { name = benches; config = quick(); targets = parse }
criterion_main!(benches);
