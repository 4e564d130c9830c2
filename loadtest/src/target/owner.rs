//! Which process of this machine takes calls on a port.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use super::tree::numbers;

/// The process whose UDP or TCP socket takes what is sent to `address`, if it is on this machine and
/// we may see it.
pub fn owner_of(address: SocketAddr) -> Option<u32> {
    if !is_here(address.ip()) {
        return None;
    }
    let inode = ["udp", "udp6", "tcp", "tcp6"].iter().find_map(|table| {
        let sockets = fs::read_to_string(format!("/proc/net/{table}")).ok()?;
        inode_on(&sockets, table.starts_with("tcp"), address.port())
    })?;
    let socket = format!("socket:[{inode}]");
    numbers("/proc").find(|process| {
        let directory = format!("/proc/{process}/fd");
        numbers(&directory).any(|fd| {
            fs::read_link(format!("{directory}/{fd}"))
                .is_ok_and(|link| link.as_os_str() == &*socket)
        })
    })
}

fn is_here(ip: IpAddr) -> bool {
    // Only an address of this machine can be bound.
    ip.is_loopback() || std::net::UdpSocket::bind((ip, 0)).is_ok()
}

/// In a table of `/proc/net`: the inode of the socket that is bound to `port` and not to a peer.
fn inode_on(table: &str, tcp: bool, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let local = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
        let unconnected = fields.get(2)?.ends_with(":0000");
        // 0A: listening.
        let takes = unconnected && (!tcp || *fields.get(3)? == "0A");
        let inode = fields.get(9)?.parse().ok()?;
        (local == port && takes && inode != 0).then_some(inode)
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn a_socket_of_ours_is_ours() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        for address in [udp.local_addr().unwrap(), tcp.local_addr().unwrap()] {
            assert_eq!(owner_of(address), Some(std::process::id()), "{address}");
        }
        assert_eq!(owner_of("192.0.2.1:5060".parse().unwrap()), None);
    }
}
