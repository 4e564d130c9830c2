//! A telephony peer's audio as RTP, over loopback to the engine's own port and back.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};
use vox_call::{Direction, MediaSession};
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_rtp::RtpPacket;

use super::inlet::{FRAME_BYTES, Inlet, PACKET_BYTES};

/// Our end of a call's media. The other end is the engine's: jitter buffer, pacing, recording and
/// limits are those of any call.
#[derive(Debug)]
pub(super) struct Media {
    /// Connected to the engine's port: nobody else is heard.
    socket: UdpSocket,
    inlet: Inlet,
    began: Instant,
    /// What the bot said last, PCM16, little endian.
    said: Vec<u8>,
}

impl Media {
    /// An end of its own for the call that listens at `rtp`.
    pub(super) async fn open(rtp: SocketAddr, seed: u64) -> io::Result<Self> {
        let ip = match rtp.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let socket = UdpSocket::bind((ip, 0)).await?;
        socket.connect((ip, rtp.port())).await?;
        let inlet = Inlet::new(seed, PAYLOAD_TYPE);
        Ok(Self { socket, inlet, began: Instant::now(), said: Vec::with_capacity(FRAME_BYTES) })
    }

    /// What the engine is to agree on: L16 in packets of 20 ms.
    pub(super) fn session(&self) -> io::Result<MediaSession> {
        Ok(MediaSession {
            remote: self.socket.local_addr()?,
            remote_rtcp: None,
            rtcp_mux: false,
            payload_type: PAYLOAD_TYPE,
            event_payload_type: None,
            noise_payload_type: None,
            direction: Direction::SendRecv,
            ptime_ms: 20,
            encoder: Encoder::new(CodecKind::L16),
            decoder: Decoder::new(CodecKind::L16),
        })
    }

    /// Takes the caller's audio and hands over what is due. Returns how many frames had to go.
    pub(super) fn hear(&mut self, pcm: &[u8]) -> u64 {
        let dropped = self.inlet.push(self.now(), pcm);
        self.hand_over();
        dropped
    }

    /// Forgets the caller's audio that was not handed over.
    pub(super) fn clear(&mut self) {
        self.inlet.clear();
    }

    /// The bot's next 20 ms. Meanwhile hands over what waits, when it is due.
    pub(super) async fn said(&mut self) -> &[u8] {
        let mut packet = [0; PACKET_BYTES_MAX];
        loop {
            let due = self.inlet.due(self.now());
            let len = tokio::select! {
                received = self.socket.recv(&mut packet) => match received {
                    Ok(len) => len,
                    // An ICMP error of a port that is closed: the call ends, and that is told elsewhere.
                    Err(_) => continue,
                },
                () = sleep_until(self.began + due.unwrap_or_default()), if due.is_some() => {
                    self.hand_over();
                    continue;
                }
            };
            let Ok(packet) = RtpPacket::parse(&packet[..len]) else { continue };
            if packet.header.payload_type == PAYLOAD_TYPE {
                self.said.clear();
                let samples = packet.payload.as_chunks::<2>().0;
                self.said.extend(samples.iter().flat_map(|[high, low]| [*low, *high]));
                return &self.said;
            }
        }
    }

    fn hand_over(&mut self) {
        let (now, mut packet) = (self.now(), [0; PACKET_BYTES]);
        while let Some(len) = self.inlet.pop(now, &mut packet) {
            // Loopback does not block; a packet that is lost all the same is one the engine counts.
            let _ = self.socket.try_send(&packet[..len]);
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

/// Dynamic (RFC 3551 §6): L16 at 8 kHz has no number of its own.
const PAYLOAD_TYPE: u8 = 97;
/// The engine sends 20 ms.
const PACKET_BYTES_MAX: usize = 1_500;
