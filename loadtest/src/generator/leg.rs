use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;
use vox_ring::{SocketKey, sys};

use super::config::{LegSpec, Refused};
use super::link::{Link, Order};
use super::report::LegReport;
use super::thread::{Agreement, LegState};
use crate::media::{Agreed, DIGITS_MAX, Direction};

/// One leg: a socket, what is said on it and what is heard.
///
/// ```text
///  open ──► listening, silent ──start──► talking ──change──► talking, on hold ... ──stop──► report
///                                           └───vanish──► silent and deaf ──────────stop──►
/// ```
///
/// All but [`stop`](Self::stop) take effect within a millisecond. Dropped without it, the leg ends
/// and nobody hears what it was like.
#[derive(Debug)]
pub struct Leg {
    link: Arc<Link>,
    key: SocketKey,
    local: SocketAddr,
    spec: LegSpec,
    started: AtomicBool,
    /// telephone-event was agreed on.
    events: AtomicBool,
}

/// Why digits cannot be pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigitsError {
    /// Only `0-9 * # A-D` can.
    #[error("{0:?} is no digit: expected 0-9, *, # or A-D")]
    NotADigit(char),
    /// Too many at once.
    #[error("at most {DIGITS_MAX} digits at once, not {0}")]
    TooMany(usize),
    /// The peer takes none.
    #[error("telephone-event was not agreed on: digits cannot be sent")]
    NoTelephoneEvent,
}

/// A thread of the generator has died, by a bug, and with it what it knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a generator thread has died")]
pub struct Died;

impl Leg {
    pub(super) fn open(
        link: Arc<Link>,
        key: SocketKey,
        bind: IpAddr,
        spec: LegSpec,
    ) -> Result<Self, Refused> {
        let bound = bind_media(bind);
        let (socket, local) = bound.inspect_err(|_| link.return_row(key))?;
        if !link.tell(Order::Open(LegState::new(key, socket, &spec))) {
            link.left();
            return Err(Refused::Died);
        }
        Ok(Self { link, key, local, spec, started: false.into(), events: false.into() })
    }

    /// Where it is heard: for the SDP.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Talks and listens as agreed, from now on: times in the report count from here.
    ///
    /// The first leg of a codec encodes its speech here, unless [`Speech::prepare`](super::Speech)
    /// has.
    pub fn start(&self, agreed: Agreed) {
        self.change(agreed, Direction::SendRecv);
    }

    /// What a re-INVITE has changed. Where the direction does not let us talk nothing is sent, and
    /// where it does not let us listen nothing is expected; timestamps go on.
    pub fn change(&self, agreed: Agreed, direction: Direction) {
        self.events.store(agreed.event_payload_type.is_some(), Ordering::Relaxed);
        let is_first = !self.started.swap(true, Ordering::Relaxed);
        let agreement = Agreement::new(agreed, direction, &self.spec, is_first);
        self.link.tell(Order::Agree(self.key, Box::new(agreement)));
    }

    /// Presses digits (RFC 4733) in place of speech, after those that are still to be pressed.
    pub fn digits(&self, digits: &str) -> Result<(), DigitsError> {
        if let Some(odd) = digits.chars().find(|&c| vox_rtp::event::code_of(c).is_none()) {
            return Err(DigitsError::NotADigit(odd));
        }
        if digits.len() > DIGITS_MAX {
            return Err(DigitsError::TooMany(digits.len()));
        }
        if !self.events.load(Ordering::Relaxed) {
            return Err(DigitsError::NoTelephoneEvent);
        }
        self.link.tell(Order::Digits(self.key, digits.to_owned()));
        Ok(())
    }

    /// Stops sending and reading without a word, as a caller whose phone has lost its network. The
    /// socket stays bound.
    pub fn vanish(&self) {
        self.link.tell(Order::Vanish(self.key));
    }

    /// Ends it. To be called before the BYE is sent: what a peer does not send any more after that
    /// counts as a gap.
    pub async fn stop(self) -> Result<LegReport, Died> {
        let (answer, ended) = oneshot::channel();
        self.link.tell(Order::Stop(self.key, Some(answer)));
        Ok(ended.await.map_err(|_| Died)?.report())
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        // After `stop` the thread does not know the key any more.
        self.link.tell(Order::Stop(self.key, None));
        self.link.left();
    }
}

/// A socket on an even port: the odd one above it is where the peer sends its RTCP (RFC 3550 §11),
/// which must not reach another leg.
fn bind_media(bind: IpAddr) -> std::io::Result<(UdpSocket, SocketAddr)> {
    let mut odd = Vec::new();
    loop {
        let socket = UdpSocket::bind((bind, 0))?;
        let local = socket.local_addr()?;
        if local.port() % 2 == 0 || odd.len() == ODD_PORTS_MAX {
            socket.set_nonblocking(true)?;
            sys::prepare_media_socket(&socket, QUEUE_BYTES)?;
            sys::stamp_arrivals(&socket)?;
            return Ok((socket, local));
        }
        odd.push(socket);
    }
}

/// Where even ports are this rare any port will do.
const ODD_PORTS_MAX: usize = 16;
/// For two seconds of G.711, as the kernel counts: a packet is 172 bytes, and some 600 of its own.
const QUEUE_BYTES: i32 = 80_000;
