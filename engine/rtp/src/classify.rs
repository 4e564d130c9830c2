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
pub const fn classify(bytes: &[u8]) -> Datagram {
    let _ = bytes;
    unimplemented!()
}
