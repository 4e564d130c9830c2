//! What callgrind is told to look at.

use std::hint::black_box;

/// Counts the work that is given to it, and the frames of 20 ms that this was.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) frames: u32,
}

impl Meter {
    /// Counts `work`, which is done for so many frames.
    pub(crate) fn count(&mut self, frames: u32, mut work: impl FnMut()) {
        gate_counts_inside(&mut work);
        self.frames += frames;
    }
}

/// Callgrind collects only between this function's beginning and its end.
#[inline(never)]
fn gate_counts_inside(work: &mut dyn FnMut()) {
    black_box(work)();
}

/// Callgrind writes a part of its own for all that was counted before each call of this function.
#[inline(never)]
pub(crate) fn gate_piece_is_over(name: &str, frames: u32) {
    println!("{frames}\t{}", black_box(name));
}
