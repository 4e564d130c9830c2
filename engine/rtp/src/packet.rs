//! The RTP packet as a view over borrowed bytes.  (owner: rtp)
use crate::{DropReason, RtpTime, SeqNo, Ssrc};
/// The fixed header's fields, copied out (12 bytes' worth).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHeader {
    /// Marker.
    pub marker: bool,
    /// Payload type, 0..=127.
    pub payload_type: u8,
    /// Sequence number.
    pub seq: SeqNo,
    /// Timestamp.
    pub time: RtpTime,
    /// Source.
    pub ssrc: Ssrc,
}
impl RtpHeader {
    /// Bytes of the fixed header without CSRC or extension.
    pub const LEN: usize = 12;
    /// Writes the header to the front of `out` (at least [`Self::LEN`] bytes), so that the payload
    /// can be encoded right behind it.
    pub fn write(&self, out: &mut [u8]) {
        unimplemented!("{out:?}")
    }
}
/// A parsed RTP packet over borrowed bytes (also: csrcs(), extensions() iterators: add).
#[derive(Debug, Clone, Copy)]
pub struct RtpPacket<'a> {
    /// Header fields.
    pub header: RtpHeader,
    /// Payload without padding.
    pub payload: &'a [u8],
}
impl<'a> RtpPacket<'a> {
    /// Parses and validates `bytes` whole.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DropReason> {
        unimplemented!("{bytes:?}")
    }
}
