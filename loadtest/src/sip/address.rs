//! SIP addresses, and the socket addresses behind them.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};

use super::SipError;

/// Host and port of `sip:user@host[:port]`; port 5060 when none is given.
pub fn host_of(uri: &str) -> Result<String, SipError> {
    let bad = || SipError::BadUri(uri.to_owned());
    let rest = uri.strip_prefix("sip:").ok_or_else(bad)?;
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split([';', '?']).next().filter(|host| !host.is_empty()).ok_or_else(bad)?;
    let literal_v6 = host.ends_with(']');
    let (name, port) = match host.rsplit_once(':').filter(|_| !literal_v6) {
        Some((name, port)) => (name, port.parse::<u16>().map_err(|_| bad())?),
        None => (host, 5060),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    match !name.is_empty() && name.chars().all(plain) && port > 0 {
        true => Ok(format!("{name}:{port}")),
        false => Err(bad()),
    }
}

/// The socket address behind a SIP address.
pub fn resolve(uri: &str) -> Result<SocketAddr, SipError> {
    let host = host_of(uri)?;
    let lookup = |error| SipError::Lookup(host.clone(), error);
    let none = || io::Error::new(io::ErrorKind::NotFound, "it has no address");
    let mut addresses = host.to_socket_addrs().map_err(lookup)?;
    addresses.next().ok_or_else(|| lookup(none()))
}

/// The address packets to `peer` leave from, asked of the kernel's routing table.
pub fn source_address(peer: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
    let probe = UdpSocket::bind((any, 0))?;
    probe.connect(peer)?;
    Ok(probe.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for (uri, expected) in [
            ("sip:echo@127.0.0.1:5070", Some("127.0.0.1:5070")),
            ("sip:echo@pbx.example", Some("pbx.example:5060")),
            ("sip:127.0.0.1", Some("127.0.0.1:5060")),
            ("sip:echo@[::1]", Some("[::1]:5060")),
            ("sip:echo@[::1]:5070;transport=tcp", Some("[::1]:5070")),
            ("echo@127.0.0.1", None),
            ("sip:echo@", None),
            ("sip:echo@host:port", None),
            ("sip:echo@ho st", None),
            ("sip:echo@host:0", None),
        ] {
            assert_eq!(host_of(uri).ok().as_deref(), expected, "{uri}");
        }
    }
}
