//! What crosses the border of the core.
mod command;
mod event;
mod output;
mod time;

pub use command::{CallSetup, Command, Digits, Direction, Limits, MediaSession, Negotiation};
pub use event::{DigitSource, Ending, Event, Outcome, Reason};
pub use output::{Component, Input, LegKey, Output};
pub use time::MediaTime;
pub use vox_rtp::memory::{PacketMemory, RxBuf, TxSlot};

/// A call, for as long as the process lives. Never reused; the asker of `Open` chooses it (an engine
/// of several shards may keep the shard's number in it). A shard finds a call by it without allocating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);
