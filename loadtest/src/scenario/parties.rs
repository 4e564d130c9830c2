//! Who is called, who calls, who answers.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::arrival::Arrival;
use super::spread::Spread;
use super::units::{Codec, Digits, Net, Share, Span};
use crate::sip::Transport;

/// Whom the callers call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Each of them in turn, or by its weight.
    pub uris: Vec<Called>,
    /// How SIP travels to them.
    #[serde(default)]
    pub transport: Transport,
}

/// One address to call: `"sip:user@host:port"`, or with a weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "CalledText", into = "CalledText")]
pub struct Called {
    /// `sip:user@host[:port]`
    pub uri: String,
    /// Calls it gets, relative to the others'.
    pub weight: u32,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected \"sip:user@host:port\" or { uri = \"sip:user@host:port\", weight = 2 }"
)]
enum CalledText {
    Uri(String),
    Weighted { uri: String, weight: u32 },
}

impl From<CalledText> for Called {
    fn from(text: CalledText) -> Self {
        match text {
            CalledText::Uri(uri) => Self { uri, weight: 1 },
            CalledText::Weighted { uri, weight } => Self { uri, weight },
        }
    }
}

impl From<Called> for CalledText {
    fn from(called: Called) -> Self {
        match called {
            Called { uri, weight: 1 } => Self::Uri(uri),
            Called { uri, weight } => Self::Weighted { uri, weight },
        }
    }
}

/// Those who call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callers {
    /// When they call.
    pub arrival: Arrival,
    /// How long they stay, from the answer on.
    pub hold: Spread,
    /// What they should hear.
    #[serde(default)]
    pub expect: Expect,
    /// User part of their address: the caller's number.
    #[serde(default = "usual_user")]
    pub user: String,
    /// Codecs they offer, best first.
    #[serde(default = "usual_codecs")]
    pub codecs: Vec<Codec>,
    /// Different offers for shares of them, instead of `codecs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mix: Vec<Offer>,
    /// What they say, over and over: a WAV file. A voice-like sound when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speech: Option<PathBuf>,
    /// What they press, a second after the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<Digits>,
    /// Share of them that says nothing: packets of silence.
    #[serde(default)]
    pub silent: Share,
    /// Share of them that is gone at the end of its time, without BYE and without audio.
    #[serde(default)]
    pub vanish: Share,
    /// Those who give up while it rings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub give_up: Option<GiveUp>,
    /// Those who put the call on hold for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_hold: Option<OnHold>,
    /// Those who change their codecs in mid-call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// What lies between their mouths and the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Net>,
    /// How long they wait for an answer.
    #[serde(default = "usual_patience")]
    pub patience: Span,
}

/// What should be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// Our own words.
    Echo,
    /// Somebody else's.
    #[default]
    Speech,
    /// Nothing.
    Silence,
}

/// What a share of the callers offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// How many of them.
    pub share: Share,
    /// Best first.
    pub codecs: Vec<Codec>,
}

/// CANCEL while it rings; who is answered before hangs up instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiveUp {
    /// How many of them.
    pub share: Share,
    /// After the INVITE.
    pub after: Spread,
}

/// A re-INVITE with `a=sendonly`, and one back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnHold {
    /// How many of them.
    pub share: Share,
    /// After the answer.
    pub after: Spread,
    /// How long.
    #[serde(rename = "for")]
    pub length: Spread,
}

/// A re-INVITE with other codecs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// How many of them.
    pub share: Share,
    /// After the answer.
    pub after: Spread,
    /// What they offer then, best first.
    pub codecs: Vec<Codec>,
}

/// Those who are called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callees {
    /// Where they are called, over UDP and TCP.
    pub listen: SocketAddr,
    /// What they should hear.
    #[serde(default)]
    pub expect: Expect,
    /// How long it rings.
    #[serde(default = "at_once")]
    pub answer_after: Spread,
    /// Those who refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuse: Option<Refuse>,
    /// Share of them that lets it ring.
    #[serde(default)]
    pub ring_only: Share,
    /// When they hang up; never, when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hang_up_after: Option<Spread>,
    /// Codecs they take, best first.
    #[serde(default = "usual_codecs")]
    pub codecs: Vec<Codec>,
    /// What they say, over and over: a WAV file. A voice-like sound when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speech: Option<PathBuf>,
    /// What they press, a second after the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<Digits>,
    /// Share of them that says nothing: packets of silence.
    #[serde(default)]
    pub silent: Share,
    /// Whether they give back what they hear instead.
    #[serde(default)]
    pub echo: bool,
    /// What lies between their mouths and the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Net>,
    /// Calls at once that are taken; more are refused with 486.
    #[serde(default = "usual_callees")]
    pub calls_max: u64,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refuse {
    /// How many of them.
    pub share: Share,
    /// With which SIP status, 400 to 699.
    #[serde(default = "busy")]
    pub status: u16,
}

/// What is measured, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// From the load's being there until it is measured.
    #[serde(default = "usual_settle")]
    pub settle: Span,
    /// How long it is measured.
    pub measured: Span,
}

impl Callers {
    /// What each share of them offers.
    pub fn offers(&self) -> Vec<Offer> {
        match self.mix.is_empty() {
            true => vec![Offer { share: Share(1.0), codecs: self.codecs.clone() }],
            false => self.mix.clone(),
        }
    }
}

fn usual_user() -> String {
    "voxload".into()
}

fn usual_codecs() -> Vec<Codec> {
    vec![Codec(vox_codecs::CodecKind::Pcmu)]
}

const fn usual_patience() -> Span {
    Span(std::time::Duration::from_secs(30))
}

const fn usual_settle() -> Span {
    Span(std::time::Duration::from_secs(3))
}

const fn at_once() -> Spread {
    Spread::fixed(std::time::Duration::ZERO)
}

const fn usual_callees() -> u64 {
    10_000
}

const fn busy() -> u16 {
    486
}
