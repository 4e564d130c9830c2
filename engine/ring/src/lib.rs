//! One io_uring for thousands of UDP sockets, the packet memory it works on, and the few system
//! calls around both: all of the engine's `unsafe`.
//!
//! The engine's shards and the load generator's threads share this crate and nothing above it. Read
//! in this order: [`Ring`] (a thread's ring: receive, send, one `io_uring_enter` for a wake-up) →
//! [`Packets`] (where datagrams lie, as [`PacketMemory`](vox_rtp::memory::PacketMemory)) → [`Sizes`]
//! → [`RingError`] (why there is no ring, in words) → [`sys`] (sockets, cores, limits, eventfds).
//!
//! What this crate does not do: looking inside a packet, deciding when to wake, threads, ports.
#![allow(unsafe_code, reason = "the kernel's interfaces are raw; each block says why it is sound")]

pub mod sys;

mod cause;
mod mapping;
mod receive;
mod ring;
mod send;
mod token;

pub use cause::{RingError, Step};
pub use ring::{Completion, Packets, Received, Ring, Sizes, Wait, probe};
pub use token::{SocketKey, Token};
