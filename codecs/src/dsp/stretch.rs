//! Time-scale modification (WSOLA).  (owner: codecs-B)
/// What a stretch did: samples written to the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretched {
    /// Samples written.
    pub samples: usize,
    /// Samples removed (positive) or inserted (negative) against the input.
    pub removed: isize,
}
/// Shortens or lengthens speech by whole pitch periods, without changing its pitch.
#[derive(Debug)]
pub struct Stretcher {}
impl Stretcher {
    /// For 8,000 or 16,000 Hz.
    pub fn new(rate_hz: u32) -> Self {
        unimplemented!("{rate_hz}")
    }
    /// Removes one pitch period (2.5–15 ms) from `pcm` (at least 30 ms) when it is similar enough
    /// (or quiet); in place; returns the samples that remain (== `pcm.len()` when nothing could be removed).
    pub fn shorten(&mut self, pcm: &mut [i16]) -> usize {
        unimplemented!("{pcm:?}")
    }
    /// Repeats one pitch period of `pcm[..len]`; `pcm` has room for 15 ms more; returns the new length.
    pub fn lengthen(&mut self, pcm: &mut [i16], len: usize) -> usize {
        unimplemented!("{pcm:?}{len}")
    }
}
