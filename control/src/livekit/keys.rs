//! A phone's keys, which come and go as data packets: there are no telephone-events in a room.

use livekit_protocol::{DataPacket, SipDtmf, data_packet};
use prost::Message as _;

/// A key that a phone reports.
pub(super) fn pressed(bytes: &[u8]) -> Option<char> {
    let packet = DataPacket::decode(bytes).ok()?;
    let Some(data_packet::Value::SipDtmf(SipDtmf { digit, .. })) = packet.value else {
        return None;
    };
    let digit = digit.chars().next()?.to_ascii_uppercase();
    KEYS.contains(digit).then_some(digit)
}

/// What has a phone's gateway press a key (RFC 4733 §3.2 for the code).
pub(super) fn press(digit: char) -> Vec<u8> {
    let code = KEYS.find(digit).unwrap_or_default() as u32;
    let dtmf = SipDtmf { code, digit: digit.to_string() };
    let value = Some(data_packet::Value::SipDtmf(dtmf));
    DataPacket { value, ..DataPacket::default() }.encode_to_vec()
}

/// By their codes.
const KEYS: &str = "0123456789*#ABCD";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pressed_is_read_and_anything_else_is_nothing() {
        for key in KEYS.chars() {
            assert_eq!(pressed(&press(key)), Some(key));
        }
        assert_eq!(pressed(&press('x')), None);
        assert_eq!(pressed(b"\xff\xff"), None);
        assert_eq!(pressed(&[]), None);
    }
}
