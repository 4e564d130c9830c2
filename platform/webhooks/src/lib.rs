//! LiveKit's webhooks: who sent them, what they say, and each of them once.
//!
//! ```text
//!  Authorization ─► token ─► signature, time ─┐
//!                                             ├─► hash of the raw body ─► event ─► seen before? ─► Event
//!  body, as it came ──────────────────────────┘
//! ```
//!
//! Start reading at [`Receiver::receive`]. [`Event::inbound_call`] tells a caller who waits in a room
//! from the many other events.
//!
//! What this crate does not do: HTTP, clocks (the time is an argument), decisions about calls. It
//! keeps only the fields that dispatching needs, and passes over names that it does not know: a
//! newer server must not silence an older receiver.

mod event;
mod receiver;
mod replay;

pub use event::{Event, InboundCall, Participant, Room};
pub use receiver::{BODY_BYTES_MAX, Receiver, Refusal, TOKEN_BYTES_MAX};
