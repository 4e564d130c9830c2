//! The wire: sockets, framing, and the checks that come before the SIP stack.
//!
//! The stack brings its own read loops, which answer nothing to what they cannot read and bound
//! neither connections nor messages. Here the reading is ours; parsing, transactions and writing
//! stay the stack's.

mod framing;
mod guard;
mod head;
mod tcp;
mod udp;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::{SipMessage, Transport};
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipAddr, SipConnection};
use tokio_util::sync::CancellationToken;

use super::SipLimits;
use super::journal::Journal;
use super::mailbox::Dialogs;
pub(super) use tcp::Tcp;

/// What stands behind the wire.
#[derive(Clone)]
pub(super) struct Stack {
    pub(super) endpoint: EndpointInnerRef,
    pub(super) journal: Arc<Journal>,
    pub(super) limits: SipLimits,
    pub(super) dialogs: Dialogs,
    pub(super) stop: CancellationToken,
}

/// Both transports of the endpoint.
#[derive(Clone)]
pub(super) struct Wire {
    stack: Stack,
    udp: UdpConnection,
    tcp: Arc<Tcp>,
}

impl Wire {
    /// Binds UDP and TCP to the same address. Port 0 takes one that both have free.
    pub(super) async fn bind(at: SocketAddr, stack: Stack) -> std::io::Result<(Self, SocketAddr)> {
        let (udp, tcp) = udp::bind_both(at).await?;
        let local = udp.local_addr()?;
        let udp = UdpConnection::from_socket(Arc::new(udp), None, Some(stack.stop.clone()))
            .await
            .map_err(std::io::Error::other)?;
        let tcp = Arc::new(Tcp::new(tcp, local, stack.limits.connections));
        Ok((Self { stack, udp, tcp }, local))
    }

    /// Reads until stopped.
    pub(super) async fn serve(self) {
        tokio::join!(udp::serve(&self), tcp::serve(&self));
    }

    /// The connection for a request of ours to `to`: for TCP the open one with that peer, or a
    /// new one. Bounded by the connect limit.
    pub(super) async fn connection(
        &self,
        transport: Transport,
        to: SocketAddr,
    ) -> std::io::Result<SipConnection> {
        match transport {
            Transport::Tcp => tcp::connection(self, to).await,
            _ => Ok(SipConnection::Udp(self.udp.clone())),
        }
    }

    /// Keeps the TCP connection with `peer` from being closed as idle, for as long as it is held.
    pub(super) fn hold(&self, peer: SocketAddr) -> Option<Arc<tcp::Anchor>> {
        self.tcp.anchor(peer)
    }

    /// The stack's endpoint.
    pub(super) fn endpoint(&self) -> EndpointInnerRef {
        self.stack.endpoint.clone()
    }

    /// Hands a message to the stack, unless the stack has too much in hand already. What belongs to
    /// a call in progress passes all the same, or a flood would keep callers from hanging up: calls
    /// are bounded by their slots, and what one of them may ask for by the second bound.
    async fn pass(&self, message: SipMessage, connection: SipConnection, source: SocketAddr) {
        let transport = connection.transport();
        if matches!(&message, SipMessage::Response(response)
            if self.stack.dialogs.take_again(response))
        {
            return;
        }
        let opens = matches!(&message, SipMessage::Request(request)
            if request.method != rsipstack::sip::Method::Ack);
        let may_pass = |message: &SipMessage| match message {
            SipMessage::Request(request) => {
                self.stack.dialogs.knows(request) && !self.is_overloaded(IN_DIALOG_SHARE)
            }
            SipMessage::Response(_) => true,
        };
        if opens && self.is_overloaded(1) && !may_pass(&message) {
            return self.stack.journal.dropped(source, "too many transactions");
        }
        let Ok(message) = SipConnection::update_msg_received(message, source, transport) else {
            return self.stack.journal.dropped(source, "unreadable Via");
        };
        let from = SipAddr { r#type: Some(transport), addr: source.into() };
        let handed = self.stack.endpoint.on_received_message(message, connection, &from);
        // A repeated answer is sent from in here: a peer that does not read must not hold us.
        match tokio::time::timeout(WRITE_LIMIT, handed).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.stack.journal.dropped(source, &error.to_string()),
            Err(_) => self.stack.journal.dropped(source, "peer does not read"),
        }
    }

    /// Whether the stack holds so many times what it may.
    fn is_overloaded(&self, times: usize) -> bool {
        let (endpoint, limits) = (&self.stack.endpoint, &self.stack.limits);
        endpoint.transactions.len() >= limits.transactions * times
            || endpoint.finished_transactions.len() >= limits.answers * times
    }
}

/// Our own address as `peer` sees it: `bound`, or what the kernel would send from when that is
/// unspecified.
pub(super) fn local_ip_towards(bound: IpAddr, peer: SocketAddr) -> IpAddr {
    if !bound.is_unspecified() {
        return bound;
    }
    let routed = UdpSocket::bind((bound, 0)).and_then(|probe| {
        probe.connect(peer)?;
        probe.local_addr()
    });
    routed.map_or(bound, |address| address.ip())
}

/// Calls in progress may double what the stack holds: with 2,000 calls, four requests a second each.
const IN_DIALOG_SHARE: usize = 2;
/// How long a write to one peer may take.
pub(super) const WRITE_LIMIT: Duration = Duration::from_secs(2);
