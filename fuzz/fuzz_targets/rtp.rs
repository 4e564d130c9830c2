//! Any datagram through the RTP parser.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vox_rtp::{Datagram, RtpHeader, RtpPacket, classify};

fuzz_target!(|bytes: &[u8]| {
    let kind = classify(bytes);
    let Ok(packet) = RtpPacket::parse(bytes) else {
        return;
    };
    assert!(matches!(kind, Datagram::Rtp | Datagram::Rtcp), "version 2 is one of the two");

    // Header, CSRCs, extension, payload and padding are all there is.
    let extension_len = packet.extension.map_or(0, |extension| 4 + extension.bytes.len());
    let header_len = RtpHeader::LEN + packet.csrcs().len() * 4 + extension_len;
    let padding_len = bytes.len() - header_len - packet.payload.len();
    match bytes[0] & 0x20 {
        0 => assert_eq!(padding_len, 0),
        _ => assert_eq!(padding_len, usize::from(bytes[bytes.len() - 1])),
    }
    assert_eq!(packet.payload, &bytes[header_len..][..packet.payload.len()]);

    let elements_len: usize = packet.elements().map(|element| 1 + element.value.len()).sum();
    assert!(elements_len <= extension_len);
    assert!(packet.elements().all(|element| element.id != 0));

    // A header without CSRC, extension and padding is written back as it came.
    let mut written = [0; RtpHeader::LEN];
    packet.header.write(&mut written);
    assert_eq!(written[1..], bytes[1..RtpHeader::LEN]);
});
