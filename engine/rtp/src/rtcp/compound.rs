use super::{
    Bye, GOODBYE, RECEIVER_REPORT, ReceiverReport, SENDER_REPORT, SOURCE_DESCRIPTION, Sdes,
    SenderReport,
};
use crate::DropReason;
use crate::packet::{PADDING_BIT, VERSION, strip_padding};

/// A datagram of RTCP packets that has been checked whole, so that walking it cannot fail.
#[derive(Debug, Clone, Copy)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks `bytes` by the rules of RFC 3550 §6.1 and §A.2: version 2 throughout, an SR or RR
    /// first, padding on the last packet only, lengths that add up; and each SR, RR, SDES and BYE
    /// holds what its count says.
    ///
    /// Two rules are not enforced because common peers break them: that an SDES with a CNAME is
    /// there (§6.1), and that the first packet is not padded even when it is also the last (§A.2).
    ///
    /// # Errors
    ///
    /// [`DropReason::BadRtcp`], whichever rule is broken.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let compound = Self::parse_reduced_size(bytes)?;
        // §A.2: the first packet must be a report, even if it is an empty one before a BYE.
        match bytes[1] {
            SENDER_REPORT | RECEIVER_REPORT => Ok(compound),
            _ => Err(DropReason::BadRtcp),
        }
    }

    /// The same without the rule that a report comes first (RFC 5506): for peers with which
    /// reduced-size RTCP was agreed.
    ///
    /// # Errors
    ///
    /// [`DropReason::BadRtcp`].
    pub fn parse_reduced_size(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let mut rest = bytes;
        loop {
            let (raw, behind) = RawPacket::split(rest).ok_or(DropReason::BadRtcp)?;
            if RtcpPacket::read(raw).is_none() {
                return Err(DropReason::BadRtcp);
            }
            if behind.is_empty() {
                return Ok(Self { bytes });
            }
            rest = behind;
        }
    }

    /// The packets in order, at least one.
    pub const fn packets(&self) -> Packets<'a> {
        Packets { rest: self.bytes }
    }
}

/// Iterator over the packets of a [`Compound`].
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = RtcpPacket<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (raw, rest) = RawPacket::split(self.rest)?;
        self.rest = rest;
        RtcpPacket::read(raw)
    }
}

/// One packet of a compound.
#[derive(Debug, Clone, Copy)]
pub enum RtcpPacket<'a> {
    /// SR: what a sender sent and what it heard.
    SenderReport(SenderReport<'a>),
    /// RR: what a receiver heard.
    ReceiverReport(ReceiverReport<'a>),
    /// SDES: who a source is.
    Sdes(Sdes<'a>),
    /// BYE: sources that leave.
    Bye(Bye<'a>),
    /// APP, feedback, extended reports and whatever else: sound in its frame, not looked into.
    Unknown(UnknownPacket<'a>),
}

impl<'a> RtcpPacket<'a> {
    fn read(raw: RawPacket<'a>) -> Option<Self> {
        let RawPacket { count, packet_type, body } = raw;
        Some(match packet_type {
            SENDER_REPORT => Self::SenderReport(SenderReport::read(count, body)?),
            RECEIVER_REPORT => Self::ReceiverReport(ReceiverReport::read(count, body)?),
            SOURCE_DESCRIPTION => Self::Sdes(Sdes::read(count, body)?),
            GOODBYE => Self::Bye(Bye::read(count, body)?),
            _ => Self::Unknown(UnknownPacket { packet_type, count, body }),
        })
    }
}

/// A packet of a type that this crate does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownPacket<'a> {
    /// Its packet type.
    pub packet_type: u8,
    /// The five bits beside the version: a count or a subtype.
    pub count: u8,
    /// What follows the first four bytes, without padding.
    pub body: &'a [u8],
}

/// One packet by its common header (RFC 3550 §6.4.1), padding removed.
#[derive(Debug, Clone, Copy)]
struct RawPacket<'a> {
    count: u8,
    packet_type: u8,
    body: &'a [u8],
}

impl<'a> RawPacket<'a> {
    /// Takes one packet off the front of `bytes`. `None` when it breaks a rule of its frame.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[first, packet_type, n0, n1], rest) = bytes.split_first_chunk()?;
        if first >> 6 != VERSION {
            return None;
        }
        let words = usize::from(u16::from_be_bytes([n0, n1]));
        let (body, rest) = rest.split_at_checked(words * 4)?;
        let body = match first & PADDING_BIT {
            0 => body,
            _ if !rest.is_empty() => return None,
            // §6.4.1: padding is counted in whole words.
            _ => strip_padding(body).filter(|kept| kept.len().is_multiple_of(4))?,
        };
        Some((Self { count: first & 0x1f, packet_type, body }, rest))
    }
}
