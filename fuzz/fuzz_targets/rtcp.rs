//! Any datagram through the RTCP parser; what it reads is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vox_rtp::Ssrc;
use vox_rtp::rtcp::{
    Bye, Compound, CompoundWriter, NtpTime, ReceiverReport, ReportBlock, RtcpPacket, Sdes,
    SdesItem, SenderReport,
};

fuzz_target!(|bytes: &[u8]| {
    let whole = Compound::parse(bytes);
    let Ok(compound) = Compound::parse_reduced_size(bytes) else {
        assert!(whole.is_err(), "reduced-size accepts whatever a compound may be");
        return;
    };
    assert_eq!(whole.is_ok(), matches!(bytes[1], 200 | 201));
    let mut packets = 0;
    for packet in compound.packets() {
        packets += 1;
        match packet {
            RtcpPacket::SenderReport(sr) => write_sender_report(&sr),
            RtcpPacket::ReceiverReport(rr) => write_receiver_report(&rr),
            RtcpPacket::Sdes(sdes) => write_cnames(&sdes),
            RtcpPacket::Bye(bye) => write_bye(&bye),
            RtcpPacket::Unknown(packet) => assert_eq!(packet.body.len() % 4, 0),
        }
    }
    assert!(packets > 0 && packets * 4 <= bytes.len());
});

fn write_sender_report(sr: &SenderReport) {
    let blocks: Vec<ReportBlock> = sr.blocks.iter().collect();
    for block in &blocks {
        let _ = block.round_trip(sr.info.ntp);
        let _ = block.round_trip(NtpTime(u64::from(block.last_sr.0) << 16));
    }
    let mut out = [0; 1_024];
    let written = CompoundWriter::sender_report(&mut out, sr.ssrc, &sr.info, &blocks);
    let len = written.expect("31 blocks fit").finish();
    let Some(RtcpPacket::SenderReport(again)) =
        Compound::parse(&out[..len]).unwrap().packets().next()
    else {
        panic!("a sender report stays one");
    };
    assert_eq!((again.ssrc, again.info), (sr.ssrc, sr.info));
    assert!(again.blocks.iter().eq(blocks));
}

fn write_receiver_report(rr: &ReceiverReport) {
    let blocks: Vec<ReportBlock> = rr.blocks.iter().collect();
    let mut out = [0; 1_024];
    let written = CompoundWriter::receiver_report(&mut out, rr.ssrc, &blocks);
    let len = written.expect("31 blocks fit").finish();
    let Some(RtcpPacket::ReceiverReport(again)) =
        Compound::parse(&out[..len]).unwrap().packets().next()
    else {
        panic!("a receiver report stays one");
    };
    assert_eq!(again.ssrc, rr.ssrc);
    assert!(again.blocks.iter().eq(blocks));
}

fn write_cnames(sdes: &Sdes) {
    for chunk in sdes.chunks() {
        assert!(chunk.items().all(|item| item.kind != 0));
        for item in chunk.items().filter(|item| item.kind == SdesItem::CNAME) {
            let mut out = [0; 512];
            let len = CompoundWriter::receiver_report(&mut out, chunk.ssrc, &[])
                .and_then(|writer| writer.cname(chunk.ssrc, item.value))
                .expect("255 bytes fit")
                .finish();
            let compound = Compound::parse(&out[..len]).expect("ours");
            let Some(RtcpPacket::Sdes(again)) = compound.packets().nth(1) else {
                panic!("a description stays one");
            };
            assert_eq!(again.cname_of(chunk.ssrc), Some(item.value));
        }
    }
}

fn write_bye(bye: &Bye) {
    let sources: Vec<Ssrc> = bye.sources().collect();
    let mut out = [0; 512];
    let len = CompoundWriter::receiver_report(&mut out, Ssrc(0), &[])
        .and_then(|writer| writer.bye(&sources, bye.reason.unwrap_or_default()))
        .expect("31 sources and 255 bytes fit")
        .finish();
    let compound = Compound::parse(&out[..len]).expect("ours");
    let Some(RtcpPacket::Bye(again)) = compound.packets().nth(1) else {
        panic!("a goodbye stays one");
    };
    assert!(again.sources().eq(sources));
    assert_eq!(again.reason, bye.reason);
}
