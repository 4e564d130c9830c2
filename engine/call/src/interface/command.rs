use std::net::SocketAddr;
use std::time::Duration;

use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_webrtc::Peer;

use super::{CallId, Reason};
use crate::hearing::Vad;
use crate::pipeline::{Agent, Prompt, Tap};
use crate::shard::{Call, SEALED};

/// What control asks of a shard. Accepted or refused at once by the engine's handle; the effect is
/// a later [`Event`](super::Event).
///
/// Whatever a command brings that is not needed (any more) comes back in an event, so that nothing
/// is freed on the shard: sessions in `Renegotiated`, agents, prompts and taps in `Spent`, calls in
/// `Ended`. That holds for commands to a call that is gone, too.
#[derive(Debug)]
pub enum Command {
    /// Take a call into the table. The call was built (and its memory allocated) by the asker.
    Open(Box<Call>),
    /// Media is agreed: first answer, or a later change (hold, codec, address). The displaced
    /// session comes back in [`Event::Renegotiated`](super::Event::Renegotiated) to be dropped elsewhere.
    Answer {
        /// The call.
        call: CallId,
        /// What was agreed.
        session: Box<MediaSession>,
    },
    /// Put an agent on the call in place of the present one.
    Attach {
        /// The call.
        call: CallId,
        /// The agent.
        agent: Box<Agent>,
    },
    /// Play a prompt over the agent's audio, once.
    Play {
        /// The call.
        call: CallId,
        /// Comes back in [`Event::Played`](super::Event::Played).
        id: u32,
        /// The audio.
        prompt: Prompt,
    },
    /// Start (`Some`) or stop (`None`) recording.
    Record {
        /// The call.
        call: CallId,
        /// Where frames go.
        tap: Option<Box<Tap>>,
    },
    /// Send digits to the caller as telephone-events, in-band when these were not agreed.
    Digits {
        /// The call.
        call: CallId,
        /// The digits.
        digits: Digits,
    },
    /// End the call for `reason`. Idempotent.
    Close {
        /// The call.
        call: CallId,
        /// Why.
        reason: Reason,
    },
    /// Refuse new calls; the present ones run to their end.
    Drain,
    /// The call's media go through this peer from now on, sealed (DTLS-SRTP). A displaced one comes
    /// back in [`Event::Left`](super::Event::Left).
    Join {
        /// The call.
        call: CallId,
        /// The peer, which has its answer.
        peer: Box<Peer>,
    },
    /// What the other side of the call's peer has signalled, or is to be told.
    Negotiate {
        /// The call.
        call: CallId,
        /// What.
        step: Negotiation,
    },
    /// Ask for a [`Event::Report`](super::Event::Report) on a call.
    Query {
        /// The call.
        call: CallId,
    },
}

/// A step of a peer's signalling (RFC 8829).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Negotiation {
    /// A candidate of the other side's, `candidate:…`.
    Candidate(String),
    /// Make an [`Event::Offered`](super::Event::Offered).
    Offer {
        /// Lines to hear on, beyond those there are.
        more: usize,
        /// Look for the path anew.
        restart: bool,
    },
    /// The answer to that.
    Answer(String),
    /// A message for the reliable data channel.
    Message(Box<[u8]>),
}

/// Up to 32 DTMF digits, `0-9 * # A-D`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digits {
    digits: [u8; 32],
    len: u8,
}

impl Digits {
    /// `None` when there are none, more than 32, or one that is no DTMF digit.
    pub fn new(text: &str) -> Option<Self> {
        let valid = |b: u8| b.is_ascii_digit() || matches!(b, b'*' | b'#' | b'A'..=b'D');
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > 32 || !bytes.iter().copied().all(valid) {
            return None;
        }
        let mut digits = [0; 32];
        digits[..bytes.len()].copy_from_slice(bytes);
        Some(Self { digits, len: bytes.len() as u8 })
    }
    /// The digits in order.
    pub fn iter(&self) -> impl Iterator<Item = char> + '_ {
        self.digits[..usize::from(self.len)].iter().map(|&b| char::from(b))
    }
}

/// Which way media flows, seen from us (RFC 3264 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// We send only.
    SendOnly,
    /// We receive only: the peer holds us.
    RecvOnly,
    /// Neither; RTCP goes on.
    Inactive,
}

impl Direction {
    /// Whether we send.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }
    /// Whether we listen.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// What two sides agreed on by offer and answer. Built by control, codecs and all.
#[derive(Debug)]
pub struct MediaSession {
    /// Where the peer says it listens for RTP.
    pub remote: SocketAddr,
    /// Where it listens for RTCP; `None` sends none.
    pub remote_rtcp: Option<SocketAddr>,
    /// RTP and RTCP share the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// Payload type of `codec`.
    pub payload_type: u8,
    /// Payload type of telephone-event at the codec's clock, when agreed.
    pub event_payload_type: Option<u8>,
    /// Payload type of comfort noise, when agreed (13 at 8 kHz).
    pub noise_payload_type: Option<u8>,
    /// Which way media flows.
    pub direction: Direction,
    /// Milliseconds of audio in a packet we send: 20, 40 or 60.
    pub ptime_ms: u8,
    /// Encodes what we send.
    pub encoder: Encoder,
    /// Decodes what we hear.
    pub decoder: Decoder,
}

impl MediaSession {
    /// What goes through a call's [`Peer`], which knows the way.
    pub fn sealed(
        payload_type: u8,
        direction: Direction,
        encoder: Encoder,
        decoder: Decoder,
    ) -> Self {
        Self {
            remote: SEALED,
            remote_rtcp: None,
            rtcp_mux: false,
            payload_type,
            event_payload_type: None,
            noise_payload_type: None,
            direction,
            ptime_ms: 20,
            encoder,
            decoder,
        }
    }

    /// The codec agreed on.
    pub fn codec(&self) -> CodecKind {
        self.decoder.kind()
    }
}

/// Deadlines of a call's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From open to the first answer.
    pub answer: Duration,
    /// Without any valid RTP from the caller while neither side is on hold (`no_audio_seconds`):
    /// reports about media are no media, and a gateway may go on with them for a call that is dead.
    /// A held call is limited by `duration`, and by RTCP that came during the
    /// hold and then stopped.
    pub no_audio: Duration,
    /// From the first answer (`max_call_duration_seconds`).
    pub duration: Duration,
}

/// What a call is opened with.
#[derive(Debug)]
pub struct CallSetup {
    /// The id the engine gave it.
    pub call: CallId,
    /// Deadlines.
    pub limits: Limits,
    /// Seed of SSRC, first sequence number and timestamp (RFC 3550 §5.1 wants them random).
    pub seed: u64,
    /// Canonical name for RTCP SDES.
    pub cname: [u8; 16],
    /// Where recorded frames go, from the first answer on.
    pub tap: Option<Box<Tap>>,
    /// Tells when the caller speaks; without it nobody looks.
    pub vad: Option<Box<Vad>>,
}
