//! Offer and answer (RFC 3264) over session descriptions (RFC 8866). Pure: text in, text out.
//!
//! [`negotiate`] answers an offer, [`offer`] makes one, [`accept`] reads the answer to it. What
//! the two sides agreed on is a [`MediaAgreement`].
//!
//! Not here, on purpose: ICE, DTLS, SDES-SRTP (a secure-only offer is refused), several audio
//! streams (the first usable one is taken, every other stream is answered with port 0), and names
//! instead of addresses in `c=`.

mod agree;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use vox_call::{Direction, MediaSession};
use vox_codecs::{CodecKind, Decoder, Encoder};

pub use agree::{accept, negotiate};
pub use write::offer;

/// Which codecs we speak, and who chooses among the common ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPolicy {
    /// What we speak, best first. At least one.
    pub codecs: Vec<CodecKind>,
    /// Whose order decides.
    pub prefer: Prefer,
}

impl Default for MediaPolicy {
    fn default() -> Self {
        let codecs = vec![CodecKind::Opus, CodecKind::G722, CodecKind::Pcmu, CodecKind::Pcma];
        Self { codecs, prefer: Prefer::Theirs }
    }
}

/// Whose order of codecs decides when several are common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefer {
    /// The peer's (RFC 3264 §6.1 recommends it).
    #[default]
    Theirs,
    /// Ours.
    Ours,
}

/// Our side of a session: what goes into `o=`, `c=` and `m=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalMedia {
    /// Where the peer shall send RTP. RTCP is one port above.
    pub rtp: SocketAddr,
    /// `o=`'s session id, the same for the whole call.
    pub session_id: u64,
    /// `o=`'s version: one more whenever the description changes (RFC 3264 §8).
    pub version: u64,
}

/// What two sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaAgreement {
    /// Where the peer listens for RTP. Of no use while `direction` does not send.
    pub remote: SocketAddr,
    /// Where it listens for RTCP, when it can receive at all.
    pub remote_rtcp: Option<SocketAddr>,
    /// RTP and RTCP share a port (RFC 5761).
    pub rtcp_mux: bool,
    /// The codec.
    pub codec: CodecKind,
    /// Its payload type. In 0..=127.
    pub payload_type: u8,
    /// The payload type of telephone-event, when both can.
    pub event_payload_type: Option<u8>,
    /// The payload type of comfort noise, when offered beside a G.711 codec.
    pub noise_payload_type: Option<u8>,
    /// Which way media flows, seen from us.
    pub direction: Direction,
    /// Milliseconds of audio in a packet we send: 20, 40 or 60.
    pub ptime_ms: u8,
}

impl MediaAgreement {
    /// The engine's view of it, with a fresh encoder and decoder. Allocates; call it off the shard.
    pub fn into_session(self) -> MediaSession {
        MediaSession {
            remote: self.remote,
            remote_rtcp: self.remote_rtcp,
            rtcp_mux: self.rtcp_mux,
            payload_type: self.payload_type,
            event_payload_type: self.event_payload_type,
            noise_payload_type: self.noise_payload_type,
            direction: self.direction,
            ptime_ms: self.ptime_ms,
            encoder: Encoder::new(self.codec),
            decoder: Decoder::new(self.codec),
        }
    }
}

/// Why a description cannot be agreed to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpRefusal {
    /// It is no session description: 400.
    #[error("bad SDP: {0}")]
    Malformed(String),
    /// No audio stream with a port: 488.
    #[error("no audio stream is offered")]
    NoAudio,
    /// Every audio stream wants SRTP or another profile we do not speak: 488.
    #[error("expected audio over RTP/AVP, found {0}")]
    Profile(String),
    /// No codec in common: 488.
    #[error("no common codec among {0}")]
    NoCommonCodec(String),
    /// An address we cannot send to: a name, a multicast group, the other IP version: 488.
    #[error("cannot send media to {0}")]
    Address(String),
}

impl SdpRefusal {
    /// The status code that says it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            _ => 488,
        }
    }

    /// The warning that goes with a 488 (RFC 3261 §20.43).
    pub fn warning(&self) -> Option<(u16, &'static str)> {
        match self {
            Self::Malformed(_) => None,
            Self::NoAudio => Some((304, "Media type not available")),
            Self::Profile(_) => Some((302, "Incompatible transport protocol")),
            Self::NoCommonCodec(_) => Some((305, "Incompatible media format")),
            Self::Address(_) => Some((301, "Incompatible network address formats")),
        }
    }
}
