//! Symmetric RTP: to whom we listen and send, when the address in the SDP cannot be trusted.
//!
//! A caller behind a NAT signals an address that we can never reach; what its packets really come
//! from is the address to answer to. But whoever believes the first packet can be fed by anybody
//! who guesses the port. So:
//!
//! ```text
//!                     first valid packet, not from the signalled address
//!          ┌─────────┐ ─────────────────────────────────────────────► ┌─────────────┐
//!  answer ►│ Waiting │                                                │ Provisional │
//!          └─────────┘ ◄───────────────────────────────────────────── └─────────────┘
//!               │       window over, and it was not a sustained stream     │      │
//!               │ from the signalled address                               │      └─► a better
//!               │                     signalled address seen, or window    │          ranked
//!               ▼                     over with a sustained stream         │          source
//!          ┌─────────┐ ◄───────────────────────────────────────────────────┘          replaces it
//!          │ Latched │
//!          └─────────┘ ─────────────── silent for 1 s ──────────────► ┌──────────┐
//!               ▲ ◄────────── the same source, or a move ──────────── │ Reopened │
//!               └─ a re-INVITE with another address: back to Waiting  └──────────┘
//! ```
//!
//! **Before a source is believed** we send to the signalled address. A source ranks by how well it
//! agrees with the signalling: the very address; the same host with another port (a NAT that maps
//! ports); a stranger (a caller behind a NAT that signals its private address). The very address
//! is believed at once. Anything else is provisional for [`WINDOW`]: we listen and send to it, but
//! a better ranked source takes over. When the window ends it must have been a stream
//! ([`SUSTAINED`] packets): a single stray or sprayed packet locks nobody out.
//!
//! **Once latched** the kernel drops strangers (the socket is connected), and nothing but silence
//! opens it again. An attacker who sprays a call in progress is never read.
//!
//! **After silence** of [`REOPEN_AFTER`] the port is open again, because a NAT may have rebound or a
//! phone changed networks. The same source is taken back as it was. A new one must carry the
//! running stream on: the same SSRC, a negotiated payload type, *and* the same host as before or
//! the address signalled since. SSRC alone is not enough, it was on the wire for anyone to see;
//! the host alone is not, it may be a carrier's gateway with a thousand other calls on it.
//!
//! **A re-INVITE with a new address** starts from Waiting: the signalling has vouched for the move.
//! One without (hold, codec change, `0.0.0.0`) changes nothing here.

use std::net::SocketAddr;
use std::time::Duration;

use crate::MediaTime;

/// How long a source that is not the signalled one stays provisional.
pub(crate) const WINDOW: Duration = Duration::from_secs(1);
/// Packets that make a provisional source a stream.
pub(crate) const SUSTAINED: u32 = 5;
/// Silence after which the port is open again.
pub(crate) const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// To whom a leg listens and sends.
#[derive(Debug)]
pub(crate) struct Latch {
    signalled: SocketAddr,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Provisional { source: SocketAddr, since: MediaTime, packets: u32 },
    Latched { source: SocketAddr, heard: MediaTime },
    Reopened { source: SocketAddr },
}

/// What became of a valid packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// From the source we listen to.
    Known,
    /// From a source that we listen to from now on; an old stream does not go on.
    Fresh,
    /// The running stream goes on from another address.
    Moved,
    /// Not for us.
    Refused,
}

/// What the kernel is to let through from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Only this peer.
    Peer(SocketAddr),
    /// Everybody.
    Open,
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// To the peer the socket is connected to.
    Connected,
    /// To this address.
    Address(SocketAddr),
}

impl Destination {
    /// `None` for an address that nothing can be sent to.
    pub(crate) fn of(address: SocketAddr) -> Option<Self> {
        let usable = !address.ip().is_unspecified() && address.port() != 0;
        usable.then_some(Self::Address(address))
    }
}

impl Latch {
    /// Nothing signalled yet, nothing believed.
    pub(crate) fn new(signalled: SocketAddr) -> Self {
        Self { signalled, state: State::Waiting }
    }

    /// The address in an answer or a re-INVITE; says whether the filter changes.
    pub(crate) fn signal(&mut self, address: SocketAddr) -> Option<Filter> {
        // RFC 3264 §8.4: 0.0.0.0 is an old way to say hold, not a place.
        if address == self.signalled || address.ip().is_unspecified() {
            return None;
        }
        self.signalled = address;
        if self.source() == Some(address) {
            return None;
        }
        let was_connected = self.peer().is_some();
        self.state = State::Waiting;
        was_connected.then_some(Filter::Open)
    }

    /// A valid packet of a negotiated payload type came from `source`. `agrees` says that it
    /// carries on the running stream. The filter is what has changed by it.
    pub(crate) fn admit(
        &mut self,
        now: MediaTime,
        source: SocketAddr,
        agrees: bool,
    ) -> (Admission, Option<Filter>) {
        match &mut self.state {
            State::Waiting => self.believe(now, source),
            State::Provisional { source: present, packets, .. } if *present == source => {
                *packets = packets.saturating_add(1);
                (Admission::Known, None)
            }
            State::Provisional { source: present, .. } => {
                let present = *present;
                if self.rank(source) > self.rank(present) {
                    self.believe(now, source)
                } else {
                    (Admission::Refused, None)
                }
            }
            State::Latched { source: present, heard } if *present == source => {
                *heard = now;
                (Admission::Known, None)
            }
            State::Latched { .. } => (Admission::Refused, None),
            State::Reopened { source: present } => {
                let present = *present;
                let here = source.ip() == present.ip() || source == self.signalled;
                let admission = match (source == present, agrees && here) {
                    (true, _) => Admission::Known,
                    (false, true) => Admission::Moved,
                    (false, false) => return (Admission::Refused, None),
                };
                (admission, self.latch(now, source))
            }
        }
    }

    /// Time passes.
    pub(crate) fn tick(&mut self, now: MediaTime) -> Option<Filter> {
        match self.state {
            State::Provisional { source, since, packets } if now.since(since) >= WINDOW => {
                if packets >= SUSTAINED {
                    return self.latch(now, source);
                }
                self.state = State::Waiting;
                None
            }
            State::Latched { source, heard } if now.since(heard) >= REOPEN_AFTER => {
                self.state = State::Reopened { source };
                Some(Filter::Open)
            }
            _ => None,
        }
    }

    /// Where to send to; `None` while there is no usable address.
    pub(crate) fn destination(&self) -> Option<Destination> {
        if let State::Latched { .. } = self.state {
            return Some(Destination::Connected);
        }
        let address = self.source().unwrap_or(self.signalled);
        Destination::of(address)
    }

    /// The source we listen to, if there is one.
    pub(crate) fn source(&self) -> Option<SocketAddr> {
        match self.state {
            State::Waiting => None,
            State::Provisional { source, .. }
            | State::Latched { source, .. }
            | State::Reopened { source } => Some(source),
        }
    }

    /// The peer the socket is connected to.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self.state {
            State::Latched { source, .. } => Some(source),
            _ => None,
        }
    }

    fn believe(&mut self, now: MediaTime, source: SocketAddr) -> (Admission, Option<Filter>) {
        if source == self.signalled {
            return (Admission::Fresh, self.latch(now, source));
        }
        self.state = State::Provisional { source, since: now, packets: 1 };
        (Admission::Fresh, None)
    }

    fn latch(&mut self, now: MediaTime, source: SocketAddr) -> Option<Filter> {
        self.state = State::Latched { source, heard: now };
        Some(Filter::Peer(source))
    }

    fn rank(&self, source: SocketAddr) -> Rank {
        if source == self.signalled {
            Rank::Signalled
        } else if source.ip() == self.signalled.ip() {
            Rank::SameHost
        } else {
            Rank::Stranger
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Stranger,
    SameHost,
    Signalled,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a latch whose signalled address is `10.0.0.1:4000`.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// At this millisecond a packet from this address that does not carry the stream on.
        Packet(u64, &'static str),
        /// The same, carrying it on.
        Agreeing(u64, &'static str),
        /// This many packets, one every 20 ms from this millisecond.
        Stream(u64, &'static str, u32),
        /// Nothing until this millisecond.
        Silence(u64),
        /// A re-INVITE with this address.
        Signal(&'static str),
    }

    const SIGNALLED: &str = "10.0.0.1:4000";
    const SAME_HOST: &str = "10.0.0.1:5555";
    const STRANGER: &str = "203.0.113.9:7000";
    const ATTACKER: &str = "198.51.100.66:666";
    const NEW: &str = "10.0.0.7:4200";

    /// `listens`: to whom in the end. `connected`: whether the kernel filters for it.
    fn check(name: &str, steps: &[Step], listens: Option<&str>, connected: bool) {
        let at = |ms: u64| MediaTime::from_micros(ms * 1_000);
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mut latch = Latch::new(address(SIGNALLED));
        for &step in steps {
            match step {
                Step::Packet(ms, from) => _ = latch.admit(at(ms), address(from), false),
                Step::Agreeing(ms, from) => _ = latch.admit(at(ms), address(from), true),
                Step::Stream(ms, from, count) => {
                    for n in 0..u64::from(count) {
                        latch.tick(at(ms + 20 * n));
                        latch.admit(at(ms + 20 * n), address(from), true);
                    }
                }
                Step::Silence(ms) => _ = latch.tick(at(ms)),
                Step::Signal(to) => _ = latch.signal(address(to)),
            }
        }
        assert_eq!(latch.source(), listens.map(address), "{name}: listens");
        assert_eq!(latch.peer().is_some(), connected, "{name}: connected");
    }

    #[test]
    fn the_first_source_is_believed_as_far_as_it_agrees_with_the_signalling() {
        use Step::*;
        let rows: &[(&str, &[Step], Option<&str>, bool)] = &[
            ("nobody yet", &[], None, false),
            ("the signalled address at once", &[Packet(0, SIGNALLED)], Some(SIGNALLED), true),
            ("a stranger for now", &[Packet(0, STRANGER)], Some(STRANGER), false),
            ("a stranger's stream", &[Stream(0, STRANGER, 52)], Some(STRANGER), true),
            ("a late stream", &[Silence(9_000), Stream(9_000, STRANGER, 52)], Some(STRANGER), true),
            ("one stray packet", &[Packet(0, STRANGER), Silence(1_000)], None, false),
            (
                "the signalled one takes over inside the window",
                &[Stream(0, STRANGER, 10), Packet(300, SIGNALLED)],
                Some(SIGNALLED),
                true,
            ),
            (
                "not after it",
                &[Stream(0, STRANGER, 52), Packet(1_100, SIGNALLED)],
                Some(STRANGER),
                true,
            ),
            (
                "the signalled host takes over from a stranger",
                &[Stream(0, STRANGER, 10), Stream(300, SAME_HOST, 52)],
                Some(SAME_HOST),
                true,
            ),
            (
                "a stranger never from the signalled host",
                &[Stream(0, SAME_HOST, 10), Stream(200, ATTACKER, 3)],
                Some(SAME_HOST),
                false,
            ),
            (
                "one stranger never from another",
                &[Packet(0, STRANGER), Stream(20, ATTACKER, 40), Stream(820, STRANGER, 12)],
                Some(STRANGER),
                true,
            ),
        ];
        for (name, steps, listens, connected) in rows {
            check(name, steps, *listens, *connected);
        }
    }

    #[test]
    fn once_latched_only_silence_or_signalling_lets_anybody_else_in() {
        use Step::*;
        let latched = Stream(0, SIGNALLED, 50);
        let rows: &[(&str, &[Step], Option<&str>, bool)] = &[
            ("sprayed", &[latched, Stream(1_000, ATTACKER, 40)], Some(SIGNALLED), true),
            ("silence opens", &[latched, Silence(1_980)], Some(SIGNALLED), false),
            ("not too early", &[latched, Silence(1_979)], Some(SIGNALLED), true),
            (
                "the same source comes back with any stream",
                &[latched, Silence(5_000), Packet(5_020, SIGNALLED)],
                Some(SIGNALLED),
                true,
            ),
            (
                "the stream goes on from another port of its host",
                &[latched, Silence(5_000), Agreeing(5_020, SAME_HOST)],
                Some(SAME_HOST),
                true,
            ),
            (
                "another stream from its host is refused",
                &[latched, Silence(5_000), Packet(5_020, SAME_HOST)],
                Some(SIGNALLED),
                false,
            ),
            (
                "who copies the stream from elsewhere is refused",
                &[latched, Silence(5_000), Agreeing(5_020, ATTACKER)],
                Some(SIGNALLED),
                false,
            ),
            (
                "back to the address that was signalled",
                &[Stream(0, STRANGER, 60), Silence(5_000), Agreeing(5_020, SIGNALLED)],
                Some(SIGNALLED),
                true,
            ),
            ("a signalled move", &[latched, Signal(NEW)], None, false),
            (
                "and its stream",
                &[latched, Signal(NEW), Packet(1_020, SIGNALLED), Packet(1_040, NEW)],
                Some(NEW),
                true,
            ),
            ("the same address again", &[latched, Signal(SIGNALLED)], Some(SIGNALLED), true),
            ("hold by 0.0.0.0", &[latched, Signal("0.0.0.0:4000")], Some(SIGNALLED), true),
            (
                "the address it was heard from already",
                &[Stream(0, STRANGER, 60), Signal(STRANGER)],
                Some(STRANGER),
                true,
            ),
        ];
        for (name, steps, listens, connected) in rows {
            check(name, steps, *listens, *connected);
        }
    }

    #[test]
    fn we_send_to_the_signalled_address_until_somebody_is_heard() {
        let at = |text: &str| Some(Destination::Address(text.parse().unwrap()));
        let mut latch = Latch::new(SIGNALLED.parse().unwrap());
        assert_eq!(latch.destination(), at(SIGNALLED));
        latch.admit(MediaTime::default(), STRANGER.parse().unwrap(), false);
        assert_eq!(latch.destination(), at(STRANGER));
        latch.admit(MediaTime::default(), SIGNALLED.parse().unwrap(), false);
        assert_eq!(latch.destination(), Some(Destination::Connected));
        assert_eq!(Latch::new("0.0.0.0:4000".parse().unwrap()).destination(), None);
        assert_eq!(Latch::new("10.0.0.1:0".parse().unwrap()).destination(), None);
    }
}
