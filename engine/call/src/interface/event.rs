use std::time::Duration;

use vox_webrtc::{Offer, Peer, PeerEvent};

use super::{CallId, MediaSession};
use crate::pipeline::{Agent, Prompt, Tap};
use crate::quality::Quality;
use crate::shard::Call;

/// What a shard tells control. A slow consumer loses its own events (counted), except `Ended`.
#[derive(Debug)]
pub enum Event {
    /// The call is in the table and its ports are open.
    Opened {
        /// The call.
        call: CallId,
    },
    /// The first valid packet from the caller.
    MediaStarted {
        /// The call.
        call: CallId,
        /// Since the first answer.
        after: Duration,
    },
    /// A new session took over; the old one is here to be dropped. Also how the session of an
    /// `Answer` to a call that is gone comes back.
    Renegotiated {
        /// The call.
        call: CallId,
        /// The displaced session.
        displaced: Option<Box<MediaSession>>,
    },
    /// Something was replaced or used up and is to be dropped off the shard.
    Spent {
        /// The call.
        call: CallId,
        /// A displaced agent.
        agent: Option<Box<Agent>>,
        /// A prompt that is over.
        prompt: Option<Prompt>,
        /// The end of a recording that was stopped or displaced; closed already.
        tap: Option<Box<Tap>>,
    },
    /// The caller pressed a key. Once per press, whatever the source.
    Digit {
        /// The call.
        call: CallId,
        /// `0-9 * # A-D`.
        digit: char,
        /// How long it was held, as far as known.
        duration: Duration,
        /// How it came.
        source: DigitSource,
    },
    /// The caller began or stopped to speak, on calls that listen for it.
    Speech {
        /// The call.
        call: CallId,
        /// Began, or stopped.
        started: bool,
        /// The first frame with speech, or the last: frames of 20 ms since the first answer.
        frame: u32,
    },
    /// No media for a while: a third of `no_audio` has passed.
    Stalled {
        /// The call.
        call: CallId,
        /// How long nothing came.
        silent: Duration,
    },
    /// A prompt ended.
    Played {
        /// The call.
        call: CallId,
        /// The id of the `Play` command; 0 for the agent's own prompt.
        id: u32,
        /// How much of it was really sent.
        played: Duration,
        /// Whether that was all of it.
        complete: bool,
    },
    /// Something happened to the call's peer, besides packets.
    Peer {
        /// The call.
        call: CallId,
        /// What.
        event: PeerEvent,
    },
    /// What `Negotiation::Offer` asked for; nothing when there is no peer.
    Offered {
        /// The call.
        call: CallId,
        /// The offer.
        offer: Option<Offer>,
    },
    /// A peer was displaced and is to be dropped off the shard. Also how one comes back whose call
    /// is gone.
    Left {
        /// The call.
        call: CallId,
        /// The peer.
        peer: Box<Peer>,
    },
    /// Answer to `Query`.
    Report {
        /// The call.
        call: CallId,
        /// Its quality so far.
        quality: Quality,
    },
    /// The call is over and holds nothing any more. Exactly once per `Open`, also for one that was
    /// refused (`AtCapacity`, `WorkerStopped`) and therefore never saw `Opened` or `Listen`.
    Ended {
        /// The call.
        call: CallId,
        /// How and why.
        ending: Ending,
        /// Its memory, to be dropped off the shard; `None` when the shard itself is gone.
        spent: Option<Box<Call>>,
    },
}

/// How digits arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigitSource {
    /// RFC 4733.
    TelephoneEvent,
    /// Heard in the audio.
    InBand,
}

/// How a call ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and somebody ended it.
    Completed,
    /// It never became live.
    NotAnswered,
    /// Something went wrong.
    Failed,
}

/// Why a call ended. Control maps it to the contract's `disconnected_by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// BYE from the caller.
    CallerHungUp,
    /// CANCEL, or a final refusal before the answer.
    CallerCancelled,
    /// Whom we called is busy, or does not want to talk.
    Declined,
    /// The bot sleeps now; of a call that was never opened.
    OutsideHours,
    /// The agent's side ended it.
    BotHungUp,
    /// The caller is at the place that the agent sent it to.
    Transferred,
    /// Picked up, and never spoke.
    NeverSpoke,
    /// `max_call_duration_seconds` passed.
    MaxDuration,
    /// No media for `no_audio_seconds`: a phantom.
    MediaTimeout,
    /// Opened but not answered within its limit.
    SetupTimeout,
    /// Answered, but the ACK never came (RFC 3261 §13.3.1.4).
    NoAck,
    /// The agent's brain is gone for good.
    AgentGone,
    /// The signalling or configuration failed.
    SignallingFailed,
    /// The worker is stopping.
    WorkerStopped,
    /// `Open` found no free slot, or the id in use: the engine admitted more than the shard holds.
    AtCapacity,
    /// A bug, caught at the call's border.
    Fault,
}

/// How and why a call ended.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// In one word.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// From the first answer to the end.
    pub duration: Duration,
    /// What it was like.
    pub quality: Quality,
}
