//! telephone-event (RFC 4733): the payload, one press per key from what arrives
//! ([`EventReceiver`]), and the packets of a press to send ([`EventSender`]).

mod receiver;
mod sender;

pub use receiver::{EventReceiver, PressUpdate};
pub use sender::{EventPacket, EventSender, EventTiming};

use crate::{DropReason, RtpTime};

/// One telephone-event payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// Event code, 0..=15 for DTMF.
    pub code: u8,
    /// The end bit.
    pub end: bool,
    /// Power in −dBm0, 0..=63.
    pub volume: u8,
    /// Duration in timestamp units.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Bytes of one event.
    pub const LEN: usize = 4;

    /// Parses the first event of a payload. Bytes behind it are further events or of no use to us
    /// ([`Self::parse_all`]); the reserved bit is ignored (RFC 4733 §2.3.3).
    ///
    /// # Errors
    ///
    /// [`DropReason::BadPayload`] when there are fewer than four bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, DropReason> {
        let (event, _) = payload.split_first_chunk().ok_or(DropReason::BadPayload)?;
        Ok(Self::read(event))
    }

    /// All events of a payload with the time each began (RFC 4733 §2.5.1.5: each begins where the
    /// one before it ends). `time` is the packet's timestamp.
    pub fn parse_all(payload: &[u8], time: RtpTime) -> impl Iterator<Item = (RtpTime, Self)> {
        let (events, _) = payload.as_chunks::<{ Self::LEN }>();
        events.iter().map(Self::read).scan(time, |start, event| {
            let began = *start;
            *start = began.plus(i32::from(event.duration));
            Some((began, event))
        })
    }

    /// Writes the four bytes and returns their number.
    ///
    /// # Panics
    ///
    /// When `out` is shorter than [`Self::LEN`]: it is the caller's own send slot.
    pub fn write(&self, out: &mut [u8]) -> usize {
        let [d0, d1] = self.duration.to_be_bytes();
        let flags = u8::from(self.end) << 7 | self.volume.min(VOLUME_MAX);
        out[..Self::LEN].copy_from_slice(&[self.code, flags, d0, d1]);
        Self::LEN
    }

    /// The digit of an event code, `0-9 * # A-D`.
    pub const fn digit(&self) -> Option<char> {
        digit_of(self.code)
    }

    const fn read(bytes: &[u8; Self::LEN]) -> Self {
        let [code, flags, d0, d1] = *bytes;
        Self {
            code,
            end: flags & 0x80 != 0,
            volume: flags & VOLUME_MAX,
            duration: u16::from_be_bytes([d0, d1]),
        }
    }
}

/// The digit of a DTMF event code (RFC 4733 §3.2), `None` for 16 and above.
pub const fn digit_of(code: u8) -> Option<char> {
    match code {
        0..=15 => Some(DIGITS[code as usize] as char),
        _ => None,
    }
}

/// The event code of a digit, `0-9 * # A-D`; lower case counts.
pub const fn code_of(digit: char) -> Option<u8> {
    match digit {
        '0'..='9' => Some(digit as u8 - b'0'),
        '*' => Some(10),
        '#' => Some(11),
        'A'..='D' => Some(digit as u8 - b'A' + 12),
        'a'..='d' => Some(digit as u8 - b'a' + 12),
        _ => None,
    }
}

const DIGITS: [u8; 16] = *b"0123456789*#ABCD";
const VOLUME_MAX: u8 = 0x3f;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_payload_is_read_field_by_field() {
        let event = |code, end, volume, duration| TelephoneEvent { code, end, volume, duration };
        let rows: &[(&[u8], Result<TelephoneEvent, DropReason>)] = &[
            (&[1, 10, 0, 160], Ok(event(1, false, 10, 160))),
            (&[11, 0x8a, 3, 0x20], Ok(event(11, true, 10, 800))),
            (&[0, 0x40, 0, 0], Ok(event(0, false, 0, 0))),
            (&[255, 0xff, 255, 255], Ok(event(255, true, 63, 65_535))),
            (&[5, 10, 0, 160, 6, 10, 0, 80], Ok(event(5, false, 10, 160))),
            (&[5, 10, 0], Err(DropReason::BadPayload)),
            (&[], Err(DropReason::BadPayload)),
        ];
        for (payload, expected) in rows {
            assert_eq!(TelephoneEvent::parse(payload), *expected, "{payload:?}");
        }
    }

    #[test]
    fn packed_events_begin_where_the_one_before_ends() {
        let payload = [1, 0x80, 0, 200, 2, 0x80, 0, 100, 3, 0, 0, 50, 9, 9];
        let starts: Vec<_> = TelephoneEvent::parse_all(&payload, RtpTime(u32::MAX - 99))
            .map(|(start, event)| (start.0, event.code))
            .collect();
        assert_eq!(starts, [(u32::MAX - 99, 1), (100, 2), (200, 3)]);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for code in 0..=255 {
            for (end, volume, duration) in [(false, 0, 0), (true, 63, 65_535), (true, 10, 1_600)] {
                let event = TelephoneEvent { code, end, volume, duration };
                let mut out = [0; 6];
                assert_eq!(event.write(&mut out), 4);
                assert_eq!(TelephoneEvent::parse(&out), Ok(event));
            }
        }
        let mut out = [0; 4];
        TelephoneEvent { code: 1, end: false, volume: 200, duration: 0 }.write(&mut out);
        assert_eq!(out[1], 63, "a volume out of range cannot set the end bit");
    }

    #[test]
    fn digits_and_codes_agree() {
        for (code, digit) in "0123456789*#ABCD".chars().enumerate() {
            assert_eq!(digit_of(code as u8), Some(digit));
            assert_eq!(code_of(digit), Some(code as u8));
        }
        assert_eq!(code_of('d'), Some(15));
        assert_eq!((digit_of(16), code_of('E'), code_of(' ')), (None, None, None));
    }
}
