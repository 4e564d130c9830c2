//! The least of Ogg (RFC 3533) and its Opus mapping (RFC 7845) that `opusenc` and `opusdec` need.

/// A stream of Opus packets of `packet_samples` at 48 kHz each, mono, nothing skipped.
pub(crate) fn wrap(packets: &[Vec<u8>], packet_samples: u64) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x01".to_vec();
    // Pre-skip, input rate, gain, mapping family.
    head.extend_from_slice(&0u16.to_le_bytes());
    head.extend_from_slice(&16_000u32.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0]);
    let tags = b"OpusTags\x04\0\0\0test\0\0\0\0";
    let mut stream = page(0x02, 0, 0, &head);
    stream.extend(page(0, 0, 1, tags));
    for (index, packet) in packets.iter().enumerate() {
        let last = index + 1 == packets.len();
        let granule = (index as u64 + 1) * packet_samples;
        let sequence = u32::try_from(index).unwrap() + 2;
        stream.extend(page(if last { 0x04 } else { 0 }, granule, sequence, packet));
    }
    stream
}

/// The audio packets of a stream, and the samples at 48 kHz that its header says to skip.
pub(crate) fn unwrap(stream: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let (mut packets, mut packet, mut rest) = (Vec::new(), Vec::new(), stream);
    while !rest.is_empty() {
        assert_eq!(&rest[..4], b"OggS");
        let segments = usize::from(rest[26]);
        let (lacing, mut body) = rest[27..].split_at(segments);
        for length in lacing {
            let (segment, after) = body.split_at(usize::from(*length));
            packet.extend_from_slice(segment);
            if *length < 255 {
                packets.push(std::mem::take(&mut packet));
            }
            body = after;
        }
        rest = body;
    }
    let head = packets.remove(0);
    assert!(packets.remove(0).starts_with(b"OpusTags"));
    (packets, u16::from_le_bytes([head[10], head[11]]).into())
}

fn page(flags: u8, granule: u64, sequence: u32, packet: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend_from_slice(&granule.to_le_bytes());
    page.extend_from_slice(&1u32.to_le_bytes());
    page.extend_from_slice(&sequence.to_le_bytes());
    page.extend_from_slice(&[0; 4]);
    let mut lacing = vec![255; packet.len() / 255];
    lacing.push((packet.len() % 255) as u8);
    page.push(lacing.len() as u8);
    page.extend_from_slice(&lacing);
    page.extend_from_slice(packet);
    let checksum = crc(&page).to_le_bytes();
    page[22..26].copy_from_slice(&checksum);
    page
}

/// RFC 3533 §6: polynomial 0x04C11DB7, not reflected.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 }
        })
    })
}
