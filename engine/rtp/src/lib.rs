//! RTP, RTCP and telephone-event as views over borrowed bytes.
//!
//! Nothing here allocates (the crate is `no_std` without `alloc`), panics on input from the network,
//! reads a clock, or knows a socket. What cannot be used becomes a [`DropReason`]; the caller counts
//! it. Times are arguments: microseconds of the caller's clock, or timestamp units of a
//! [`ClockRate`].
//!
//! # Map
//!
//! Start with [`RtpPacket::parse`]; everything else stands beside it.
//!
//! - [`classify()`]: which protocol a datagram on a media port is (RFC 7983, RFC 5761).
//! - [`packet`]: the RTP header as a view, header extensions, and the writer of a header in front of
//!   a payload that is encoded in place (RFC 3550 §5, RFC 8285).
//! - [`seq`]: sequence numbers, timestamps and clock rates; what wraps and what is unwrapped.
//! - [`rtcp`]: SR, RR, SDES and BYE in and out, compound rules, reception statistics, jitter,
//!   round-trip time (RFC 3550 §6 and §A).
//! - [`event`]: telephone-event in both directions (RFC 4733).
//! - [`memory`]: handles to the buffers that datagrams lie in.
//!
//! # What this crate does not do
//!
//! Sockets, clocks, jitter buffering, SRTP, and the choice of who is heard: an address, source or
//! payload type is right or wrong only to the call it belongs to.
//!
//! # What is left out of the standards
//!
//! RFC 3550 (RTP and RTCP):
//! - *Mixers and translators (§7)*: a call has two parties. CSRCs are read and never written.
//! - *Writing header extensions and padding*: nothing that we send needs them yet.
//! - *SSRC collisions and loops (§8.2)*: left to the caller, who knows its own SSRC and hears one peer.
//! - *RTCP bandwidth, timer reconsideration, reverse reconsideration, BYE back-off (§6.3)*: they keep
//!   crowds in check. Two parties never reach the limit, see [`rtcp::report_interval`].
//! - *More than 31 report blocks by several RRs (§6.1)*: a leg hears one source, refused beyond 31.
//! - *APP packets, SDES items other than CNAME on the way out (§6.5, §6.7)*: nothing reads them.
//! - *SDES without CNAME, a padded only packet (§6.1, §A.2)*: accepted, because common peers send
//!   them and nothing depends on it.
//! - *Probation that forgets its first packet (§A.1)*: it is counted, because it is played.
//! - *Jitter across a jump of timestamps (§A.8)*: not counted, it would drown everything after it.
//!
//! RFC 3551 (profile for audio and video):
//! - *Static payload types (§6)*: which numbers mean what is the session's business; this crate
//!   carries the number. 64 to 95 read as RTCP (RFC 5761 §4), as the profile allows.
//! - *Comfort noise as payload type 19 (§6)*: reserved, refused like any type not agreed on.
//! - *Framings of DVI4, GSM, LPC, MPA and video (§4.5, §5)*: no call speaks them.
//!
//! RFC 4733 (telephone-event):
//! - *Tones by frequency, `audio/tone` (§4)*: nothing in a call would make use of them.
//! - *State events (§2.2)*: a press is taken to be an event with an end; `duration` 0, "still on",
//!   is a press of unknown length.
//! - *Several events in a packet we send (§2.5.1.5)*: read, never written.
//! - *Ending a press that falls silent without an end packet (§2.5.2.2)*: there is no tone to stop
//!   playing; its digit was reported when it began.
//! - *Refusing digits below −55 dBm0 (§3.2)*: a volume field says what a tone would have been, and
//!   senders fill it with anything; a digit is a digit.
//! - *Redundancy by RFC 2198*: each packet already repeats the press as a whole.
//!
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod classify;
mod drop;
pub mod event;
pub mod memory;
pub mod packet;
pub mod rtcp;
pub mod seq;

pub use classify::{Datagram, classify};
pub use drop::DropReason;
pub use packet::{RtpHeader, RtpPacket};
pub use seq::{ClockRate, ExtendedSeq, ExtendedTime, RtpTime, SeqNo, Ssrc};
