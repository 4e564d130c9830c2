//! RTCP: compound parsing and building, reception statistics, round-trip time (RFC 3550 §6).
//!
//! In: [`Compound::parse`] checks a datagram whole, then [`Compound::packets`] walks it.
//! Out: [`CompoundWriter`] starts with a report and may add CNAME and BYE.
//! Between the two: a [`Reception`] per source gives the [`ReportBlock`] to send, and
//! [`ReportBlock::round_trip`] reads the one that came back.

mod bye;
mod compound;
mod interval;
mod ntp;
mod reception;
mod report;
mod sdes;
mod write;

pub use bye::Bye;
pub use compound::{Compound, Packets, RtcpPacket, UnknownPacket};
pub use interval::report_interval;
pub use ntp::{NtpShort, NtpTime};
pub use reception::{Arrival, Reception};
pub use report::{ReceiverReport, ReportBlock, ReportBlocks, SenderInfo, SenderReport};
pub use sdes::{Sdes, SdesChunk, SdesItem};
pub use write::{CompoundWriter, WriteError};

/// Packet type of a sender report.
pub const SENDER_REPORT: u8 = 200;
/// Packet type of a receiver report.
pub const RECEIVER_REPORT: u8 = 201;
/// Packet type of a source description.
pub const SOURCE_DESCRIPTION: u8 = 202;
/// Packet type of a goodbye.
pub const GOODBYE: u8 = 203;

#[cfg(test)]
mod tests;
