use core::fmt;

use super::{
    GOODBYE, RECEIVER_REPORT, ReportBlock, SENDER_REPORT, SOURCE_DESCRIPTION, SdesItem, SenderInfo,
};
use crate::Ssrc;
use crate::packet::VERSION;

/// Builds a compound packet in the caller's buffer. Starts with a report, as RFC 3550 §6.1 wants.
#[derive(Debug)]
pub struct CompoundWriter<'b> {
    out: &'b mut [u8],
    /// In 0..=out.len(), a multiple of 4.
    len: usize,
}

impl<'b> CompoundWriter<'b> {
    /// Starts with a sender report, `blocks` about the sources heard since the last one.
    ///
    /// # Errors
    ///
    /// When it does not fit, or there are more than 31 blocks.
    pub fn sender_report(
        out: &'b mut [u8],
        ssrc: Ssrc,
        info: &SenderInfo,
        blocks: &[ReportBlock],
    ) -> Result<Self, WriteError> {
        let body_len = 4 + SenderInfo::LEN + blocks.len() * ReportBlock::LEN;
        let mut writer = Self { out, len: 0 };
        writer.header(SENDER_REPORT, blocks.len(), body_len)?;
        writer.put(&ssrc.0.to_be_bytes());
        writer.put(&info.to_bytes());
        writer.blocks(blocks);
        Ok(writer)
    }

    /// Starts with a receiver report: nothing was sent since the last but one report.
    ///
    /// # Errors
    ///
    /// When it does not fit, or there are more than 31 blocks.
    pub fn receiver_report(
        out: &'b mut [u8],
        ssrc: Ssrc,
        blocks: &[ReportBlock],
    ) -> Result<Self, WriteError> {
        let body_len = 4 + blocks.len() * ReportBlock::LEN;
        let mut writer = Self { out, len: 0 };
        writer.header(RECEIVER_REPORT, blocks.len(), body_len)?;
        writer.put(&ssrc.0.to_be_bytes());
        writer.blocks(blocks);
        Ok(writer)
    }

    /// Adds a source description with the canonical name of `ssrc`.
    ///
    /// # Errors
    ///
    /// When it does not fit, or the name is longer than 255 bytes.
    pub fn cname(mut self, ssrc: Ssrc, cname: &[u8]) -> Result<Self, WriteError> {
        let len = u8::try_from(cname.len()).map_err(|_| WriteError::TooLong)?;
        // One to four null bytes end the chunk.
        let items_len = (2 + cname.len() + 1).next_multiple_of(4);
        self.header(SOURCE_DESCRIPTION, 1, 4 + items_len)?;
        self.put(&ssrc.0.to_be_bytes());
        self.put(&[SdesItem::CNAME, len]);
        self.put(cname);
        self.zeros_to_boundary(1);
        Ok(self)
    }

    /// Adds a goodbye of `sources`; an empty `reason` is left out.
    ///
    /// # Errors
    ///
    /// When it does not fit, there are more than 31 sources, or the reason is longer than 255 bytes.
    pub fn bye(mut self, sources: &[Ssrc], reason: &[u8]) -> Result<Self, WriteError> {
        let len = u8::try_from(reason.len()).map_err(|_| WriteError::TooLong)?;
        let reason_len = if reason.is_empty() { 0 } else { (1 + reason.len()).next_multiple_of(4) };
        self.header(GOODBYE, sources.len(), sources.len() * 4 + reason_len)?;
        for ssrc in sources {
            self.put(&ssrc.0.to_be_bytes());
        }
        if !reason.is_empty() {
            self.put(&[len]);
            self.put(reason);
            self.zeros_to_boundary(0);
        }
        Ok(self)
    }

    /// Bytes written: the datagram to send.
    pub const fn finish(self) -> usize {
        self.len
    }

    /// Writes a common header after making sure that `body_len` bytes fit behind it, so that
    /// [`Self::put`] may rely on the room.
    fn header(&mut self, packet_type: u8, count: usize, body_len: usize) -> Result<(), WriteError> {
        if count > COUNT_MAX {
            return Err(WriteError::TooMany);
        }
        if self.out.len() - self.len < 4 + body_len {
            return Err(WriteError::NoRoom);
        }
        let [n0, n1] = ((body_len / 4) as u16).to_be_bytes();
        self.put(&[VERSION << 6 | count as u8, packet_type, n0, n1]);
        Ok(())
    }

    fn blocks(&mut self, blocks: &[ReportBlock]) {
        for block in blocks {
            self.put(&block.to_bytes());
        }
    }

    /// `at_least` null bytes, and on to the next word.
    fn zeros_to_boundary(&mut self, at_least: usize) {
        let end = (self.len + at_least).next_multiple_of(4);
        self.out[self.len..end].fill(0);
        self.len = end;
    }

    fn put(&mut self, bytes: &[u8]) {
        self.out[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// Why a compound could not be built. What the buffer then holds is undefined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteError {
    /// The buffer is too small.
    NoRoom,
    /// More than 31 blocks or sources.
    TooMany,
    /// A text of more than 255 bytes.
    TooLong,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoom => "the RTCP packet does not fit into the buffer",
            Self::TooMany => "an RTCP packet holds at most 31 blocks or sources",
            Self::TooLong => "an RTCP text holds at most 255 bytes",
        })
    }
}

impl core::error::Error for WriteError {}

/// The count field has five bits.
const COUNT_MAX: usize = 31;
