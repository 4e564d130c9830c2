use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rsipstack::sip::Transport;
use rsipstack::transport::tcp::TcpConnection;
use rsipstack::transport::{SipAddr, SipConnection};
use tokio::io::{AsyncReadExt, ReadHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::framing::{Frame, Framing, Lost};
use super::guard::{Verdict, inspect, refuse};
use super::head::Head;
use super::{WRITE_LIMIT, Wire};

/// The listener and the connections with peers, whoever opened them.
pub(in crate::sip) struct Tcp {
    listener: TcpListener,
    local: SocketAddr,
    room: Arc<Semaphore>,
    open: Mutex<HashMap<SocketAddr, Weak<Anchor>>>,
}

/// A connection that is open. Whoever holds it keeps it from being closed as idle.
pub(in crate::sip) struct Anchor {
    connection: TcpConnection,
    _room: OwnedSemaphorePermit,
}

impl Tcp {
    pub(super) fn new(listener: TcpListener, local: SocketAddr, connections: usize) -> Self {
        let room = Arc::new(Semaphore::new(connections));
        Self { listener, local, room, open: Mutex::default() }
    }

    pub(super) fn anchor(&self, peer: SocketAddr) -> Option<Arc<Anchor>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&peer)?.upgrade()
    }

    fn register(&self, peer: SocketAddr, anchor: &Arc<Anchor>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(peer, Arc::downgrade(anchor));
    }

    fn forget(&self, peer: SocketAddr) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer);
    }
}

/// Accepts until stopped.
pub(super) async fn serve(wire: &Wire) {
    loop {
        let accepted = tokio::select! {
            () = wire.stack.stop.cancelled() => return,
            accepted = wire.tcp.listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if adopt(wire, stream, peer).is_none() {
                    wire.stack.journal.dropped(peer, "too many connections");
                }
            }
            // Out of descriptors: accepting again at once would spin.
            Err(error) => {
                tracing::warn!(%error, "a SIP connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The open connection with `peer`, or a new one.
pub(super) async fn connection(wire: &Wire, peer: SocketAddr) -> std::io::Result<SipConnection> {
    if let Some(anchor) = wire.tcp.anchor(peer) {
        return Ok(SipConnection::Tcp(anchor.connection.clone()));
    }
    let stream = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(peer)).await??;
    let anchor = adopt(wire, stream, peer)
        .ok_or_else(|| std::io::Error::other("too many SIP connections"))?;
    Ok(SipConnection::Tcp(anchor.connection.clone()))
}

/// Takes a connection in and starts reading it; `None` when there is no room.
fn adopt(wire: &Wire, stream: TcpStream, peer: SocketAddr) -> Option<Arc<Anchor>> {
    let room = wire.tcp.room.clone().try_acquire_owned().ok()?;
    let _ = stream.set_nodelay(true);
    let local = SipAddr { r#type: Some(Transport::Tcp), addr: wire.tcp.local.into() };
    let connection =
        TcpConnection::from_stream(stream, local, Some(wire.stack.stop.child_token())).ok()?;
    let anchor = Arc::new(Anchor { connection, _room: room });
    wire.tcp.register(peer, &anchor);
    tokio::spawn(read(wire.clone(), anchor.clone(), peer));
    Some(anchor)
}

async fn read(wire: Wire, anchor: Arc<Anchor>, peer: SocketAddr) {
    // Ours is the only reader: the stack's own loop is never started.
    if let Some(half) = anchor.connection.inner.read_half.lock().await.take() {
        let end = read_until_end(&wire, &anchor, half, peer).await;
        tracing::debug!(%peer, end, "SIP connection closed");
    }
    wire.tcp.forget(peer);
    if let Some(token) = &anchor.connection.cancel_token {
        token.cancel();
    }
    let closed = async { anchor.connection.inner.close().await };
    let _ = tokio::time::timeout(WRITE_LIMIT, closed).await;
}

async fn read_until_end(
    wire: &Wire,
    anchor: &Arc<Anchor>,
    mut half: ReadHalf<TcpStream>,
    peer: SocketAddr,
) -> &'static str {
    let mut framing = Framing::default();
    let mut buffer = vec![0; READ_SIZE];
    // When the message that is coming in has to be whole.
    let mut whole_by = None;
    loop {
        let limit = whole_by.unwrap_or_else(|| Instant::now() + wire.stack.limits.idle);
        let read = tokio::select! {
            () = wire.stack.stop.cancelled() => return "stopped",
            read = tokio::time::timeout_at(limit, half.read(&mut buffer)) => read,
        };
        let len = match read {
            Ok(Ok(0)) => return "closed by peer",
            Ok(Ok(len)) => len,
            Ok(Err(_)) => return "broken",
            // The reader's own handle and nobody else's: no dialog needs it.
            Err(_) if whole_by.is_none() && Arc::strong_count(anchor) > 1 => continue,
            Err(_) => return "idle or slow",
        };
        framing.push(&buffer[..len]);
        let cut_some = match handle_frames(wire, anchor, &mut framing, peer).await {
            Ok(cut) => cut > 0,
            Err(lost) => {
                lose(wire, anchor, lost, peer).await;
                return "not SIP any more";
            }
        };
        whole_by = match (framing.is_waiting(), whole_by) {
            (false, _) => None,
            (true, Some(by)) if !cut_some => Some(by),
            (true, _) => Some(Instant::now() + wire.stack.limits.message),
        };
    }
}

async fn handle_frames(
    wire: &Wire,
    anchor: &Arc<Anchor>,
    framing: &mut Framing,
    peer: SocketAddr,
) -> Result<usize, Lost> {
    let mut cut = 0;
    while let Some(frame) = framing.next()? {
        cut += 1;
        let raw = match frame {
            Frame::Ping => {
                write(anchor, b"\r\n").await;
                continue;
            }
            Frame::Message(raw) => raw,
        };
        match inspect(&raw, Transport::Tcp, peer) {
            Verdict::Pass(message) => {
                let connection = SipConnection::Tcp(anchor.connection.clone());
                wire.pass(*message, connection, peer).await;
            }
            Verdict::Refuse(refusal) => {
                wire.stack.journal.refused(peer, refusal.status, refusal.why);
                write(anchor, &refusal.response).await;
            }
            Verdict::Drop(why) => wire.stack.journal.dropped(peer, why),
        }
    }
    Ok(cut)
}

/// Says what is wrong, if it can be said, before the connection is closed.
async fn lose(wire: &Wire, anchor: &Arc<Anchor>, lost: Lost, peer: SocketAddr) {
    let head = lost.head.as_deref().and_then(|bytes| Head::cut(bytes).ok());
    match head.map(|head| refuse(&head, 400, lost.why, peer)) {
        Some(Verdict::Refuse(refusal)) => {
            wire.stack.journal.refused(peer, refusal.status, refusal.why);
            write(anchor, &refusal.response).await;
        }
        _ => wire.stack.journal.dropped(peer, lost.why),
    }
}

async fn write(anchor: &Arc<Anchor>, bytes: &[u8]) {
    let _ = tokio::time::timeout(WRITE_LIMIT, anchor.connection.inner.send_raw(bytes)).await;
}

/// To reach a peer that we have a request for.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);
/// After a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Bytes of one read: most messages fit.
const READ_SIZE: usize = 4_096;
