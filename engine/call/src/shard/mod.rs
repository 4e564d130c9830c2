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
    /// Calls in the table.
    pub fn calls(&self) -> usize {
        unimplemented!()
    }
}
