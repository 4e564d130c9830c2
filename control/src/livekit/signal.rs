//! Messages to and from a LiveKit server: protobuf over a WebSocket.
//!
//! The single peer connection of servers from 1.9.1 on: we alone make offers, and the first one
//! goes with the request to join.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use livekit_protocol::{
    AddTrackRequest, AudioTrackFeature, ClientInfo, ConnectionSettings, DisconnectReason,
    JoinRequest, JoinResponse, LeaveRequest, ReconnectReason, SessionDescription, SignalRequest,
    SignalResponse, TrackSource, TrackType, WrappedJoinRequest, leave_request, signal_request,
    signal_response,
};
use prost::Message as _;
use tokio::time::timeout;
use vox_webrtc::Offer;

use super::token::Ticket;
use super::wire::{Frame, Wire};

/// A connection to the server's signalling.
#[derive(Debug)]
pub(super) struct Signal(Wire);

/// What the server says.
pub(super) type Said = signal_response::Message;

/// Why signalling failed, in words for the log and the result; never with a token in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SignalError {
    /// The server answered the upgrade with this.
    #[error("the server answers {status}: {why}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The reason it gives.
        why: String,
    },
    /// The server cannot be reached, or the connection broke.
    #[error("{0}")]
    Lost(String),
    /// What came is no signalling.
    #[error("not understood: {0}")]
    Unreadable(String),
    /// The server sends us away.
    #[error("{0}")]
    Dismissed(Dismissal),
    /// Nothing came in time.
    #[error("no answer in {} s", .0.as_secs())]
    Late(Duration),
}

impl Signal {
    /// Joins a room with a first offer of one track, `track`.
    pub(super) async fn join(
        ticket: &Ticket,
        track: &str,
        offer: &Offer,
    ) -> Result<(Self, Box<JoinResponse>), SignalError> {
        let mut signal = Self::open(ticket, &join_request(track, offer)).await?;
        match signal.first().await? {
            Said::Join(joined) => Ok((signal, Box::new(joined))),
            other => Err(unexpected("a join", &other)),
        }
    }

    /// Comes back as the participant `sid`, whose connection broke while its media went on.
    pub(super) async fn resume(ticket: &Ticket, sid: &str) -> Result<Self, SignalError> {
        let mut signal = Self::open(ticket, &resume_request(sid)).await?;
        match signal.first().await? {
            Said::Reconnect(_) => Ok(signal),
            Said::Leave(leave) => Err(SignalError::Dismissed(leave.into())),
            other => Err(unexpected("a reconnect", &other)),
        }
    }

    /// By the first of the server's paths that it knows.
    async fn open(ticket: &Ticket, request: &JoinRequest) -> Result<Self, SignalError> {
        let request = wrapped(request);
        let mut answer = Err(SignalError::Lost("no path".into()));
        for path in PATHS {
            let path = format!("{path}?join_request={request}");
            answer = Wire::connect(&ticket.url, &path, &ticket.token).await.map(Self);
            if !matches!(answer, Err(SignalError::Refused { status: 404, .. })) {
                break;
            }
        }
        answer
    }

    async fn first(&mut self) -> Result<Said, SignalError> {
        timeout(FIRST_LIMIT, self.next()).await.unwrap_or(Err(SignalError::Late(FIRST_LIMIT)))
    }

    /// What the server says next. Kinds that are not known are left out. Nothing is lost when the
    /// future is dropped.
    pub(super) async fn next(&mut self) -> Result<Said, SignalError> {
        loop {
            let Frame::Binary(bytes) = self.0.next().await? else { continue };
            let said = SignalResponse::decode(bytes)
                .map_err(|error| SignalError::Unreadable(error.to_string()))?;
            if let Some(message) = said.message {
                return Ok(message);
            }
        }
    }

    /// Tells the server.
    pub(super) async fn send(
        &mut self,
        message: signal_request::Message,
    ) -> Result<(), SignalError> {
        self.0.send(SignalRequest { message: Some(message) }.encode_to_vec()).await
    }
}

/// Why a server ends a connection, and what it wants us to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dismissal {
    /// Its reason.
    pub reason: DisconnectReason,
    /// What it wants.
    pub action: leave_request::Action,
}

impl From<LeaveRequest> for Dismissal {
    fn from(leave: LeaveRequest) -> Self {
        Self { reason: leave.reason(), action: leave.action() }
    }
}

impl fmt::Display for Dismissal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server ends it: {}", self.reason.as_str_name().to_lowercase())
    }
}

fn join_request(track: &str, offer: &Offer) -> JoinRequest {
    JoinRequest {
        add_track_requests: vec![AddTrackRequest {
            cid: track.to_owned(),
            name: "vox".to_owned(),
            r#type: TrackType::Audio.into(),
            source: TrackSource::Microphone.into(),
            disable_red: true,
            audio_features: vec![AudioTrackFeature::TfNoDtx.into()],
            stream: track.to_owned(),
            ..AddTrackRequest::default()
        }],
        publisher_offer: Some(description(offer.sdp.clone(), 1)),
        ..request()
    }
}

fn resume_request(sid: &str) -> JoinRequest {
    JoinRequest {
        reconnect: true,
        reconnect_reason: ReconnectReason::RrSignalDisconnected.into(),
        participant_sid: sid.to_owned(),
        ..request()
    }
}

fn request() -> JoinRequest {
    JoinRequest {
        client_info: Some(ClientInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            ..ClientInfo::default()
        }),
        // The caller alone is heard.
        connection_settings: Some(ConnectionSettings::default()),
        ..JoinRequest::default()
    }
}

/// An offer of ours, the `id`th.
pub(super) fn description(sdp: String, id: u32) -> SessionDescription {
    SessionDescription { r#type: "offer".into(), sdp, id, ..SessionDescription::default() }
}

fn wrapped(request: &JoinRequest) -> String {
    let wrapped =
        WrappedJoinRequest { join_request: request.encode_to_vec(), ..Default::default() };
    URL_SAFE.encode(wrapped.encode_to_vec())
}

/// A server before 1.9.1 begins with an offer of its own.
fn unexpected(expected: &str, found: &Said) -> SignalError {
    let text = format!("{found:?}");
    let found = text.split(['(', ' ', '{']).next().unwrap_or_default();
    SignalError::Unreadable(format!("expected {expected}, found {found}"))
}

/// Servers from 1.9.10 on know the first, those from 1.9.1 on the second.
const PATHS: [&str; 2] = ["/rtc/v1", "/rtc"];
/// The newest version whose data channels are opened in-band.
const PROTOCOL: i32 = 16;
/// For the first message of a connection.
const FIRST_LIMIT: Duration = Duration::from_secs(5);
