//! The socket of one call: paces the talker, feeds the listener.

use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::capture::Capture;
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
    /// Where packets are kept, if they are.
    pub capture: Option<Capture>,
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
    /// The packets, if they were kept.
    pub capture: Option<Capture>,
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
        setsockopt(&self.socket, sockopt::ReceiveTimestampns, &true)?;
        let start = Instant::now();
        let frame = self.network.drifted(FRAME);
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
                received = receive(&self.socket, &mut buffer) => match received {
                    Ok((len, at)) => self.take(start.elapsed(), at, &buffer[..len]),
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
            capture: self.capture,
            sent: u64::from(sent),
            lost_on_purpose: network.lost(),
            duration: start.elapsed(),
            send_lateness_max: lateness_max,
        })
    }

    fn take(&mut self, since_start: Duration, at: SystemTime, datagram: &[u8]) {
        if let Some(capture) = &mut self.capture {
            capture.received(at, datagram);
        }
        self.listener.receive(since_start, datagram);
    }

    /// A peer that closed its port answers by ICMP; the call's own signalling decides about that.
    async fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        if let Some(capture) = &mut self.capture {
            capture.sent(datagram);
        }
        match self.socket.send(datagram).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

/// A datagram's length, and when the kernel had it: this machine may get round to us later.
async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SystemTime)> {
    let receive = || {
        let mut parts = [IoSliceMut::new(buffer)];
        let mut space = nix::cmsg_space!(TimeSpec);
        let flags = MsgFlags::empty();
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        let stamp = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(at) => Some(UNIX_EPOCH + Duration::from(at)),
            _ => None,
        });
        Ok((message.bytes, stamp.unwrap_or_else(SystemTime::now)))
    };
    socket.async_io(Interest::READABLE, receive).await
}
