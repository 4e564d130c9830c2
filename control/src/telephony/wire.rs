//! A telephony peer's WebSocket.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_core::Stream;
use futures_sink::Sink;
use tokio::time::timeout;

use super::dialect::{Outbox, Wrong};

/// Reads one message after the other and writes what waits, whichever can go on.
pub(super) struct Wire {
    socket: WebSocket,
    pub(super) out: Outbox,
}

/// What comes from the peer.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A message.
    Text(Utf8Bytes),
    /// The peer closes the socket in order, with this code.
    Closed(u16),
    /// The connection is gone.
    Lost,
    /// Nothing that could be used.
    Wrong(Wrong),
}

impl Wire {
    pub(super) fn new(socket: WebSocket) -> Self {
        Self { socket, out: Outbox::default() }
    }

    /// The next message. Nothing is lost when this is dropped before it resolves.
    pub(super) async fn next(&mut self) -> Incoming {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        if self.poll_write(cx).is_err() {
            return Poll::Ready(Incoming::Lost);
        }
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Text(text))) => Incoming::Text(text),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Binary(_))) => Incoming::Wrong(Wrong::binary()),
                Some(Ok(Message::Close(frame))) => {
                    Incoming::Closed(frame.map_or(NO_CODE, |frame| frame.code))
                }
                Some(Err(error)) => broken(error),
                None => Incoming::Lost,
            });
        }
    }

    /// Writes as much as the socket takes.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), axum::Error> {
        while !self.out.is_empty() {
            match Pin::new(&mut self.socket).poll_ready(cx)? {
                Poll::Pending => break,
                Poll::Ready(()) => {
                    if let Some(text) = self.out.pop() {
                        Pin::new(&mut self.socket).start_send(Message::Text(text.into()))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes what waits and closes, within a time.
    pub(super) async fn close(mut self, code: u16, reason: &str) {
        let reason = cut(reason, REASON_BYTES_MAX).into();
        let farewell = async {
            while let Some(text) = self.out.pop() {
                self.socket.send(Message::Text(text.into())).await?;
            }
            self.socket.send(Message::Close(Some(CloseFrame { code, reason }))).await?;
            // Whoever closes with bytes unread resets the connection, and the peer may not read why.
            while let Some(Ok(_)) = self.socket.recv().await {}
            Ok::<(), axum::Error>(())
        };
        // How peers break off is their affair.
        let _ = timeout(CLOSE_LIMIT, farewell).await;
    }
}

fn broken(error: axum::Error) -> Incoming {
    use tungstenite::Error;
    use tungstenite::error::ProtocolError;

    match error.into_inner().downcast::<Error>().as_deref() {
        Ok(Error::Capacity(_)) => Incoming::Wrong(Wrong::large(format!(
            "a message has {MESSAGE_BYTES_MAX} bytes at most"
        ))),
        Ok(Error::Utf8(_)) => Incoming::Wrong(Wrong::data("bad_text", "text that is no UTF-8")),
        Ok(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Incoming::Lost,
        Ok(Error::Protocol(wrong)) => Incoming::Wrong(Wrong::frame(wrong.to_string())),
        _ => Incoming::Lost,
    }
}

/// At most `max` bytes, whole characters.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// RFC 6455 §7.4.1: stands for a close frame without a code.
pub(super) const NO_CODE: u16 = 1005;
/// Twice what Exotel's largest chunk (100 kB) takes in base64.
pub(super) const MESSAGE_BYTES_MAX: usize = 256 << 10;
/// RFC 6455 §5.5: a control frame has 125 bytes, two of them the code.
const REASON_BYTES_MAX: usize = 123;
/// For the last messages to be written and the peer's close frame to come.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
