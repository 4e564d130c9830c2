use crate::Ssrc;

/// A source description (RFC 3550 §6.5).
#[derive(Debug, Clone, Copy)]
pub struct Sdes<'a> {
    count: u8,
    body: &'a [u8],
}

impl<'a> Sdes<'a> {
    /// Its chunks, 0..=31.
    pub fn chunks(&self) -> impl Iterator<Item = SdesChunk<'a>> + use<'a> {
        let mut rest = self.body;
        (0..self.count).map_while(move |_| {
            let (chunk, behind) = SdesChunk::split(rest)?;
            rest = behind;
            Some(chunk)
        })
    }

    /// The canonical name given for `ssrc`.
    pub fn cname_of(&self, ssrc: Ssrc) -> Option<&'a [u8]> {
        let mut items = self.chunks().filter(|chunk| chunk.ssrc == ssrc).flat_map(|c| c.items());
        items.find(|item| item.kind == SdesItem::CNAME).map(|item| item.value)
    }

    pub(super) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let mut rest = body;
        for _ in 0..count {
            (_, rest) = SdesChunk::split(rest)?;
        }
        Some(Self { count, body })
    }
}

/// What an SDES says about one source.
#[derive(Debug, Clone, Copy)]
pub struct SdesChunk<'a> {
    /// The source.
    pub ssrc: Ssrc,
    /// Whole items without the terminator.
    items: &'a [u8],
}

impl<'a> SdesChunk<'a> {
    /// Its items, possibly none.
    pub fn items(&self) -> impl Iterator<Item = SdesItem<'a>> + use<'a> {
        let mut rest = self.items;
        core::iter::from_fn(move || {
            let (item, behind) = SdesItem::split(rest)?;
            rest = behind;
            Some(item)
        })
    }

    /// Takes a chunk off the front of `bytes`, whose length is a multiple of 4.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (ssrc, body) = bytes.split_first_chunk()?;
        let mut rest = body;
        while rest.first().is_some_and(|&kind| kind != 0) {
            (_, rest) = SdesItem::split(rest)?;
        }
        let items = &body[..body.len() - rest.len()];
        // §6.5: one to four null bytes end a chunk at a word's boundary. Some senders leave them out
        // behind the last chunk when the items happen to end there.
        let behind = match rest {
            [] => rest,
            _ => &body[(items.len() + 1).next_multiple_of(4)..],
        };
        Some((Self { ssrc: Ssrc(u32::from_be_bytes(*ssrc)), items }, behind))
    }
}

/// One item of an SDES chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SdesItem<'a> {
    /// Item type, never 0.
    pub kind: u8,
    /// Its text, 0..=255 bytes that should be UTF-8. A PRIV item's includes the prefix.
    pub value: &'a [u8],
}

impl<'a> SdesItem<'a> {
    /// Item type of the canonical name.
    pub const CNAME: u8 = 1;
    /// Item type of the user's name.
    pub const NAME: u8 = 2;
    /// Item type of the application's name.
    pub const TOOL: u8 = 6;

    /// Takes an item off the front of `bytes`, which do not start with the terminator.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[kind, len], rest) = bytes.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(usize::from(len))?;
        Some((Self { kind, value }, rest))
    }
}
