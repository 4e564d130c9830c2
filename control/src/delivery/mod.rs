//! What leaves the worker after a call, and is never lost on the way: results and recordings.
//!
//! Both wait as files in a directory until the other side has confirmed them, across
//! outages and restarts: results in the [`outbox`] for the Backend's webhook, recordings in the
//! [`spool`] for the object [`store`]. [`open_calls`] has a note of every call that still owes a
//! result, and [`cut_calls`] makes one of what a crash left there.

pub mod cut_calls;
mod disk;
mod lanes;
pub mod open_calls;
pub mod outbox;
mod queue;
mod recording_key;
pub mod spool;
pub mod store;

pub use cut_calls::CutCalls;
pub use open_calls::{OpenCall, OpenCalls, OpenId, OpenNote};
pub use outbox::Outbox;
pub use queue::{Backoff, QueueCounts};
pub use recording_key::RecordingKey;
pub use spool::Spool;
pub use store::Store;
