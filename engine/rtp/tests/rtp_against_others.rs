//! The RTP parser and writer against two other implementations.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use rtc_shared::marshal::{Marshal, Unmarshal};
use vox_rtp::packet::Extension;
use vox_rtp::{DropReason, RtpHeader, RtpPacket, RtpTime, SeqNo, Ssrc};

/// Bytes that look like RTP more often than not: a first byte of any kind, lengths that mostly fit.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let structured = (any::<u8>(), csrcs(), extension(), vec(any::<u8>(), 0..40), damage())
        .prop_map(|(flags, csrcs, extension, payload, damage)| {
            let mut bytes =
                vec![0x80 | flags & 0x20 | csrcs.len() as u8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
            bytes[1] = flags.rotate_left(3);
            bytes.extend(csrcs.iter().flat_map(|csrc| csrc.to_be_bytes()));
            if let Some((profile, words)) = extension {
                bytes[0] |= 0x10;
                bytes.extend(profile.to_be_bytes());
                bytes.extend((words.len() as u16).to_be_bytes());
                bytes.extend(words.concat());
            }
            bytes.extend(payload);
            damage.apply(bytes)
        });
    prop_oneof![4 => structured, 1 => vec(any::<u8>(), 0..80)]
}

fn csrcs() -> impl Strategy<Value = Vec<u32>> {
    vec(any::<u32>(), 0..16)
}

fn extension() -> impl Strategy<Value = Option<(u16, Vec<[u8; 4]>)>> {
    let profile = prop_oneof![Just(0xbede), Just(0x1000), Just(0x1003), any::<u16>()];
    // Small bytes are short elements and padding.
    let byte = prop_oneof![0..0x20_u8, any::<u8>()];
    prop::option::of((profile, vec(prop::array::uniform4(byte), 0..6)))
}

/// What a network or an attacker does to a packet.
#[derive(Debug, Clone)]
struct Damage {
    overwrite: Vec<(prop::sample::Index, u8)>,
    keep: Option<prop::sample::Index>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let overwrite = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let keep = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (overwrite, keep).prop_map(|(overwrite, keep)| Damage { overwrite, keep })
}

impl Damage {
    fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for (at, value) in &self.overwrite {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if let Some(keep) = &self.keep {
            bytes.truncate(keep.index(bytes.len()));
        }
        bytes
    }
}

/// The elements of a one-byte or two-byte extension, or `None` when they do not fill it exactly.
fn clean_elements(extension: Extension) -> Option<Vec<(u8, Vec<u8>)>> {
    let bytes = extension.bytes;
    let mut elements = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (id, len, header_len) = match (extension.profile, bytes[at]) {
            (_, 0) => {
                at += 1;
                continue;
            }
            (0xbede, first) if matches!(first >> 4, 0 | 15) => return None,
            (0xbede, first) => (first >> 4, usize::from(first & 0xf) + 1, 1),
            (_, id) => (id, usize::from(*bytes.get(at + 1)?), 2),
        };
        at += header_len;
        elements.push((id, bytes.get(at..at + len)?.to_vec()));
        at += len;
    }
    Some(elements)
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(4_000) })]

    /// No exceptions: both follow RFC 3550 §5 to the letter.
    #[test]
    fn rtp_types_accepts_and_reads_the_same(bytes in datagram()) {
        let ours = RtpPacket::parse(&bytes);
        let theirs = rtp_types::RtpPacket::parse(&bytes);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "ours {:?} theirs {:?}", ours, theirs);
        let (Ok(ours), Ok(theirs)) = (ours, theirs) else { return Ok(()) };
        prop_assert_eq!(ours.header.marker, theirs.marker_bit());
        prop_assert_eq!(ours.header.payload_type, theirs.payload_type());
        prop_assert_eq!(ours.header.seq, SeqNo(theirs.sequence_number()));
        prop_assert_eq!(ours.header.time, RtpTime(theirs.timestamp()));
        prop_assert_eq!(ours.header.ssrc, Ssrc(theirs.ssrc()));
        prop_assert!(ours.csrcs().eq(theirs.csrc().map(Ssrc)));
        prop_assert_eq!(ours.extension.map(|e| (e.profile, e.bytes)), theirs.extension());
        prop_assert_eq!(ours.payload, theirs.payload());
    }

    /// Where rtc-rtp differs it is looser or stricter than the RFCs: it takes any version and a
    /// padding of zero (RFC 3550 §5.1), refuses a packet for a broken extension element, and reads an
    /// element that overruns its extension, or what stands behind one with id 15, as payload.
    #[test]
    fn rtc_rtp_accepts_and_reads_the_same(bytes in datagram()) {
        let ours = RtpPacket::parse(&bytes);
        let theirs = rtc_rtp::Packet::unmarshal(&mut Bytes::from(bytes.clone()));
        let ours = match ours {
            Ok(ours) => ours,
            Err(DropReason::BadVersion | DropReason::BadPadding) => return Ok(()),
            Err(_) => {
                prop_assert!(theirs.is_err());
                return Ok(());
            }
        };
        let elements = ours.extension.map(|extension| match extension.profile {
            0xbede | 0x1000 => clean_elements(extension),
            _ => Some(vec![(0, extension.bytes.to_vec())]),
        });
        let elements = match elements {
            Some(None) => return Ok(()),
            Some(Some(elements)) => elements,
            None => Vec::new(),
        };
        let theirs = theirs.expect("a sound packet");
        prop_assert_eq!(ours.header.marker, theirs.header.marker);
        prop_assert_eq!(ours.header.payload_type, theirs.header.payload_type);
        prop_assert_eq!(ours.header.seq, SeqNo(theirs.header.sequence_number));
        prop_assert_eq!(ours.header.time, RtpTime(theirs.header.timestamp));
        prop_assert_eq!(ours.header.ssrc, Ssrc(theirs.header.ssrc));
        prop_assert!(ours.csrcs().eq(theirs.header.csrc.iter().copied().map(Ssrc)));
        let theirs_elements = theirs.header.extensions.iter().map(|e| (e.id, e.payload.to_vec()));
        prop_assert!(theirs_elements.eq(elements.iter().cloned()));
        if ours.extension.is_some_and(|extension| matches!(extension.profile, 0xbede | 0x1000)) {
            prop_assert!(ours.elements().map(|e| (e.id, e.value.to_vec())).eq(elements));
        }
        prop_assert_eq!(ours.payload, &theirs.payload[..]);
    }

    #[test]
    fn what_we_write_they_read(
        marker: bool, payload_type in 0..128_u8, seq: u16, time: u32, ssrc: u32,
        payload in vec(any::<u8>(), 0..200),
    ) {
        let header =
            RtpHeader { marker, payload_type, seq: SeqNo(seq), time: RtpTime(time), ssrc: Ssrc(ssrc) };
        let mut bytes = vec![0xaa; RtpHeader::LEN + payload.len()];
        header.write(&mut bytes).copy_from_slice(&payload);

        let built = rtp_types::RtpPacketBuilder::<&[u8], &[u8]>::new()
            .marker_bit(marker)
            .payload_type(payload_type)
            .sequence_number(seq)
            .timestamp(time)
            .ssrc(ssrc)
            .payload(&payload[..])
            .write_vec()
            .expect("valid");
        prop_assert_eq!(&bytes, &built);

        let read = rtc_rtp::Packet::unmarshal(&mut Bytes::from(bytes.clone())).expect("valid");
        prop_assert_eq!(&read.payload[..], &payload[..]);
        prop_assert_eq!(read.marshal().expect("valid"), bytes);
    }

    #[test]
    fn what_they_write_we_read(
        (csrcs, extension) in (csrcs(), extension()), payload in vec(any::<u8>(), 0..50), padding: u8,
    ) {
        let words = extension.as_ref().map(|(profile, words)| (*profile, words.concat()));
        let mut builder = rtp_types::RtpPacketBuilder::<&[u8], &[u8]>::new().payload_type(0).payload(&payload[..]);
        for csrc in &csrcs {
            builder = builder.add_csrc(*csrc);
        }
        if let Some((profile, bytes)) = &words {
            builder = builder.extension(*profile, &bytes[..]);
        }
        if padding > 0 {
            builder = builder.padding(padding);
        }
        let bytes = builder.write_vec().expect("valid");
        let packet = RtpPacket::parse(&bytes).expect("valid");
        prop_assert_eq!(packet.payload, &payload[..]);
        prop_assert!(packet.csrcs().eq(csrcs.into_iter().map(Ssrc)));
        prop_assert_eq!(packet.extension.map(|e| (e.profile, e.bytes.to_vec())), words);
    }
}
