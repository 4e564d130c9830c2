use std::io;
use std::net::SocketAddr;

use rsipstack::sip::Transport;
use rsipstack::transport::SipConnection;
use tokio::net::{TcpListener, UdpSocket};

use super::guard::{Verdict, inspect};
use super::{SipAddr, Wire};

/// Both sockets on one port.
pub(super) async fn bind_both(at: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    for _ in 0..BIND_TRIES {
        let udp = UdpSocket::bind(at).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            // The kernel's free UDP port may be somebody's TCP port.
            Err(error) if at.port() == 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no port is free for both UDP and TCP"))
}

pub(super) async fn serve(wire: &Wire) {
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let received = tokio::select! {
            () = wire.stack.stop.cancelled() => return,
            received = wire.udp.recv_raw(&mut buffer) => received,
        };
        // An ICMP error of an earlier send shows up here; the socket goes on.
        let Ok((len, from)) = received else { continue };
        let Ok(source) = from.get_socketaddr() else { continue };
        handle(wire, &buffer[..len], source, &from).await;
    }
}

async fn handle(wire: &Wire, datagram: &[u8], source: SocketAddr, from: &SipAddr) {
    if datagram.iter().all(u8::is_ascii_whitespace) {
        // RFC 5626 §4.4.1 has pings on streams only; some phones send them here to keep a NAT open.
        if datagram == b"\r\n\r\n" {
            let _ = wire.udp.send_raw(b"\r\n", from).await;
        }
        return;
    }
    match inspect(datagram, Transport::Udp, source) {
        Verdict::Pass(message) => {
            wire.pass(*message, SipConnection::Udp(wire.udp.clone()), source).await;
        }
        Verdict::Refuse(refusal) => {
            wire.stack.journal.refused(source, refusal.status, refusal.why);
            let _ = wire.udp.send_raw(&refusal.response, from).await;
        }
        Verdict::Drop(why) => wire.stack.journal.dropped(source, why),
    }
}

/// The largest datagram there is.
const DATAGRAM_MAX: usize = 65_535;
/// Tries to find a port that is free twice.
const BIND_TRIES: usize = 16;
