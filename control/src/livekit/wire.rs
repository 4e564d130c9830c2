//! A WebSocket to a LiveKit server, as far as messages go: bytes in, bytes out.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::header::AUTHORIZATION;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message};

use super::signal::SignalError;

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// Something that came.
#[derive(Debug)]
pub(super) enum Frame {
    /// A message.
    Binary(Bytes),
    /// A message in words, which we never ask for.
    Text,
    /// A sign of life.
    Ping,
}

impl Wire {
    /// Connects to `path` of the server at `url`.
    pub(super) async fn connect(url: &str, path: &str, token: &str) -> Result<Self, SignalError> {
        let lost = |error: Error| SignalError::Lost(error.to_string());
        let mut request = format!("{}{path}", base(url)).into_client_request().map_err(lost)?;
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
                let why = words(&String::from_utf8_lossy(body), token);
                Err(SignalError::Refused { status: response.status().as_u16(), why })
            }
            Ok(Err(error)) => Err(lost(error)),
            Err(_) => Err(SignalError::Late(CONNECT_LIMIT)),
        }
    }

    /// What comes next. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Frame, SignalError> {
        match poll_fn(|cx| Pin::new(&mut self.socket).poll_next(cx)).await {
            Some(Ok(Message::Binary(bytes))) => Ok(Frame::Binary(bytes)),
            Some(Ok(Message::Text(_))) => Ok(Frame::Text),
            Some(Ok(Message::Close(_))) | None => {
                Err(SignalError::Lost("the server closed the connection".into()))
            }
            Some(Ok(_)) => Ok(Frame::Ping),
            Some(Err(error)) => Err(SignalError::Lost(error.to_string())),
        }
    }

    /// Sends a message.
    pub(super) async fn send(&mut self, bytes: Vec<u8>) -> Result<(), SignalError> {
        let lost = |error: Error| SignalError::Lost(error.to_string());
        let sent = timeout(SEND_LIMIT, async {
            poll_fn(|cx| Pin::new(&mut self.socket).poll_ready(cx)).await.map_err(lost)?;
            Pin::new(&mut self.socket).start_send(Message::Binary(bytes.into())).map_err(lost)?;
            poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx)).await.map_err(lost)
        });
        sent.await.unwrap_or(Err(SignalError::Late(SEND_LIMIT)))
    }
}

/// The first of what a server says, without the token: it echoes one that it does not accept, perhaps
/// not to the end.
fn words(said: &str, token: &str) -> String {
    let head = token.split('.').next().unwrap_or(token);
    let clean = said.split_whitespace().map(|word| match word.find(head) {
        Some(at) if !head.is_empty() => format!("{}…", &word[..at]),
        _ => word.to_owned(),
    });
    clean.collect::<Vec<_>>().join(" ").chars().take(WORDS).collect()
}

/// `ws` for `http`, without a slash at the end.
fn base(url: &str) -> String {
    let url = url.trim_end_matches('/');
    match url.strip_prefix("http") {
        Some(rest) => format!("ws{rest}"),
        None => url.to_owned(),
    }
}

/// Of a message: a room of hundreds fits.
const MESSAGE_MAX: usize = 1 << 20;
/// Of a refusal's words, in characters.
const WORDS: usize = 200;
/// For the connection and its upgrade.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// For one message to leave.
const SEND_LIMIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_a_few_words_without_any_part_of_the_token() {
        let token = "eyJhead.claims.signature";
        let rows = [
            (
                "invalid token: eyJhead.claims.signature, error: late",
                "invalid token: … error: late",
            ),
            ("invalid token: eyJhead.cla", "invalid token: …"),
            ("token=eyJhead", "token=…"),
            ("  no such\r\nroom ", "no such room"),
            ("", ""),
        ];
        for (said, expected) in rows {
            assert_eq!(words(said, token), expected);
        }
        assert_eq!(words(&"é".repeat(1_000), token).chars().count(), WORDS);
    }
}
