use crate::Ssrc;

/// A goodbye (RFC 3550 §6.6).
#[derive(Debug, Clone, Copy)]
pub struct Bye<'a> {
    /// Four bytes each.
    sources: &'a [[u8; 4]],
    /// Why they leave, when that was said: 1..=255 bytes that should be UTF-8.
    pub reason: Option<&'a [u8]>,
}

impl<'a> Bye<'a> {
    /// The sources that leave, 0..=31.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = Ssrc> + use<'a> {
        self.sources.iter().map(|bytes| Ssrc(u32::from_be_bytes(*bytes)))
    }

    pub(super) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let (words, _) = body.as_chunks();
        let sources = words.get(..usize::from(count))?;
        let reason = match &body[sources.len() * 4..] {
            [] | [0, ..] => None,
            [len, text @ ..] => Some(text.get(..usize::from(*len))?),
        };
        Some(Self { sources, reason })
    }
}
