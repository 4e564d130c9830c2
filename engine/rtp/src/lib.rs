//! RTP, RTCP and telephone-event as views over borrowed bytes.
//!
//! Nothing here allocates, panics on input from the network, or knows a socket. What cannot be
//! used becomes a [`DropReason`]; the caller counts it.
//!
//! - [`classify()`]: which protocol a datagram on a media port is (RFC 7983).
//! - [`packet`]: the RTP header as a view, and its writer (RFC 3550 §5).
//! - [`seq`]: sequence and timestamp arithmetic.
//! - [`rtcp`]: SR, RR, SDES, BYE, compound rules, jitter and round-trip time.
//! - [`event`]: telephone-event (RFC 4733) in both directions.
//!
//! What this crate does not do: sockets, clocks, SRTP (it will), jitter buffering.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod classify;
mod drop;
pub mod event;
pub mod packet;
pub mod rtcp;
pub mod seq;

pub use classify::{Datagram, classify};
pub use drop::DropReason;
pub use packet::{RtpHeader, RtpPacket};
pub use seq::{ClockRate, ExtendedSeq, ExtendedTime, RtpTime, SeqNo, Ssrc};
