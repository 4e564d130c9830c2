//! Messages to and from a LiveKit server: protobuf over a WebSocket.
//!
//! The single peer connection of servers from 1.9.10 on: we alone make offers, and the first one
//! goes with the request to join.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures_core::Stream;
use futures_sink::Sink;
use livekit_protocol::{
    AddTrackRequest, AudioTrackFeature, ClientInfo, ConnectionSettings, JoinRequest, JoinResponse,
    SessionDescription, SignalRequest, SignalResponse, TrackSource, TrackType, WrappedJoinRequest,
    signal_request, signal_response,
};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::header::AUTHORIZATION;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message};

/// A connection to the server's signalling.
#[derive(Debug)]
pub(super) struct Signal {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

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
    /// Another process of ours was in the room first, by this name.
    #[error("{0} was there first")]
    Rival(String),
    /// Nothing came in time.
    #[error("no answer in {} s", .0.as_secs())]
    Late(Duration),
}

impl Signal {
    /// Joins a room with a first offer of one track, `track`.
    pub(super) async fn join(
        url: &str,
        token: &str,
        track: &str,
        offer: String,
    ) -> Result<(Self, Box<JoinResponse>), SignalError> {
        let request = join_request(track, offer);
        let url = format!("{}/rtc/v1?join_request={}", base(url), wrapped(&request));
        let mut signal = Self::connect(&url, token).await?;
        match signal.next().await? {
            Said::Join(joined) => Ok((signal, Box::new(joined))),
            other => {
                Err(SignalError::Unreadable(format!("expected a join, found {}", name(&other))))
            }
        }
    }

    async fn connect(url: &str, token: &str) -> Result<Self, SignalError> {
        let lost = |error: Error| SignalError::Lost(error.to_string());
        let mut request = url.into_client_request().map_err(lost)?;
        let bearer = format!("Bearer {token}").parse();
        let bearer = bearer.map_err(|_| SignalError::Lost("a token that is no header".into()))?;
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX));
        let connecting = connect_async_with_config(request, Some(limits), true);
        match timeout(CONNECT_LIMIT, connecting).await {
            Ok(Ok((socket, _))) => Ok(Self { socket }),
            Ok(Err(Error::Http(response))) => {
                let body = response.body().as_deref().unwrap_or_default();
                let why = String::from_utf8_lossy(&body[..body.len().min(WORDS)]);
                // A server echoes a token that it does not accept.
                let why = why.replace(token, "…").trim().to_owned();
                Err(SignalError::Refused { status: response.status().as_u16(), why })
            }
            Ok(Err(error)) => Err(lost(error)),
            Err(_) => Err(SignalError::Late(CONNECT_LIMIT)),
        }
    }

    /// What the server says next. Kinds that are not known are left out. Nothing is lost when the
    /// future is dropped.
    pub(super) async fn next(&mut self) -> Result<Said, SignalError> {
        loop {
            let next = poll_fn(|cx| Pin::new(&mut self.socket).poll_next(cx)).await;
            let bytes = match next {
                Some(Ok(Message::Binary(bytes))) => bytes,
                Some(Ok(Message::Close(_))) | None => {
                    return Err(SignalError::Lost("the server closed the connection".into()));
                }
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(SignalError::Lost(error.to_string())),
            };
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
        let bytes = SignalRequest { message: Some(message) }.encode_to_vec();
        let lost = |error: Error| SignalError::Lost(error.to_string());
        let sent = timeout(SEND_LIMIT, async {
            poll_fn(|cx| Pin::new(&mut self.socket).poll_ready(cx)).await.map_err(lost)?;
            Pin::new(&mut self.socket).start_send(Message::Binary(bytes.into())).map_err(lost)?;
            poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx)).await.map_err(lost)
        });
        sent.await.unwrap_or(Err(SignalError::Late(SEND_LIMIT)))
    }
}

fn join_request(track: &str, offer: String) -> JoinRequest {
    JoinRequest {
        client_info: Some(ClientInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            ..ClientInfo::default()
        }),
        // The caller alone is heard.
        connection_settings: Some(ConnectionSettings::default()),
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
        publisher_offer: Some(description(offer, 1)),
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

/// `ws` for `http`, without a slash at the end.
fn base(url: &str) -> String {
    let url = url.trim_end_matches('/');
    match url.strip_prefix("http") {
        Some(rest) => format!("ws{rest}"),
        None => url.to_owned(),
    }
}

/// What kind of message it is, for people.
fn name(said: &Said) -> String {
    let text = format!("{said:?}");
    text.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
}

/// The newest version whose data channels are opened in-band.
const PROTOCOL: i32 = 16;
/// Of a message: a room of hundreds fits.
const MESSAGE_MAX: usize = 1 << 20;
/// Of a refusal's words.
const WORDS: usize = 200;
/// For the connection and its upgrade.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// For one message to leave.
const SEND_LIMIT: Duration = Duration::from_secs(5);
