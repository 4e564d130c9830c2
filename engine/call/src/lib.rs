//! The media core of a call: pure, sans-IO, deterministic.
//!
//! A [`Shard`] owns its calls completely. The host hands it time, bytes and commands
//! ([`Shard::handle`]) and takes away what is to be done ([`Shard::poll`]); packet memory is lent to
//! it through [`PacketMemory`], so a packet is decoded where it was received and encoded where it
//! is sent from. After construction nothing here allocates, locks, logs or reads a clock.
//!
//! Read in this order: [`interface`] (commands in, events and outputs out) → [`shard`] (the table,
//! the tick, the lifecycle and its one `close`) → [`leg`] (RTP in and out, latching, RTCP) →
//! [`jitter`] (packets filed on arrival, played on the tick) → [`hearing`] (speech) → [`pipeline`] (level, digits, tap,
//! agent) → [`quality`] (what a call was like, and its MOS).
//!
//! What this crate does not do: sockets, threads, signalling, files, the decision who may call.

pub mod hearing;
pub mod interface;
pub mod jitter;
pub mod leg;
pub mod pipeline;
pub mod quality;
pub mod shard;

pub use interface::*;
pub use quality::Quality;
pub use shard::{Call, Coming, Counters, Shard};
pub use vox_webrtc::{Offer, Peer, PeerEvent};
