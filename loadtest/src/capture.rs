//! A call's packets as they were on the wire, for Wireshark and for tests.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

/// Datagrams of one call's media, RTP and RTCP, in the order in which we sent and took them.
#[derive(Debug, Clone)]
pub struct Capture {
    local: SocketAddr,
    peer: SocketAddr,
    packets: Vec<Packet>,
    /// Packets beyond [`Capture::PACKETS_MAX`].
    missed: u64,
}

/// One datagram.
#[derive(Debug, Clone)]
struct Packet {
    at: SystemTime,
    outgoing: bool,
    bytes: Vec<u8>,
}

impl Capture {
    /// Packets that are kept, so that a call left running cannot eat the machine: two hours and more.
    pub const PACKETS_MAX: usize = 800_000;

    /// Of what goes between us and `peer`.
    pub fn new(local: SocketAddr, peer: SocketAddr) -> Self {
        Self { local, peer, packets: Vec::new(), missed: 0 }
    }

    /// Keeps a datagram that leaves now.
    pub fn sent(&mut self, bytes: &[u8]) {
        self.keep(SystemTime::now(), true, bytes);
    }

    /// Keeps a datagram that the kernel had `at` that time.
    pub fn received(&mut self, at: SystemTime, bytes: &[u8]) {
        self.keep(at, false, bytes);
    }

    /// Packets that were not kept.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Writes a pcap file: times in nanoseconds, packets from the IP header on (`LINKTYPE_RAW`).
    pub fn write_pcap(&self, mut out: impl Write) -> io::Result<()> {
        // Magic of nanoseconds, version 2.4, UTC, snapshot length, link type.
        for word in [0xa1b2_3c4d_u32, 4 << 16 | 2, 0, 0, 65_535, 101] {
            out.write_all(&word.to_le_bytes())?;
        }
        for packet in &self.packets {
            let (from, to) =
                if packet.outgoing { (self.local, self.peer) } else { (self.peer, self.local) };
            let head = headers(from, to, &packet.bytes);
            let since = packet.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let len = (head.len() + packet.bytes.len()) as u32;
            for word in [since.as_secs() as u32, since.subsec_nanos(), len, len] {
                out.write_all(&word.to_le_bytes())?;
            }
            out.write_all(&head)?;
            out.write_all(&packet.bytes)?;
        }
        out.flush()
    }

    fn keep(&mut self, at: SystemTime, outgoing: bool, bytes: &[u8]) {
        if self.packets.len() == Self::PACKETS_MAX {
            self.missed += 1;
            return;
        }
        self.packets.push(Packet { at, outgoing, bytes: bytes.to_vec() });
    }
}

/// IP and UDP headers that this datagram could have had.
fn headers(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let udp_len = (8 + payload.len()) as u16;
    let mut udp = [from.port(), to.port(), udp_len, 0].map(u16::to_be_bytes).concat();
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            // Version and length, DSCP, total length, id, don't fragment, 64 hops, UDP. Over IPv4 the
            // UDP checksum may be left out (RFC 768).
            let words = [0x4500, 20 + udp_len, 0, 0x4000, 64 << 8 | 17, 0];
            let mut ip = words.map(u16::to_be_bytes).concat();
            ip.extend(from.octets().into_iter().chain(to.octets()));
            let sum = checksum(&ip).to_be_bytes();
            ip[10..12].copy_from_slice(&sum);
            ip.extend(udp);
            ip
        }
        (from, to) => {
            let octets = |ip| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            let addresses = [octets(from), octets(to)].concat();
            // RFC 8200 §8.1: here it may not be left out.
            let pseudo = [0, udp_len, 0, 17].map(u16::to_be_bytes).concat();
            let sum = checksum(&[&addresses[..], &pseudo, &udp, payload].concat());
            udp[6..8].copy_from_slice(&sum.to_be_bytes());
            // Version, payload length, UDP, 64 hops.
            let ip = [0x6000, 0, udp_len, 17 << 8 | 64].map(u16::to_be_bytes).concat();
            [ip, addresses, udp].concat()
        }
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| low.into());
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pcap(local: &str, peer: &str) -> Vec<u8> {
        let mut capture = Capture::new(local.parse().unwrap(), peer.parse().unwrap());
        capture.received(UNIX_EPOCH + Duration::new(7, 1_234), b"odd");
        let mut file = vec![];
        capture.write_pcap(&mut file).unwrap();
        file
    }

    #[test]
    fn a_pcap_file_holds_times_addresses_and_bytes() {
        for (local, peer, ip) in
            [("127.0.0.1:4000", "127.0.0.1:5000", 20), ("[::1]:4000", "[::1]:5000", 40)]
        {
            let file = pcap(local, peer);
            let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
            assert_eq!([word(24), word(28), word(32)], [7, 1_234, ip + 8 + 3], "{local}");
            let packet = &file[40..];
            let udp = &packet[ip as usize..];
            assert_eq!(&udp[..4], [5_000_u16, 4_000].map(u16::to_be_bytes).concat(), "{local}");
            assert_eq!(&udp[8..], b"odd", "{local}");
        }
    }

    #[test]
    fn checksums_over_what_they_protect_are_zero() {
        let file = pcap("127.0.0.1:4000", "127.0.0.1:5000");
        assert_eq!(checksum(&file[40..60]), 0);
        let file = pcap("[::1]:4000", "[fe80::1]:5000");
        let (ip, udp) = file[40..].split_at(40);
        let pseudo = [0, 11, 0, 17].map(u16::to_be_bytes).concat();
        assert_eq!(checksum(&[&ip[8..], &pseudo, udp].concat()), 0);
        // The example of RFC 1071 §3.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }
}
