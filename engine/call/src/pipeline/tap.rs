//! The recording tap: a bounded ring of 20 ms stereo frames from the shard to the recorder.  (owner: core)

/// The shard's end.
#[derive(Debug)]
pub struct Tap {}
/// The recorder's end.
#[derive(Debug)]
pub struct TapReader {}

/// One 20 ms frame of both sides.
#[derive(Debug, Clone, Copy)]
pub struct TapFrame<'a> {
    /// Frames since the recording began: its place on the file's clock, also after frames were lost.
    pub index: u32,
    /// Rate of the samples, 8,000 or 16,000.
    pub rate_hz: u32,
    /// Interleaved: caller left, agent right.
    pub interleaved: &'a [i16],
}

/// A tap with room for `frames` frames of up to 20 ms at `rate_hz`.
pub fn tap(frames: usize, rate_hz: u32) -> (Tap, TapReader) {
    unimplemented!("{frames}{rate_hz}")
}

impl Tap {
    /// Files one frame; `false` (and counted) when the recorder is behind.
    pub fn push(&mut self, index: u32, rate_hz: u32, caller: &[i16], agent: &[i16]) -> bool {
        unimplemented!("{index}{rate_hz}{caller:?}{agent:?}")
    }
}
impl Tap {
    /// Says that nothing follows, while the ring itself may be dropped later and elsewhere.
    pub fn close(&mut self) {
        unimplemented!()
    }
}
impl TapReader {
    /// Hands over what is there, oldest first.
    pub fn drain(&mut self, each: impl FnMut(TapFrame<'_>)) {
        let _ = each;
        unimplemented!()
    }
    /// Whether the shard has closed (or dropped) its end; after one more `drain` nothing can follow.
    pub fn is_closed(&self) -> bool {
        unimplemented!()
    }
    /// Frames that found the ring full.
    pub fn overruns(&self) -> u64 {
        unimplemented!()
    }
}
