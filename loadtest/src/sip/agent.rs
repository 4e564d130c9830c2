//! A SIP endpoint: its sockets, and who gets what comes in.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use rsipstack::EndpointBuilder;
use rsipstack::dialog::dialog::{Dialog, DialogState};
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::sip::{HasHeaders, Method, Scheme, StatusCode, Uri};
use rsipstack::transaction::TransactionReceiver;
use rsipstack::transaction::endpoint::{Endpoint, EndpointInnerRef};
use rsipstack::transaction::transaction::Transaction;
use rsipstack::transport::TransportLayer;
use rsipstack::transport::tcp_listener::TcpListenerConnection;
use rsipstack::transport::udp::UdpConnection;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::answering::{self, Incoming};
use super::{SipError, Transport};

/// What the socket may hold back: a thousand messages that come at once must not be lost by us.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// The stack's timers can miss the wake-up for one that is set while they go to sleep.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long a request waits for the ACK before it, and how often that is looked for.
const ACK_MAX: Duration = Duration::from_millis(500);
const ACK_LOOK: Duration = Duration::from_millis(2);
/// Calls that may wait to be taken up; more are refused.
const INCOMING_MAX: usize = 1_024;

/// A SIP endpoint that can hold thousands of calls. Its calls outlive it; what comes in for them
/// does not.
pub struct UserAgent {
    pub(super) dialogs: Arc<DialogLayer>,
    pub(super) contact: Uri,
    pub(super) transport: Transport,
    stop: CancellationToken,
}

/// An endpoint that is called. Gives the calls in the order in which they came.
#[derive(Debug)]
pub struct Listener {
    /// The endpoint.
    pub agent: UserAgent,
    calls: mpsc::Receiver<Incoming>,
}

impl std::fmt::Debug for UserAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserAgent")
            .field("contact", &self.contact.to_string())
            .finish_non_exhaustive()
    }
}

impl UserAgent {
    /// One that calls, from a port of the kernel's choice at `local`.
    pub async fn start(local: IpAddr, transport: Transport) -> Result<Self, SipError> {
        Self::bind(SocketAddr::new(local, 0), transport, None).await
    }

    async fn bind(
        local: SocketAddr,
        transport: Transport,
        calls: Option<mpsc::Sender<Incoming>>,
    ) -> Result<Self, SipError> {
        let stop = CancellationToken::new();
        let layer = TransportLayer::new(stop.clone());
        let socket = udp_socket(local).map_err(|e| SipError::Socket("binding SIP", e))?;
        let bound = socket.local_addr().map_err(|e| SipError::Socket("binding SIP", e))?;
        let udp = UdpConnection::from_socket(Arc::new(socket), None, Some(stop.child_token()));
        layer.add_transport(udp.await?.into());
        if calls.is_some() {
            layer.add_transport(TcpListenerConnection::new(bound, None).await?.into());
        }
        let endpoint = EndpointBuilder::new()
            .with_cancel_token(stop.clone())
            .with_transport_layer(layer)
            .with_user_agent(concat!("voxload/", env!("CARGO_PKG_VERSION")))
            .build();
        let contact = Uri {
            scheme: Some(Scheme::Sip),
            auth: None,
            host_with_port: bound.into(),
            params: Vec::new(),
            headers: Vec::new(),
        };
        let dialogs = Arc::new(DialogLayer::new(endpoint.inner.clone()));
        let incoming = endpoint.incoming_transactions()?;
        tokio::spawn(look_again(endpoint.inner.clone(), stop.clone()));
        tokio::spawn(serve(endpoint));
        tokio::spawn(route(dialogs.clone(), contact.clone(), incoming, calls));
        Ok(Self { dialogs, contact, transport, stop })
    }

    /// Calls that it has at the moment, those included that still ring.
    pub fn calls(&self) -> usize {
        self.dialogs.len()
    }
}

impl Drop for UserAgent {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Listener {
    /// Listens at `local` for SIP over UDP and TCP.
    pub async fn start(local: SocketAddr) -> Result<Self, SipError> {
        let (calls_in, calls) = mpsc::channel(INCOMING_MAX);
        let agent = UserAgent::bind(local, Transport::Udp, Some(calls_in)).await?;
        Ok(Self { agent, calls })
    }

    /// The next call; safe to be cancelled.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.calls.recv().await
    }
}

fn udp_socket(local: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(local)?;
    socket.set_nonblocking(true)?;
    // Beyond the system's limit where we may, up to it where we may not.
    if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER_BYTES)?;
    }
    UdpSocket::from_std(socket)
}

async fn serve(endpoint: Endpoint) {
    endpoint.serve().await;
}

async fn look_again(endpoint: EndpointInnerRef, stop: CancellationToken) {
    while !stop.is_cancelled() {
        _ = tokio::time::timeout(LOOK_AGAIN, endpoint.process_timer()).await;
    }
}

/// Requests of the other side: those of a call to its dialog, new calls to `calls`.
async fn route(
    dialogs: Arc<DialogLayer>,
    contact: Uri,
    mut incoming: TransactionReceiver,
    calls: Option<mpsc::Sender<Incoming>>,
) {
    while let Some(mut request) = incoming.recv().await {
        if let Some(mut dialog) = dialogs.match_dialog(&request) {
            tokio::spawn(async move {
                until_acknowledged(&dialog).await;
                dialog.handle(&mut request).await
            });
            continue;
        }
        match (&request.original.method, &calls) {
            (Method::Invite, Some(calls)) if !is_in_dialog(&request) => {
                answering::take(&dialogs, &contact, request, calls).await;
            }
            (Method::Options, Some(_)) => _ = request.reply(StatusCode::OK).await,
            _ => _ = request.reply(StatusCode::CallTransactionDoesNotExist).await,
        }
    }
}

/// The ACK that makes a call of what we answered goes to the INVITE's own task. What follows it closely may
/// be here first, and the stack would take a re-INVITE for the first one.
async fn until_acknowledged(dialog: &Dialog) {
    let Dialog::Invite(dialog) = dialog else { return };
    let deadline = Instant::now() + ACK_MAX;
    while matches!(dialog.state(), DialogState::WaitAck(..)) && Instant::now() < deadline {
        tokio::time::sleep(ACK_LOOK).await;
    }
}

/// Whether it has a tag of ours: then it belongs to a call that is over.
fn is_in_dialog(request: &Transaction) -> bool {
    let headers = request.original.headers().iter();
    let mut to = headers.filter_map(|header| match header {
        rsipstack::sip::Header::To(to) => Some(to.to_string()),
        _ => None,
    });
    to.next().is_some_and(|to| to.contains(";tag="))
}
