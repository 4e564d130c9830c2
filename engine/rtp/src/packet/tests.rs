use std::vec::Vec;

use super::*;

const FIXED: [u8; 12] = [0x80, 0xe0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

/// The fixed header with `first` as its first byte, and `rest` behind it.
fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = FIXED.to_vec();
    bytes[0] = first;
    bytes.extend_from_slice(rest);
    bytes
}

#[test]
fn every_rule_of_the_header_has_its_drop_reason() {
    use DropReason::{BadPadding, BadVersion, Truncated};

    type Row<'a> = (&'a str, u8, &'a [u8], Result<&'a [u8], DropReason>);
    let rows: &[Row] = &[
        ("no payload", 0x80, &[], Ok(&[])),
        ("payload", 0x80, &[1, 2, 3], Ok(&[1, 2, 3])),
        ("version 0", 0x00, &[1], Err(BadVersion)),
        ("version 1", 0x40, &[1], Err(BadVersion)),
        ("version 3", 0xc0, &[1], Err(BadVersion)),
        ("one CSRC", 0x81, &[0, 0, 0, 7, 9], Ok(&[9])),
        ("CSRC cut off", 0x81, &[0, 0, 0], Err(Truncated)),
        ("15 CSRCs, 14 there", 0x8f, &[0; 56], Err(Truncated)),
        ("15 CSRCs", 0x8f, &[0; 60], Ok(&[])),
        ("extension without words", 0x90, &[0xbe, 0xde, 0, 0, 9], Ok(&[9])),
        ("extension of one word", 0x90, &[0xbe, 0xde, 0, 1, 1, 2, 3, 4, 9], Ok(&[9])),
        ("extension header cut off", 0x90, &[0xbe, 0xde, 0], Err(Truncated)),
        ("extension cut off", 0x90, &[0xbe, 0xde, 0, 1, 1, 2, 3], Err(Truncated)),
        ("extension of 65,535 words", 0x90, &[0xbe, 0xde, 255, 255], Err(Truncated)),
        ("CSRC and extension", 0x91, &[0, 0, 0, 7, 1, 2, 0, 0, 9], Ok(&[9])),
        ("padding of one", 0xa0, &[5, 1], Ok(&[5])),
        ("padding of four", 0xa0, &[5, 0, 0, 0, 4], Ok(&[5])),
        ("padding is everything", 0xa0, &[0, 0, 3], Ok(&[])),
        ("padding of zero", 0xa0, &[5, 0], Err(BadPadding)),
        ("padding reaches into the header", 0xa0, &[5, 3], Err(BadPadding)),
        ("padding but no byte", 0xa0, &[], Err(BadPadding)),
        ("padding may not eat the extension", 0xb0, &[0, 0, 0, 0, 2], Err(BadPadding)),
    ];
    for (name, first, rest, expected) in rows {
        let bytes = packet(*first, rest);
        assert_eq!(RtpPacket::parse(&bytes).map(|packet| packet.payload), *expected, "{name}");
    }
    for len in 0..RtpHeader::LEN {
        assert_eq!(RtpPacket::parse(&FIXED[..len]).unwrap_err(), Truncated, "{len} bytes");
    }
}

#[test]
fn header_fields_are_read_from_their_places() {
    let bytes = packet(0x82, &[0, 0, 0, 1, 0xff, 0, 0, 2]);
    let packet = RtpPacket::parse(&bytes).expect("valid");
    let expected = RtpHeader {
        marker: true,
        payload_type: 96,
        seq: SeqNo(0x0102),
        time: RtpTime(0x0304_0506),
        ssrc: Ssrc(0x0708_090a),
    };
    assert_eq!(packet.header, expected);
    assert_eq!(packet.csrcs().collect::<Vec<_>>(), [Ssrc(1), Ssrc(0xff00_0002)]);
    assert_eq!(packet.extension, None);
    assert_eq!(packet.elements().count(), 0);
}

#[test]
fn a_written_header_parses_to_itself_with_the_payload_in_place() {
    for (marker, payload_type) in [(false, 0), (true, 0), (false, 127), (true, 101)] {
        let header = RtpHeader {
            marker,
            payload_type,
            seq: SeqNo(0xfffe),
            time: RtpTime(0x8000_0001),
            ssrc: Ssrc(0xdead_beef),
        };
        let mut slot = [0xaa; 20];
        header.write(&mut slot)[..3].copy_from_slice(&[1, 2, 3]);
        let packet = RtpPacket::parse(&slot[..RtpHeader::LEN + 3]).expect("ours");
        assert_eq!(packet.header, header);
        assert_eq!(packet.payload, [1, 2, 3]);
        assert_eq!(slot[15..], [0xaa; 5]);
    }
}

#[test]
fn a_payload_type_out_of_range_cannot_set_the_marker() {
    let header = RtpHeader {
        marker: false,
        payload_type: 0x80 | 8,
        seq: SeqNo(0),
        time: RtpTime(0),
        ssrc: Ssrc(0),
    };
    let mut slot = [0; RtpHeader::LEN];
    header.write(&mut slot);
    assert_eq!(slot[1], 8);
}

#[test]
fn extension_elements_follow_rfc_8285() {
    type Row<'a> = (&'a str, u16, &'a [u8], &'a [(u8, &'a [u8])]);
    let rows: &[Row] = &[
        ("nothing", 0xbede, &[], &[]),
        ("all padding", 0xbede, &[0; 8], &[]),
        ("one byte long", 0xbede, &[0x10, 0xaa, 0, 0], &[(1, &[0xaa])]),
        ("padding between", 0xbede, &[0x10, 1, 0, 0, 0x21, 2, 3, 0], &[(1, &[1]), (2, &[2, 3])]),
        ("id 15 ends it", 0xbede, &[0x10, 1, 0xf0, 7, 0x20, 1, 0, 0], &[(1, &[1])]),
        ("id 0 with a length ends it", 0xbede, &[0x10, 1, 0x01, 7, 7, 0x20, 1, 0], &[(1, &[1])]),
        ("value cut off", 0xbede, &[0x10, 1, 0x23, 1], &[(1, &[1])]),
        ("two-byte form", 0x1000, &[1, 0, 200, 2, 8, 9, 0, 0], &[(1, &[]), (200, &[8, 9])]),
        ("appbits do not matter", 0x100f, &[15, 1, 5, 0], &[(15, &[5])]),
        ("length byte cut off", 0x1000, &[1, 1, 5, 9], &[(1, &[5])]),
        ("two-byte value cut off", 0x1000, &[1, 4, 5, 9], &[]),
        ("another profile", 0x1010, &[1, 1, 5, 0], &[]),
    ];
    for (name, profile, bytes, expected) in rows {
        let mut raw = profile.to_be_bytes().to_vec();
        raw.extend_from_slice(&((bytes.len() / 4) as u16).to_be_bytes());
        raw.extend_from_slice(bytes);
        raw.push(0x55);
        let raw = packet(0x90, &raw);
        let packet = RtpPacket::parse(&raw).expect(name);
        let elements: Vec<_> = packet.elements().map(|e| (e.id, e.value)).collect();
        assert_eq!(elements, *expected, "{name}");
        let extension = packet.extension.expect("X is set");
        assert_eq!((extension.profile, extension.bytes), (*profile, *bytes), "{name}");
        assert_eq!(packet.payload, [0x55], "{name}: broken elements never cost the payload");
    }
}
