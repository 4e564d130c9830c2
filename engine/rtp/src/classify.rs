/// What a datagram on a media port is (RFC 7983 §7, and RFC 5761 §4 between RTP and RTCP).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datagram {
    /// RTP.
    Rtp,
    /// RTCP.
    Rtcp,
    /// STUN.
    Stun,
    /// DTLS.
    Dtls,
    /// TURN channel data.
    TurnChannel,
    /// ZRTP.
    Zrtp,
    /// None of these.
    Unknown,
}

/// Classifies by the first two bytes; never looks further.
///
/// A lone byte that would start RTP is [`Datagram::Rtp`], so that it is counted as truncated.
pub const fn classify(bytes: &[u8]) -> Datagram {
    match bytes {
        [0..=3, ..] => Datagram::Stun,
        [16..=19, ..] => Datagram::Zrtp,
        [20..=63, ..] => Datagram::Dtls,
        [64..=79, ..] => Datagram::TurnChannel,
        // RFC 5761 §4: RTCP's packet types are what RTP would read as the marker with payload type
        // 64..=95, which is why those payload types are never negotiated.
        [128..=191, 192..=223, ..] => Datagram::Rtcp,
        [128..=191, ..] => Datagram::Rtp,
        _ => Datagram::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_has_its_protocol() {
        let ranges = [
            (0..=3, Datagram::Stun),
            (4..=15, Datagram::Unknown),
            (16..=19, Datagram::Zrtp),
            (20..=63, Datagram::Dtls),
            (64..=79, Datagram::TurnChannel),
            (80..=127, Datagram::Unknown),
            (128..=191, Datagram::Rtp),
            (192..=255, Datagram::Unknown),
        ];
        let mut seen = 0;
        for (range, expected) in ranges {
            for first in range {
                assert_eq!(classify(&[first]), expected, "{first}");
                assert_eq!(classify(&[first, 0, 0]), expected, "{first}");
                seen += 1;
            }
        }
        assert_eq!(seen, 256);
        assert_eq!(classify(&[]), Datagram::Unknown);
    }

    #[test]
    fn the_second_byte_tells_rtcp_from_rtp() {
        for second in 0..=255 {
            let expected = match second {
                192..=223 => Datagram::Rtcp,
                _ => Datagram::Rtp,
            };
            assert_eq!(classify(&[0x80, second]), expected, "{second}");
            assert_eq!(classify(&[0xbf, second]), expected, "{second}");
        }
    }
}
