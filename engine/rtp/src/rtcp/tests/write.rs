use std::vec::Vec;

use super::*;

#[test]
fn a_sender_report_with_name_and_goodbye_has_every_byte_in_its_place() {
    let mut out = [0xee; 128];
    let len = CompoundWriter::sender_report(&mut out, Ssrc(0x7172_7374), &INFO, &[BLOCK])
        .and_then(|writer| writer.cname(Ssrc(0x7172_7374), b"vox"))
        .and_then(|writer| writer.bye(&[Ssrc(0x7172_7374)], b"done"))
        .expect("fits")
        .finish();
    let expected = [
        &[0x81, 200, 0, 12, 0x71, 0x72, 0x73, 0x74][..],
        &[0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x91, 0x92, 0x93, 0x94],
        &[0xa1, 0xa2, 0xa3, 0xa4, 0xb1, 0xb2, 0xb3, 0xb4],
        &[1, 2, 3, 4, 5, 0xff, 0xff, 0xfa, 7, 8, 9, 10, 11, 12, 13, 14],
        &[15, 16, 17, 18, 19, 20, 21, 22],
        &[0x81, 202, 0, 3, 0x71, 0x72, 0x73, 0x74, 1, 3, b'v', b'o', b'x', 0, 0, 0],
        &[0x81, 203, 0, 3, 0x71, 0x72, 0x73, 0x74, 4, b'd', b'o', b'n', b'e', 0, 0, 0],
    ]
    .concat();
    assert_eq!(out[..len], expected);
    assert!(out[len..].iter().all(|&b| b == 0xee), "nothing is written behind the packet");
}

#[test]
fn texts_of_every_length_are_padded_to_whole_words() {
    let text: Vec<u8> = (0..=255).map(|i| b'a' + i % 26).collect();
    for len in 0..=255 {
        let mut out = [0xee; 600];
        let cname = &text[..len];
        let written = CompoundWriter::receiver_report(&mut out, Ssrc(1), &[])
            .and_then(|writer| writer.cname(Ssrc(1), cname))
            .and_then(|writer| writer.bye(&[Ssrc(1), Ssrc(2)], cname))
            .expect("fits")
            .finish();
        let compound = Compound::parse(&out[..written]).expect("ours");
        let packets: Vec<_> = compound.packets().collect();
        let [RtcpPacket::ReceiverReport(_), RtcpPacket::Sdes(sdes), RtcpPacket::Bye(bye)] =
            packets[..]
        else {
            panic!("{packets:?}")
        };
        assert_eq!(sdes.cname_of(Ssrc(1)), Some(cname));
        assert_eq!(bye.reason.unwrap_or_default(), cname);
        assert!(bye.sources().eq([Ssrc(1), Ssrc(2)]));
    }
}

#[test]
fn a_buffer_that_is_too_small_is_refused_at_every_length() {
    let write = |out: &mut [u8]| {
        CompoundWriter::sender_report(out, Ssrc(1), &INFO, &[BLOCK])
            .and_then(|writer| writer.cname(Ssrc(1), b"name"))
            .and_then(|writer| writer.bye(&[Ssrc(1)], b"reason"))
            .map(CompoundWriter::finish)
    };
    let mut out = [0; 256];
    let needed = write(&mut out).expect("fits");
    for len in 0..needed {
        assert_eq!(write(&mut out[..len]), Err(WriteError::NoRoom), "{len} of {needed}");
    }
    assert_eq!(write(&mut out[..needed]), Ok(needed));
}

#[test]
fn counts_and_texts_out_of_range_are_refused() {
    let mut out = [0; 2_000];
    let blocks = [BLOCK; 32];
    let mut check = |write: fn(CompoundWriter) -> Result<CompoundWriter, WriteError>, expected| {
        let writer = CompoundWriter::receiver_report(&mut out, Ssrc(1), &[]).expect("fits");
        assert_eq!(write(writer).map(drop), Err(expected));
    };
    check(|writer| writer.bye(&[Ssrc(1); 32], b""), WriteError::TooMany);
    check(|writer| writer.bye(&[], &[b'a'; 256]), WriteError::TooLong);
    check(|writer| writer.cname(Ssrc(1), &[b'a'; 256]), WriteError::TooLong);
    let receiver = CompoundWriter::receiver_report(&mut out, Ssrc(1), &blocks).map(drop);
    assert_eq!(receiver, Err(WriteError::TooMany));
    let sender = CompoundWriter::sender_report(&mut out, Ssrc(1), &INFO, &blocks).map(drop);
    assert_eq!(sender, Err(WriteError::TooMany));
    assert!(CompoundWriter::receiver_report(&mut out, Ssrc(1), &blocks[..31]).is_ok());
}

#[test]
fn cumulative_loss_is_clamped_to_24_bits() {
    for (lost, read) in [
        (0, 0),
        (-1, -1),
        (0x7f_ffff, 0x7f_ffff),
        (0x80_0000, 0x7f_ffff),
        (i32::MAX, 0x7f_ffff),
        (-0x80_0000, -0x80_0000),
        (i32::MIN, -0x80_0000),
    ] {
        let mut out = [0; 32];
        let block = ReportBlock { cumulative_lost: lost, ..BLOCK };
        let len = CompoundWriter::receiver_report(&mut out, Ssrc(1), &[block]).unwrap().finish();
        let compound = Compound::parse(&out[..len]).expect("ours");
        let Some(RtcpPacket::ReceiverReport(rr)) = compound.packets().next() else { panic!() };
        assert_eq!(rr.blocks.iter().next().map(|b| b.cumulative_lost), Some(read), "{lost}");
    }
}
