//! A WebRTC peer that speaks one audio track, hears another and has data channels: sans-IO.
//!
//! [`Peer`] wraps `str0m` in RTP mode. It makes an offer, reads the answer and candidates, and from
//! then on turns datagrams into plain RTP and back: ICE (RFC 8445), DTLS-SRTP (RFC 5764) and SCTP
//! data channels (RFC 8831) happen inside. Whoever owns it hands it time and datagrams and takes
//! away what [`Peer::poll`] gives.
//!
//! Read in this order: [`Peer`] (the state), then [`Offer`] (what we say of ourselves).
//!
//! What this crate does not do: sockets, clocks, signalling, jitter, codecs, video. Unlike the rest
//! of the call path it allocates for each packet, some four times: `str0m` does.

mod offer;
mod peer;

pub use offer::{CHANNELS, Channel, OPUS_PAYLOAD_TYPE, Offer};
pub use peer::{Audio, Identity, Output, Peer, PeerError, PeerEvent};
