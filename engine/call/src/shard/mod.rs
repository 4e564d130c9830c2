//! The shard: its table of calls, the tick, the lifecycle.  (owner: core)
use crate::{CallSetup, Input, MediaTime, Output, PacketMemory};

/// One call: legs, pipeline, state. Built off the shard, handed in by `Open`, handed out by `Ended`.
#[derive(Debug)]
pub struct Call {}
impl Call {
    /// Allocates everything the call will ever need.
    pub fn new(setup: CallSetup) -> Box<Self> {
        unimplemented!("{setup:?}")
    }
    /// Its id.
    pub fn id(&self) -> crate::CallId {
        unimplemented!()
    }
}

/// What a shard has counted since it started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    /// Calls taken into the table.
    pub opened: u64,
    /// Calls that ended, one `Ended` each.
    pub ended: u64,
    /// `Open`s that found no slot, or a shard that drains.
    pub refused: u64,
    /// Calls that ended by a panic caught at their border.
    pub faults: u64,
    /// Datagrams handed in.
    pub datagrams: u64,
    /// RTP packets that passed every check.
    pub rtp_received: u64,
    /// RTCP compounds that passed every check.
    pub rtcp_received: u64,
    /// RTP packets handed out.
    pub rtp_sent: u64,
    /// RTCP compounds handed out.
    pub rtcp_sent: u64,
    /// Packets that found no free send slot.
    pub no_send_slot: u64,
    /// Datagrams for a call that was over, released unread (among `dropped` as `NotListening`).
    pub stale: u64,
    /// Receive buffers the calls hold now.
    pub buffers_held: u64,
    /// Slices played over 2 ms late.
    pub late_slices: u64,
    /// Frames (20 ms of one call) that were skipped because the host was a whole frame late.
    pub skipped_frames: u64,
    /// Dropped datagrams by [`DropReason`](vox_rtp::DropReason).
    pub dropped: [u64; vox_rtp::DropReason::COUNT],
}

/// A shard's calls. Deterministic: same inputs at same times, same outputs.
#[derive(Debug)]
pub struct Shard {}
impl Shard {
    /// A shard for up to `capacity` calls.
    pub fn new(capacity: usize) -> Self {
        unimplemented!("{capacity}")
    }
    /// Something happened. Take the outputs with [`poll`](Self::poll) before the next call.
    pub fn handle(&mut self, now: MediaTime, input: Input, memory: &mut impl PacketMemory) {
        let _ = (now, input, memory);
        unimplemented!()
    }
    /// What is to be done next.
    pub fn poll(&mut self) -> Output {
        unimplemented!()
    }
    /// When the next slice of the 20 ms grid is due; `None` without calls.
    pub fn next_tick(&self) -> Option<MediaTime> {
        unimplemented!()
    }
    /// Counters since the start, for the host's statistics.
    pub fn counters(&self) -> &Counters {
        unimplemented!()
    }
    /// Calls in the table.
    pub fn calls(&self) -> usize {
        unimplemented!()
    }
}
