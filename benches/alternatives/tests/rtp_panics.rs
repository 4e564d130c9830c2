//! Decision 0002: twenty bytes from the network end a task that parses them with `rtp` 0.17, and
//! are a packet or a counted drop to `vox-rtp`.

use std::panic::{self, AssertUnwindSafe};

use vox_rtp::{DropReason, RtpPacket};
use webrtc_util::marshal::Unmarshal as _;

/// A header (RFC 3550 §5.1) and one word of extension (RFC 8285 §4.2), whose only element says
/// that it is 16 bytes long and has three.
const OVERLONG_ELEMENT: [u8; 20] =
    [0x90, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0, 1, 0x1f, 0, 0, 0];

#[test]
fn an_element_longer_than_its_packet_panics_rtp_and_is_skipped_by_ours() {
    assert!(panics(&OVERLONG_ELEMENT));
    let packet = RtpPacket::parse(&OVERLONG_ELEMENT).expect("its fixed part is sound");
    assert_eq!(packet.elements().count(), 0);
    assert_eq!(packet.payload, []);
}

#[test]
fn the_same_packet_with_a_padding_bit_panics_rtp_and_is_a_counted_drop_to_ours() {
    let mut packet = OVERLONG_ELEMENT;
    packet[0] |= 0x20;
    assert!(panics(&packet));
    assert_eq!(RtpPacket::parse(&packet).unwrap_err(), DropReason::BadPadding);
}

#[test]
fn random_twenty_bytes_find_the_panic_soon_and_never_one_of_ours() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut panicked = 0;
    for _ in 0..20_000 {
        // Version 2 with an extension of the one-byte form; the rest is whatever comes.
        let mut packet: [u8; 20] = std::array::from_fn(|_| random.next());
        packet[0] = 0x90 | packet[0] & 0x2f;
        let extension = 12 + usize::from(packet[0] & 0x0f) * 4;
        if let Some(header) = packet.get_mut(extension..extension + 4) {
            header.copy_from_slice(&[0xbe, 0xde, 0, 1]);
        }
        panicked += u32::from(panics(&packet));
        if let Ok(ours) = RtpPacket::parse(&packet) {
            assert!(ours.elements().all(|element| element.value.len() <= 3));
        }
    }
    println!("{panicked} of 20,000 packets panic rtp");
    assert!(panicked > 0);
}

/// Whether `rtp` panics on this packet.
fn panics(packet: &[u8; 20]) -> bool {
    let parse = || drop(rtp::packet::Packet::unmarshal(&mut &packet[..]));
    // Only what is asked for here is silent.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let outcome = panic::catch_unwind(AssertUnwindSafe(parse));
    panic::set_hook(hook);
    outcome.is_err()
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u8
    }
}
