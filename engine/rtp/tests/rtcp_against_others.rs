//! The RTCP parser and writer against another implementation.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;
use rtcp_types::prelude::*;
use rtcp_types::{Packet as Theirs, SdesItem as TheirItem};
use vox_rtp::rtcp::{
    Bye, Compound, CompoundWriter, NtpShort, NtpTime, ReportBlock, RtcpPacket, Sdes, SdesItem,
    SenderInfo,
};
use vox_rtp::{RtpTime, Ssrc};

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(4_000) })]

    #[test]
    fn rtcp_types_accepts_and_reads_the_same(bytes in datagram()) {
        let ours = Compound::parse_reduced_size(&bytes);
        let theirs: Option<Vec<Parsed>> = frames(&bytes).map(parse_each);
        let theirs = match (ours, theirs) {
            (ours, None) => {
                prop_assert!(ours.is_err(), "frames do not add up");
                return Ok(());
            }
            (Err(_), Some(theirs)) => {
                prop_assert!(theirs.iter().any(Result::is_err) || we_are_stricter(&bytes, &theirs));
                return Ok(());
            }
            (Ok(_), Some(theirs)) => theirs,
        };
        let ours: Vec<_> = ours.expect("matched above").packets().collect();
        prop_assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            match theirs {
                Ok(theirs) => same(ours, theirs)?,
                Err(_) => prop_assert!(we_are_looser(ours), "{:?} but {:?}", ours, theirs),
            }
        }
    }

    #[test]
    fn a_compound_begins_with_a_report(bytes in datagram()) {
        let reduced = Compound::parse_reduced_size(&bytes).is_ok();
        let begins = matches!(bytes.get(1), Some(200 | 201));
        prop_assert_eq!(Compound::parse(&bytes).is_ok(), reduced && begins);
    }

    #[test]
    fn what_we_write_they_read(
        ssrc in any::<u32>().prop_map(Ssrc),
        info in prop::option::of(sender_info()),
        blocks in vec(block(), 0..=31),
        cname in prop::option::of("[ -~]{0,255}"),
        bye in prop::option::of((vec(any::<u32>().prop_map(Ssrc), 0..=31), "[ -~]{0,255}")),
    ) {
        let mut out = [0xee; 2_048];
        let mut writer = match &info {
            Some(info) => CompoundWriter::sender_report(&mut out, ssrc, info, &blocks),
            None => CompoundWriter::receiver_report(&mut out, ssrc, &blocks),
        }
        .expect("fits");
        if let Some(cname) = &cname {
            writer = writer.cname(ssrc, cname.as_bytes()).expect("fits");
        }
        if let Some((sources, reason)) = &bye {
            writer = writer.bye(sources, reason.as_bytes()).expect("fits");
        }
        let len = writer.finish();

        let built = built(ssrc, info, &blocks, cname.as_deref(), bye.as_ref());
        prop_assert_eq!(&out[..len], &built[..]);
        let packets: Result<Vec<_>, _> =
            rtcp_types::Compound::parse(&out[..len]).expect("valid").collect();
        prop_assert_eq!(packets.expect("valid").len(), Compound::parse(&out[..len]).unwrap().packets().count());
    }
}

/// What their builders make of the same fields.
fn built(
    ssrc: Ssrc,
    info: Option<SenderInfo>,
    blocks: &[ReportBlock],
    cname: Option<&str>,
    bye: Option<&(Vec<Ssrc>, String)>,
) -> Vec<u8> {
    let mut packets = vec![report(ssrc, info, blocks)];
    if let Some(cname) = cname {
        let item = TheirItem::builder(TheirItem::CNAME, cname);
        let chunk = rtcp_types::SdesChunk::builder(ssrc.0).add_item(item);
        packets.push(write(rtcp_types::Sdes::builder().add_chunk(chunk)));
    }
    if let Some((sources, reason)) = bye {
        let builder = rtcp_types::Bye::builder().reason(&reason[..]);
        packets.push(write(sources.iter().fold(builder, |b, source| b.add_source(source.0))));
    }
    packets.concat()
}

fn report(ssrc: Ssrc, info: Option<SenderInfo>, blocks: &[ReportBlock]) -> Vec<u8> {
    let blocks = blocks.iter().map(|block| {
        rtcp_types::ReportBlock::builder(block.ssrc.0)
            .fraction_lost(block.fraction_lost)
            .cumulative_lost(block.cumulative_lost as u32 & 0xff_ffff)
            .extended_sequence_number(block.highest_seq)
            .interarrival_jitter(block.jitter)
            .last_sender_report_timestamp(block.last_sr.0)
            .delay_since_last_sender_report_timestamp(block.delay_since_last_sr.0)
    });
    let Some(info) = info else {
        let builder = rtcp_types::ReceiverReport::builder(ssrc.0);
        return write(blocks.fold(builder, |b, block| b.add_report_block(block)));
    };
    let builder = rtcp_types::SenderReport::builder(ssrc.0)
        .ntp_timestamp(info.ntp.0)
        .rtp_timestamp(info.rtp.0)
        .packet_count(info.packets)
        .octet_count(info.octets);
    write(blocks.fold(builder, |b, block| b.add_report_block(block)))
}

fn write(builder: impl RtcpPacketWriter) -> Vec<u8> {
    let mut out = vec![0; builder.calculate_size().expect("valid")];
    let len = builder.write_into(&mut out).expect("valid");
    assert_eq!(len, out.len());
    out
}

/// Splits at the length fields. `None` when they do not add up, or padding stands before the last.
fn frames(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut frames = Vec::new();
    loop {
        let words = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]);
        let (frame, rest) = bytes.split_at_checked(usize::from(words) * 4 + 4)?;
        frames.push(frame);
        match rest {
            [] => return Some(frames),
            _ if frame[0] & 0x20 != 0 => return None,
            _ => bytes = rest,
        }
    }
}

type Parsed<'a> = Result<Theirs<'a>, rtcp_types::RtcpParseError>;

fn parse_each(frames: Vec<&[u8]>) -> Vec<Parsed<'_>> {
    frames.into_iter().map(Theirs::parse).collect()
}

/// Why we refuse what they take: they only ask that padding is not zero, whereas RFC 3550 §6.4.1
/// makes it whole words, and it cannot reach into what it pads; and they read SDES chunks to the end
/// of the packet whatever its count says.
fn we_are_stricter(bytes: &[u8], theirs: &[Parsed]) -> bool {
    let frames = frames(bytes).expect("checked by the caller");
    let last = frames.last().expect("at least one");
    if last[0] & 0x20 != 0 {
        return true;
    }
    frames.iter().zip(theirs).any(|(frame, theirs)| match theirs {
        Ok(Theirs::Sdes(sdes)) => sdes.chunks().count() < usize::from(frame[0] & 0x1f),
        _ => false,
    })
}

/// Why we take what they refuse: we do not look into APP, feedback and XR; and they want the last
/// item of an SDES chunk to be four bytes long, look into PRIV items, and read on behind the
/// last chunk.
fn we_are_looser(ours: &RtcpPacket) -> bool {
    matches!(ours, RtcpPacket::Unknown(_) | RtcpPacket::Sdes(_))
}

fn same(ours: &RtcpPacket, theirs: &Theirs) -> Result<(), TestCaseError> {
    match (ours, theirs) {
        (RtcpPacket::SenderReport(ours), Theirs::Sr(theirs)) => {
            prop_assert_eq!(ours.ssrc, Ssrc(theirs.ssrc()));
            prop_assert_eq!(ours.info.ntp, NtpTime(theirs.ntp_timestamp()));
            prop_assert_eq!(ours.info.rtp, RtpTime(theirs.rtp_timestamp()));
            prop_assert_eq!(ours.info.packets, theirs.packet_count());
            prop_assert_eq!(ours.info.octets, theirs.octet_count());
            prop_assert!(ours.blocks.iter().eq(theirs.report_blocks().map(read_block)));
        }
        (RtcpPacket::ReceiverReport(ours), Theirs::Rr(theirs)) => {
            prop_assert_eq!(ours.ssrc, Ssrc(theirs.ssrc()));
            prop_assert!(ours.blocks.iter().eq(theirs.report_blocks().map(read_block)));
        }
        (RtcpPacket::Sdes(ours), Theirs::Sdes(theirs)) => same_sdes(ours, theirs)?,
        (RtcpPacket::Bye(ours), Theirs::Bye(theirs)) => same_bye(ours, theirs)?,
        (RtcpPacket::Unknown(_), _) => {}
        (ours, theirs) => prop_assert!(false, "{:?} is not {:?}", ours, theirs),
    }
    Ok(())
}

fn read_block(theirs: rtcp_types::ReportBlock) -> ReportBlock {
    let lost = theirs.cumulative_lost() as i32;
    ReportBlock {
        ssrc: Ssrc(theirs.ssrc()),
        fraction_lost: theirs.fraction_lost(),
        // They leave the 24 bits unsigned; RFC 3550 §6.4.1 has them signed.
        cumulative_lost: if lost < 0x80_0000 { lost } else { lost - 0x100_0000 },
        highest_seq: theirs.extended_sequence_number(),
        jitter: theirs.interarrival_jitter(),
        last_sr: NtpShort(theirs.last_sender_report_timestamp()),
        delay_since_last_sr: NtpShort(theirs.delay_since_last_sender_report_timestamp()),
    }
}

/// They skip every null byte behind a chunk, also those that begin the next source: such chunks are
/// left out here.
fn same_sdes(ours: &Sdes, theirs: &rtcp_types::Sdes) -> Result<(), TestCaseError> {
    if ours.chunks().any(|chunk| chunk.ssrc.0 < 0x100_0000) {
        return Ok(());
    }
    for (ours, theirs) in ours.chunks().zip(theirs.chunks()) {
        prop_assert_eq!(ours.ssrc, Ssrc(theirs.ssrc()));
        prop_assert_eq!(ours.items().count(), theirs.items().count());
        for (ours, theirs) in ours.items().zip(theirs.items()) {
            prop_assert_eq!(ours.kind, theirs.type_());
            // rtcp-types 0.3.0 panics on the value of a PRIV item whose prefix overruns the item.
            if ours.kind != TheirItem::PRIV {
                prop_assert_eq!(ours.value, theirs.value());
            }
        }
    }
    Ok(())
}

fn same_bye(ours: &Bye, theirs: &rtcp_types::Bye) -> Result<(), TestCaseError> {
    prop_assert!(ours.sources().eq(theirs.ssrcs().map(Ssrc)));
    // They read padding as part of the reason.
    if theirs.padding().is_none() {
        prop_assert_eq!(ours.reason.unwrap_or_default(), theirs.reason().unwrap_or_default());
    }
    Ok(())
}

/// Packets that mostly make sense, one behind the other, sometimes damaged.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let overwrite = vec((any::<Index>(), any::<u8>()), 0..3);
    let keep = prop::option::weighted(0.1, any::<Index>());
    let damaged = (vec(packet(), 1..5), overwrite, keep).prop_map(|(packets, overwrite, keep)| {
        let mut bytes = packets.concat();
        for (at, value) in overwrite {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(keep) = keep {
            bytes.truncate(keep.index(bytes.len()));
        }
        bytes
    });
    prop_oneof![2 => vec(packet(), 1..5).prop_map(|p| p.concat()), 4 => damaged, 1 => vec(any::<u8>(), 0..60)]
}

fn packet() -> impl Strategy<Value = Vec<u8>> {
    let ssrc = || any::<u32>().prop_map(Ssrc);
    let reports = (ssrc(), prop::option::of(sender_info()), vec(block(), 0..4))
        .prop_map(|(ssrc, info, blocks)| report(ssrc, info, &blocks));
    let raw = (0..32_u8, 198..212_u8, vec(prop::array::uniform4(byte()), 0..12))
        .prop_map(|(count, packet_type, words)| framed(count, packet_type, &words.concat()));
    let sdes = (0..4_u8, vec((ssrc(), items()), 0..4)).prop_map(|(count, chunks)| {
        framed(count, 202, &chunks.iter().flat_map(chunk).collect::<Vec<_>>())
    });
    let bye = (vec(any::<[u8; 4]>(), 0..4), vec(byte(), 0..9)).prop_map(|(sources, reason)| {
        let count = sources.len() as u8;
        let mut body = sources.concat();
        body.push(reason.len() as u8);
        body.extend(reason);
        body.resize(body.len().next_multiple_of(4), 0);
        framed(count, 203, &body)
    });
    prop_oneof![3 => reports, 2 => raw, 3 => sdes, 2 => bye]
}

/// Small numbers are counts and lengths that fit now and then.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![0..9_u8, any::<u8>()]
}

fn items() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    vec((1..10_u8, vec(byte(), 0..10)), 0..3)
}

fn chunk((ssrc, items): &(Ssrc, Vec<(u8, Vec<u8>)>)) -> Vec<u8> {
    let mut bytes = ssrc.0.to_be_bytes().to_vec();
    for (kind, value) in items {
        bytes.extend([*kind, value.len() as u8]);
        bytes.extend(value);
    }
    bytes.resize((bytes.len() + 1).next_multiple_of(4), 0);
    bytes
}

fn framed(count: u8, packet_type: u8, body: &[u8]) -> Vec<u8> {
    let [n0, n1] = ((body.len() / 4) as u16).to_be_bytes();
    [&[0x80 | count, packet_type, n0, n1], body].concat()
}

fn sender_info() -> impl Strategy<Value = SenderInfo> {
    any::<(u64, u32, u32, u32)>().prop_map(|(ntp, rtp, packets, octets)| SenderInfo {
        ntp: NtpTime(ntp),
        rtp: RtpTime(rtp),
        packets,
        octets,
    })
}

fn block() -> impl Strategy<Value = ReportBlock> {
    (any::<(u32, u8, u32, u32, u32, u32)>(), -0x80_0000..0x80_0000).prop_map(
        |((ssrc, fraction_lost, highest_seq, jitter, last_sr, delay), cumulative_lost)| {
            ReportBlock {
                ssrc: Ssrc(ssrc),
                fraction_lost,
                cumulative_lost,
                highest_seq,
                jitter,
                last_sr: NtpShort(last_sr),
                delay_since_last_sr: NtpShort(delay),
            }
        },
    )
}

#[test]
fn item_types_have_the_same_numbers() {
    assert_eq!(
        [SdesItem::CNAME, SdesItem::NAME, SdesItem::TOOL],
        [TheirItem::CNAME, TheirItem::NAME, TheirItem::TOOL]
    );
}
