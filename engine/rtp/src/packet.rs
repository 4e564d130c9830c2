//! The RTP packet as a view over borrowed bytes (RFC 3550 §5).

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

    /// Writes the header to the front of `out` and returns the room behind it, so that the payload
    /// can be encoded in place. The packet has neither CSRC, extension nor padding.
    ///
    /// # Panics
    ///
    /// When `out` is shorter than [`Self::LEN`]: it is the caller's own send slot.
    pub fn write<'b>(&self, out: &'b mut [u8]) -> &'b mut [u8] {
        let (header, payload) =
            out.split_first_chunk_mut::<{ Self::LEN }>().expect("a send slot holds a header");
        header[0] = VERSION << 6;
        header[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        header[2..4].copy_from_slice(&self.seq.0.to_be_bytes());
        header[4..8].copy_from_slice(&self.time.0.to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.0.to_be_bytes());
        payload
    }

    const fn read(bytes: &[u8; Self::LEN]) -> Self {
        let [_, b1, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = *bytes;
        Self {
            marker: b1 & 0x80 != 0,
            payload_type: b1 & 0x7f,
            seq: SeqNo(u16::from_be_bytes([s0, s1])),
            time: RtpTime(u32::from_be_bytes([t0, t1, t2, t3])),
            ssrc: Ssrc(u32::from_be_bytes([i0, i1, i2, i3])),
        }
    }
}

/// A parsed RTP packet over borrowed bytes.
#[derive(Debug, Clone, Copy)]
pub struct RtpPacket<'a> {
    /// Header fields.
    pub header: RtpHeader,
    /// Payload without padding.
    pub payload: &'a [u8],
    /// The header extension, when there is one.
    pub extension: Option<Extension<'a>>,
    /// Four bytes each.
    csrcs: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Parses and validates `bytes` whole.
    ///
    /// The elements inside an extension are not looked at: a broken one must not cost the audio
    /// behind it ([`Extension::elements`] stops there).
    ///
    /// # Errors
    ///
    /// [`DropReason::Truncated`], [`DropReason::BadVersion`] or [`DropReason::BadPadding`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let (fixed, rest) =
            bytes.split_first_chunk::<{ RtpHeader::LEN }>().ok_or(DropReason::Truncated)?;
        let first = fixed[0];
        if first >> 6 != VERSION {
            return Err(DropReason::BadVersion);
        }
        let csrcs_len = usize::from(first & 0x0f) * 4;
        let (csrcs, rest) = rest.split_at_checked(csrcs_len).ok_or(DropReason::Truncated)?;
        let (extension, rest) = match first & EXTENSION_BIT {
            0 => (None, rest),
            _ => Extension::split(rest).map(|(extension, rest)| (Some(extension), rest))?,
        };
        let payload = match first & PADDING_BIT {
            0 => rest,
            _ => strip_padding(rest).ok_or(DropReason::BadPadding)?,
        };
        Ok(Self { header: RtpHeader::read(fixed), payload, extension, csrcs })
    }

    /// Contributing sources, 0..=15 of them.
    pub fn csrcs(&self) -> impl ExactSizeIterator<Item = Ssrc> + use<'a> {
        let (chunks, _) = self.csrcs.as_chunks::<4>();
        chunks.iter().map(|bytes| Ssrc(u32::from_be_bytes(*bytes)))
    }

    /// Header extension elements (RFC 8285); none when there is no extension.
    pub fn elements(&self) -> Elements<'a> {
        self.extension.map_or(Elements::EMPTY, |extension| extension.elements())
    }
}

/// A header extension (RFC 3550 §5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// What the profile makes of it: 0xBEDE and 0x1000..=0x100F are RFC 8285.
    pub profile: u16,
    /// Its words without the four bytes of header: a multiple of 4.
    pub bytes: &'a [u8],
}

impl<'a> Extension<'a> {
    /// Its elements by RFC 8285, one-byte or two-byte form; none under any other profile.
    pub const fn elements(&self) -> Elements<'a> {
        match self.profile {
            ONE_BYTE_PROFILE => Elements { form: ElementForm::OneByte, rest: self.bytes },
            TWO_BYTE_PROFILE_FIRST..=TWO_BYTE_PROFILE_LAST => {
                Elements { form: ElementForm::TwoByte, rest: self.bytes }
            }
            _ => Elements::EMPTY,
        }
    }

    /// Takes an extension off the front of `bytes`.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), DropReason> {
        let (&[p0, p1, n0, n1], rest) =
            bytes.split_first_chunk::<4>().ok_or(DropReason::Truncated)?;
        let words = usize::from(u16::from_be_bytes([n0, n1]));
        let (bytes, rest) = rest.split_at_checked(words * 4).ok_or(DropReason::Truncated)?;
        Ok((Self { profile: u16::from_be_bytes([p0, p1]), bytes }, rest))
    }
}

/// One element of a header extension (RFC 8285).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// The id from SDP's `extmap`: 1..=14 in the one-byte form, 1..=255 in the two-byte form.
    pub id: u8,
    /// Its value: 1..=16 bytes in the one-byte form, 0..=255 in the two-byte form.
    pub value: &'a [u8],
}

/// Iterator over the elements of a header extension. Ends early at one that does not fit.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    form: ElementForm,
    rest: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
enum ElementForm {
    OneByte,
    TwoByte,
}

impl<'a> Elements<'a> {
    const EMPTY: Self = Self { form: ElementForm::OneByte, rest: &[] };

    /// Splits the first element's id and length off `rest`, which does not start with padding.
    const fn split_header(&self) -> Option<(u8, usize, &'a [u8])> {
        match (self.form, self.rest) {
            // RFC 8285 §4.2: id 15 ends the processing, and so does id 0 with a length.
            (ElementForm::OneByte, [0x00..=0x0f | 0xf0..=0xff, ..]) => None,
            (ElementForm::OneByte, [first, rest @ ..]) => {
                Some((*first >> 4, (*first & 0x0f) as usize + 1, rest))
            }
            (ElementForm::TwoByte, [id, len, rest @ ..]) => Some((*id, *len as usize, rest)),
            _ => None,
        }
    }

    fn split_element(&self) -> Option<(Element<'a>, &'a [u8])> {
        let (id, len, rest) = self.split_header()?;
        let (value, rest) = rest.split_at_checked(len)?;
        Some((Element { id, value }, rest))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        while let [0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let (element, rest) = self.split_element().unzip();
        self.rest = rest.unwrap_or(&[]);
        element
    }
}

/// RFC 3550 §5.1: the last byte counts the padding, itself included.
pub(crate) fn strip_padding(bytes: &[u8]) -> Option<&[u8]> {
    let &count = bytes.last()?;
    let kept = bytes.len().checked_sub(usize::from(count))?;
    (count != 0).then(|| &bytes[..kept])
}

pub(crate) const VERSION: u8 = 2;
pub(crate) const PADDING_BIT: u8 = 0x20;
const EXTENSION_BIT: u8 = 0x10;
const ONE_BYTE_PROFILE: u16 = 0xbede;
const TWO_BYTE_PROFILE_FIRST: u16 = 0x1000;
const TWO_BYTE_PROFILE_LAST: u16 = 0x100f;

#[cfg(test)]
mod tests;
