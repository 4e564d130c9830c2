//! The socket of one call: paces the talker, feeds the listener.

use std::io;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::media::{Heard, Listener, Talker};
use crate::network::{Network, Profile};

const FRAME: Duration = Duration::from_millis(20);
const DATAGRAM_BYTES: usize = 2_048;

/// Everything one call's media needs.
#[derive(Debug)]
pub struct Stream {
    /// Bound, and connected to the peer.
    pub socket: UdpSocket,
    /// What is said.
    pub talker: Talker,
    /// What is heard.
    pub listener: Listener,
    /// What lies between the talker and the socket.
    pub network: Profile,
    /// How long to go on listening after everything was said.
    pub tail: Duration,
    /// When to hang up at the latest.
    pub limit: Duration,
}

/// How the media part of a call went.
#[derive(Debug)]
pub struct StreamEnd {
    /// What was heard, in numbers.
    pub heard: Heard,
    /// What was heard, at the codec's rate, from the start of talking on.
    pub recording: Vec<i16>,
    /// Packets we made.
    pub sent: u64,
    /// Packets our own bad network lost.
    pub lost_on_purpose: u64,
    /// From the first packet to the end.
    pub duration: Duration,
    /// How late our own packets left, at worst: a large figure means that this machine, not the
    /// peer, disturbed the call.
    pub send_lateness_max: Duration,
}

impl Stream {
    /// Talks and listens until everything was said (and the tail is over), the limit is reached or
    /// `hung_up` is cancelled.
    pub async fn run(mut self, hung_up: CancellationToken) -> io::Result<StreamEnd> {
        let start = Instant::now();
        let frame = FRAME.mul_f64(1.0 - f64::from(self.network.drift_ppm) * 1e-6);
        let mut network = Network::new(self.network);
        let (mut sent, mut lateness_max, mut done_at) = (0u32, Duration::ZERO, None);
        let mut buffer = [0u8; DATAGRAM_BYTES];
        loop {
            let now = start.elapsed();
            while let Some(datagram) = network.deliver(start.elapsed()) {
                self.send(&datagram).await?;
            }
            if now >= frame * sent {
                lateness_max = lateness_max.max(now - frame * sent);
                network.send(now, self.talker.next_packet());
                sent += 1;
                continue;
            }
            if self.talker.is_done() {
                done_at.get_or_insert(now);
            }
            if now >= self.limit || done_at.is_some_and(|at| now >= at + self.tail) {
                break;
            }
            let wake = network.next_arrival().map_or(frame * sent, |at| at.min(frame * sent));
            tokio::select! {
                () = hung_up.cancelled() => break,
                received = self.socket.recv(&mut buffer) => match received {
                    Ok(len) => self.listener.receive(start.elapsed(), &buffer[..len]),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                    Err(error) => return Err(error),
                },
                () = sleep_until(start + wake) => {}
            }
        }
        let (heard, recording) = self.listener.finish();
        Ok(StreamEnd {
            heard,
            recording,
            sent: u64::from(sent),
            lost_on_purpose: network.lost(),
            duration: start.elapsed(),
            send_lateness_max: lateness_max,
        })
    }

    /// A peer that closed its port answers by ICMP; the call's own signalling decides about that.
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self.socket.send(datagram).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            other => other.map(|_| ()),
        }
    }
}
