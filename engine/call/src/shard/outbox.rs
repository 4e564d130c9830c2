//! What the host has still to do.

use std::collections::VecDeque;

use super::grid::Grid;
use crate::Output;

/// Outputs in order, until the host polls them.
///
/// It cannot outgrow its first allocation as long as the host polls everything before the next
/// input: one input concerns one call, or (a tick) the calls of one slice, and one call makes at
/// most [`PER_CALL`] outputs in one go. Should that sum ever be wrong, the queue grows once rather
/// than lose an `Ended`.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: VecDeque<Output>,
}

impl Outbox {
    /// For the calls of a shard of `capacity`.
    pub(crate) fn new(capacity: usize) -> Self {
        let room = PER_CALL * Grid::slice_capacity(capacity).max(1);
        Self { queue: VecDeque::with_capacity(room) }
    }

    pub(crate) fn push(&mut self, output: Output) {
        debug_assert!(
            self.queue.len() < self.queue.capacity(),
            "more outputs than PER_CALL allows"
        );
        self.queue.push_back(output);
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        let output = self.queue.pop_front();
        if output.is_none() {
            // Starts at the front again, so that a busy shard keeps touching the same memory.
            self.queue.clear();
        }
        output
    }
}

/// The most outputs of one call in one tick: two filters, an RTP and an RTCP packet, a digit,
/// `Stalled`, `Played` and `Spent` for prompt and agent each, and then the close with the broken-off
/// prompt's `Played` and `Spent`, BYE, `Unlisten` and `Ended`; rounded up.
const PER_CALL: usize = 20;
