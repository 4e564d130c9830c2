//! Nothing in this crate allocates: it is built without `alloc`, and here a counting allocator
//! watches the packet's way and everything beside it.
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::hint::black_box;
use std::time::Duration;

use vox_heap::touches;
use vox_rtp::event::{EventReceiver, EventSender, EventTiming, TelephoneEvent};
use vox_rtp::rtcp::{
    Compound, CompoundWriter, NtpTime, Reception, ReportBlock, RtcpPacket, SenderInfo,
    report_interval,
};
use vox_rtp::{ClockRate, Datagram, RtpHeader, RtpPacket, RtpTime, SeqNo, Ssrc, classify};

#[global_allocator]
static ALLOCATOR: vox_heap::Counting = vox_heap::Counting;

#[test]
fn the_counter_counts() {
    let made = touches(|| drop(black_box(Box::new(7))));
    assert_eq!(made, 2, "allocated and freed");
}

#[test]
fn rtp_is_written_and_read_without_allocation() {
    let mut slot = [0; 200];
    let made = touches(|| {
        for seq in 0..1_000_u16 {
            let header = RtpHeader {
                marker: seq == 0,
                payload_type: 0,
                seq: SeqNo(seq),
                time: RtpTime(u32::from(seq) * 160),
                ssrc: Ssrc(1),
            };
            header.write(&mut slot)[..160].fill(0xff);
            // An extension with two elements, in place of some payload.
            slot[0] |= 0x10;
            slot[12..20].copy_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 1, 0x20, 2]);
            let bytes = black_box(&slot[..172]);
            assert_eq!(classify(bytes), Datagram::Rtp);
            let packet = RtpPacket::parse(bytes).expect("ours");
            assert_eq!((packet.payload.len(), packet.elements().count()), (152, 2));
            assert_eq!(packet.csrcs().count(), 0);
        }
    });
    assert_eq!(made, 0);
}

#[test]
fn rtcp_is_written_and_read_without_allocation() {
    let mut reception = Reception::new(ClockRate::HZ_8000);
    let mut out = [0; 256];
    let made = touches(|| {
        for seq in 0..1_000_u16 {
            let at_us = u64::from(seq) * 20_000;
            reception.receive(SeqNo(seq), RtpTime(u32::from(seq) * 160), at_us);
            let now = NtpTime::from_unix(Duration::from_micros(at_us));
            reception.sender_report(now, at_us);
            let block = reception.report(Ssrc(1), at_us + 5);
            let blocks = block.as_slice();
            let len = compound(&mut out, now, blocks);
            walk(black_box(&out[..len]), now);
            black_box(report_interval(false, u32::from(seq)));
        }
    });
    assert_eq!(made, 0);
}

fn compound(out: &mut [u8], now: NtpTime, blocks: &[ReportBlock]) -> usize {
    let info = SenderInfo { ntp: now, rtp: RtpTime(0), packets: 1, octets: 160 };
    CompoundWriter::sender_report(out, Ssrc(2), &info, blocks)
        .and_then(|writer| writer.cname(Ssrc(2), b"caller"))
        .and_then(|writer| writer.bye(&[Ssrc(2)], b"done"))
        .expect("fits")
        .finish()
}

fn walk(bytes: &[u8], now: NtpTime) {
    let compound = Compound::parse(bytes).expect("ours");
    let mut packets = 0;
    for packet in compound.packets() {
        packets += 1;
        match packet {
            RtcpPacket::SenderReport(sr) => {
                assert!(sr.blocks.iter().all(|block| block.round_trip(now).is_some()));
            }
            RtcpPacket::Sdes(sdes) => assert_eq!(sdes.cname_of(Ssrc(2)), Some(&b"caller"[..])),
            RtcpPacket::Bye(bye) => assert_eq!(bye.sources().count(), 1),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(packets, 3);
}

#[test]
fn digits_are_sent_and_received_without_allocation() {
    let made = touches(|| {
        let mut receiver = EventReceiver::new(ClockRate::HZ_8000);
        for (n, digit) in "0123456789*#ABCD".chars().enumerate() {
            let start = RtpTime(n as u32 * 1_600);
            let timing = EventTiming::new(ClockRate::HZ_8000);
            let mut sender = EventSender::new(digit, start, timing).expect("a digit");
            let mut pressed = None;
            while !sender.is_done() {
                let Some(packet) = sender.tick() else { continue };
                let mut payload = [0; 4];
                packet.event.write(&mut payload);
                let event = TelephoneEvent::parse(black_box(&payload)).expect("ours");
                let update = receiver.receive(packet.time, event);
                pressed = pressed.or(update.and_then(|update| update.digit()));
            }
            assert_eq!(pressed, Some(digit));
        }
    });
    assert_eq!(made, 0);
}
