use std::vec;
use std::vec::Vec;

use super::*;

/// A packet with `first` as its first byte (version, padding, count) and `body` behind the header.
fn packet(first: u8, packet_type: u8, body: &[u8]) -> Vec<u8> {
    assert_eq!(body.len() % 4, 0);
    let [n0, n1] = ((body.len() / 4) as u16).to_be_bytes();
    [&[first, packet_type, n0, n1], body].concat()
}

fn empty_rr() -> Vec<u8> {
    packet(0x80, RECEIVER_REPORT, &[0, 0, 0, 1])
}

fn check(rows: &[(&str, Vec<u8>, bool)]) {
    for (name, bytes, valid) in rows {
        let expected = if *valid { Ok(()) } else { Err(DropReason::BadRtcp) };
        assert_eq!(Compound::parse(bytes).map(drop), expected, "{name}");
    }
}

#[test]
fn a_compound_is_sound_as_a_whole_or_refused() {
    let rr = empty_rr();
    let bye = packet(0x81, GOODBYE, &[0, 0, 0, 1]);
    let mut length_too_long = rr.clone();
    length_too_long[3] = 2;
    let version = |v: u8| packet(v << 6, RECEIVER_REPORT, &[0, 0, 0, 1]);
    check(&[
        ("empty RR", rr.clone(), true),
        ("RR and BYE", [rr.clone(), bye.clone()].concat(), true),
        ("nothing", vec![], false),
        ("three bytes", rr[..3].to_vec(), false),
        ("header only", packet(0x80, RECEIVER_REPORT, &[]), false),
        ("version 0", version(0), false),
        ("version 1", version(1), false),
        ("version 3", version(3), false),
        ("BYE first", [bye.clone(), rr.clone()].concat(), false),
        ("BYE alone", bye.clone(), false),
        ("SDES first", packet(0x80, SOURCE_DESCRIPTION, &[]), false),
        ("feedback first", packet(0x81, 205, &[0; 8]), false),
        ("length beyond the datagram", length_too_long, false),
        ("a byte left over", [rr.clone(), vec![0x80]].concat(), false),
        ("a word left over", [rr.clone(), vec![0; 4]].concat(), false),
        ("second has version 1", [rr.clone(), version(1)].concat(), false),
        ("unknown types are passed over", [rr.clone(), packet(0x9f, 255, &[7; 8])].concat(), true),
    ]);
}

#[test]
fn padding_is_for_the_last_packet_and_whole_words() {
    let rr = empty_rr();
    let padded = |padding: &[u8]| packet(0xa0, RECEIVER_REPORT, &[&[0, 0, 0, 1], padding].concat());
    check(&[
        ("one word", padded(&[0, 0, 0, 4]), true),
        ("two words", padded(&[0, 0, 0, 0, 0, 0, 0, 8]), true),
        ("none", padded(&[]), false),
        ("count of zero", padded(&[0, 0, 0, 0]), false),
        ("half a word", padded(&[0, 0, 0, 2]), false),
        ("reaches into the report", padded(&[0, 0, 0, 8]), false),
        ("beyond the packet", padded(&[0, 0, 0, 200]), false),
        ("on the first of two", [padded(&[0, 0, 0, 4]), rr.clone()].concat(), false),
        ("on the last of two", [rr, padded(&[0, 0, 0, 4])].concat(), true),
    ]);
}

#[test]
fn reports_hold_as_many_blocks_as_they_count() {
    let rr = |count: u8, len: usize| packet(0x80 | count, RECEIVER_REPORT, &vec![0; 4 + len]);
    let sr = |count: u8, len: usize| packet(0x80 | count, SENDER_REPORT, &vec![0; 24 + len]);
    check(&[
        ("RR of one", rr(1, 24), true),
        ("RR of one, a word short", rr(1, 20), false),
        ("RR of 31", rr(31, 31 * 24), true),
        ("RR with a profile's extension", rr(1, 32), true),
        ("SR of none", sr(0, 0), true),
        ("SR of one", sr(1, 24), true),
        ("SR of two, one there", sr(2, 24), false),
        ("SR without sender info", packet(0x80, SENDER_REPORT, &[0; 20]), false),
    ]);
}

#[test]
fn sdes_chunks_and_items_end_where_they_say() {
    let sdes = |count: u8, body: &[u8]| {
        [empty_rr(), packet(0x80 | count, SOURCE_DESCRIPTION, body)].concat()
    };
    check(&[
        ("no chunk", sdes(0, &[]), true),
        ("chunk without items", sdes(1, &[0, 0, 0, 1, 0, 0, 0, 0]), true),
        ("one item", sdes(1, &[0, 0, 0, 1, 1, 1, b'a', 0]), true),
        ("empty item", sdes(1, &[0, 0, 0, 1, 1, 0, 0, 0]), true),
        ("terminator in a word of its own", sdes(1, &[0, 0, 0, 1, 1, 2, 65, 66, 0, 0, 0, 0]), true),
        ("terminator left out at the end", sdes(1, &[0, 0, 0, 1, 1, 2, 65, 66]), true),
        ("chunk left out", sdes(1, &[]), false),
        ("second chunk left out", sdes(2, &[0, 0, 0, 1, 0, 0, 0, 0]), false),
        ("item too long", sdes(1, &[0, 0, 0, 1, 1, 3, 65, 66]), false),
        ("item without a length", sdes(1, &[0, 0, 0, 1, 1, 1, 65, 1]), false),
        ("words behind the chunks", sdes(1, &[0, 0, 0, 1, 0, 0, 0, 0, 9, 9, 9, 9]), true),
    ]);
}

#[test]
fn sdes_is_read_chunk_by_chunk() {
    let body = [
        &[0, 0, 0, 1, 1, 3, b'a', b'b', b'c', 6, 1, b'T', 0, 0, 0, 0][..],
        // A source whose first bytes are zero begins right behind the boundary.
        &[0, 0, 0, 2, 1, 2, b'x', b'y', 0, 0, 0, 0][..],
    ]
    .concat();
    let bytes = [empty_rr(), packet(0x82, SOURCE_DESCRIPTION, &body)].concat();
    let compound = Compound::parse(&bytes).expect("valid");
    let Some(RtcpPacket::Sdes(sdes)) = compound.packets().nth(1) else { panic!("{compound:?}") };
    let read: Vec<(u32, u8, &[u8])> = sdes
        .chunks()
        .flat_map(|chunk| chunk.items().map(move |item| (chunk.ssrc.0, item.kind, item.value)))
        .collect();
    assert_eq!(read, [(1, 1, &b"abc"[..]), (1, 6, b"T"), (2, 1, b"xy")]);
    assert_eq!(sdes.cname_of(Ssrc(2)), Some(&b"xy"[..]));
    assert_eq!(sdes.cname_of(Ssrc(3)), None);
}

#[test]
fn bye_names_its_sources_and_its_reason() {
    type Read<'a> = Option<(&'a [u32], Option<&'a str>)>;
    let rows: &[(u8, &[u8], Read)] = &[
        (0, &[], Some((&[], None))),
        (1, &[0, 0, 0, 9], Some((&[9], None))),
        (2, &[0, 0, 0, 9, 0, 0, 0, 8], Some((&[9, 8], None))),
        (1, &[0, 0, 0, 9, 3, b'b', b'y', b'e'], Some((&[9], Some("bye")))),
        (0, &[2, b'n', b'o', 0], Some((&[], Some("no")))),
        (1, &[0, 0, 0, 9, 0, 0, 0, 0], Some((&[9], None))),
        (2, &[0, 0, 0, 9], None),
        (1, &[0, 0, 0, 9, 4, b'b', b'y', b'e'], None),
    ];
    for (count, body, expected) in rows {
        let bytes = [empty_rr(), packet(0x80 | count, GOODBYE, body)].concat();
        let Some((sources, reason)) = expected else {
            assert_eq!(Compound::parse(&bytes).unwrap_err(), DropReason::BadRtcp, "{body:?}");
            continue;
        };
        let compound = Compound::parse(&bytes).expect("valid");
        let Some(RtcpPacket::Bye(bye)) = compound.packets().nth(1) else { panic!("{compound:?}") };
        assert_eq!(bye.sources().map(|ssrc| ssrc.0).collect::<Vec<_>>(), *sources);
        assert_eq!(bye.reason, reason.map(str::as_bytes));
    }
}

#[test]
fn reduced_size_is_accepted_only_when_asked_for() {
    let feedback = packet(0x81, 205, &[1; 8]);
    assert!(Compound::parse(&feedback).is_err());
    let compound = Compound::parse_reduced_size(&feedback).expect("sound in its frame");
    let packets: Vec<_> = compound.packets().collect();
    let [RtcpPacket::Unknown(packet)] = packets[..] else { panic!("{packets:?}") };
    assert_eq!(packet, UnknownPacket { packet_type: 205, count: 1, body: &[1; 8] });
    for cut in 0..feedback.len() {
        assert!(Compound::parse_reduced_size(&feedback[..cut]).is_err(), "{cut} bytes");
    }
}

#[test]
fn a_block_is_found_by_its_source() {
    let mut out = [0; 128];
    let other = ReportBlock { ssrc: Ssrc(7), cumulative_lost: LOST_LEAST, ..BLOCK };
    let len =
        CompoundWriter::receiver_report(&mut out, Ssrc(1), &[other, BLOCK]).expect("fits").finish();
    let compound = Compound::parse(&out[..len]).expect("ours");
    let Some(RtcpPacket::ReceiverReport(rr)) = compound.packets().next() else {
        panic!("{compound:?}")
    };
    assert_eq!(rr.blocks.about(BLOCK.ssrc), Some(BLOCK));
    assert_eq!(rr.blocks.about(Ssrc(7)), Some(other));
    assert_eq!(rr.blocks.about(Ssrc(8)), None);
    assert_eq!(rr.blocks.iter().len(), 2);
}

const LOST_LEAST: i32 = -0x80_0000;
