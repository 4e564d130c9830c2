//! RTP port pairs: which are free, in use, or resting after use.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use vox_ring::sys;

/// The sockets of one leg, bound to an even port and the odd one above it (RFC 3550 §11).
#[derive(Debug)]
pub(crate) struct SocketPair {
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
    /// The even port.
    pub(crate) port: u16,
}

/// A shard is done with a pair: its sockets are closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Released {
    pub(crate) port: u16,
    pub(crate) at: Instant,
}

/// Hands out port pairs in an order that nobody outside can guess, each as late as possible after
/// its last use, and not before its rest is over: what an old call's peer still sends must not be
/// heard by a new call.
#[derive(Debug)]
pub(crate) struct Ports {
    bind: IpAddr,
    quarantine: Duration,
    state: Mutex<State>,
}

/// How many pairs are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PortCounts {
    pub(crate) used: usize,
    pub(crate) resting: usize,
}

#[derive(Debug)]
struct State {
    /// Next first.
    free: VecDeque<u16>,
    /// Oldest first, nearly: shards report in their own time.
    resting: VecDeque<Released>,
    used: usize,
    /// One ring for each shard.
    returned: Vec<rtrb::Consumer<Released>>,
}

impl Ports {
    /// Pairs inside `range`; what shards close comes back through `returned`.
    pub(crate) fn new(
        bind: IpAddr,
        range: &RangeInclusive<u16>,
        quarantine: Duration,
        returned: Vec<rtrb::Consumer<Released>>,
    ) -> Self {
        let mut free: Vec<u16> = pairs(range).collect();
        shuffle(&mut free);
        let state = State { free: free.into(), resting: VecDeque::new(), used: 0, returned };
        Self { bind, quarantine, state: Mutex::new(state) }
    }

    /// Binds a free pair. Pairs that somebody else holds are passed over, up to a bounded number.
    pub(crate) fn bind_pair(&self, now: Instant) -> io::Result<SocketPair> {
        let mut state = self.state();
        state.take_back();
        state.wake_rested(now, self.quarantine);
        let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for _ in 0..state.free.len().min(ATTEMPTS_MAX) {
            let Some(port) = state.free.pop_front() else { break };
            match bind(self.bind, port) {
                Ok(pair) => {
                    state.used += 1;
                    return Ok(pair);
                }
                Err(refusal) => {
                    state.free.push_back(port);
                    error = refusal;
                    if error.kind() != io::ErrorKind::AddrInUse {
                        break;
                    }
                }
            }
        }
        Err(error)
    }

    /// Takes back a pair that no shard ever saw.
    pub(crate) fn give_back(&self, pair: SocketPair) {
        let mut state = self.state();
        state.used -= 1;
        state.free.push_back(pair.port);
    }

    /// Where the pairs are.
    pub(crate) fn counts(&self, now: Instant) -> PortCounts {
        let mut state = self.state();
        state.take_back();
        state.wake_rested(now, self.quarantine);
        PortCounts { used: state.used, resting: state.resting.len() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic between two lines of bookkeeping cannot happen: nothing in them panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_back(&mut self) {
        for ring in &mut self.returned {
            while let Ok(released) = ring.pop() {
                self.used -= 1;
                self.resting.push_back(released);
            }
        }
    }

    fn wake_rested(&mut self, now: Instant, quarantine: Duration) {
        while let Some(first) = self.resting.front() {
            if now.saturating_duration_since(first.at) < quarantine {
                break;
            }
            self.free.extend(self.resting.pop_front().map(|released| released.port));
        }
    }
}

/// The even ports of `range` that have their odd neighbour in it, too.
pub(crate) fn pairs(range: &RangeInclusive<u16>) -> impl Iterator<Item = u16> {
    let last = *range.end();
    range.clone().filter(move |port| port % 2 == 0 && *port < last && *port != 0)
}

fn bind(ip: IpAddr, port: u16) -> io::Result<SocketPair> {
    let open = |port| {
        let socket = UdpSocket::bind(SocketAddr::new(ip, port))?;
        socket.set_nonblocking(true)?;
        sys::prepare_media_socket(&socket, QUEUE_BYTES)?;
        io::Result::Ok(socket)
    };
    Ok(SocketPair { rtp: open(port)?, rtcp: open(port + 1)?, port })
}

/// Fisher–Yates, on the seed that std draws from the system for its hash maps.
fn shuffle(ports: &mut [u16]) {
    let random = RandomState::new();
    for i in (1..ports.len()).rev() {
        let j = random.hash_one(i) % (i as u64 + 1);
        ports.swap(i, j as usize);
    }
}

/// Pairs tried for one call; more than that are taken only when the range belongs to others.
const ATTEMPTS_MAX: usize = 64;
/// The kernel doubles it and charges about 0.8 kB for a G.711 packet: three seconds of them, and
/// a bound on what a flood of one call's port costs.
const QUEUE_BYTES: i32 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, Ordering};

    use super::*;

    const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_pair_is_an_even_port_and_the_odd_one_above_it() {
        for (range, expected) in [
            (10_000..=10_003, vec![10_000, 10_002]),
            (10_001..=10_004, vec![10_002]),
            (10_001..=10_002, vec![]),
            (0..=3, vec![2]),
            (65_534..=65_535, vec![65_534]),
            (65_535..=65_535, vec![]),
        ] {
            assert_eq!(pairs(&range).collect::<Vec<_>>(), expected, "{range:?}");
        }
    }

    #[test]
    fn a_released_pair_rests_before_it_is_used_again() {
        let base = free_base(1);
        let (mut shard, returned) = rtrb::RingBuffer::new(4);
        let rest = Duration::from_secs(10);
        let ports = Ports::new(LOCALHOST, &(base..=base + 1), rest, vec![returned]);
        let start = Instant::now();

        let pair = ports.bind_pair(start).unwrap();
        assert_eq!(pair.port, base);
        assert_eq!(pair.rtcp.local_addr().unwrap().port(), base + 1);
        assert_eq!(ports.counts(start), PortCounts { used: 1, resting: 0 });
        assert!(ports.bind_pair(start).is_err(), "the only pair is in use");

        drop(pair);
        shard.push(Released { port: base, at: start }).unwrap();
        let during = start + rest / 2;
        assert!(ports.bind_pair(during).is_err(), "it rests");
        assert_eq!(ports.counts(during), PortCounts { used: 0, resting: 1 });
        assert_eq!(ports.bind_pair(start + rest).unwrap().port, base);
    }

    #[test]
    fn a_pair_half_held_by_somebody_else_is_passed_over() {
        let base = free_base(2);
        let foreign = UdpSocket::bind((LOCALHOST, base + 1)).unwrap();
        let ports = Ports::new(LOCALHOST, &(base..=base + 3), Duration::ZERO, vec![]);
        let pair = ports.bind_pair(Instant::now()).unwrap();
        assert_eq!(pair.port, base + 2);
        assert!(ports.bind_pair(Instant::now()).is_err());
        drop(foreign);
        assert_eq!(ports.bind_pair(Instant::now()).unwrap().port, base);
    }

    #[test]
    fn the_order_is_a_shuffle_of_the_whole_range() {
        let mut ports: Vec<u16> = (0..1_000).collect();
        shuffle(&mut ports);
        assert_ne!(ports, (0..1_000).collect::<Vec<_>>());
        ports.sort_unstable();
        assert_eq!(ports, (0..1_000).collect::<Vec<_>>());
    }

    /// An even port with `pairs` free pairs from it on, below the ports that the kernel hands out
    /// by itself.
    fn free_base(pairs: u16) -> u16 {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let first = 20_000 + (std::process::id() % 1_000) as u16 * 8;
        (0..1_000)
            .map(|_| first + NEXT.fetch_add(8, Ordering::Relaxed) % 4_000)
            .find(|&base| {
                (base..base + pairs * 2).all(|port| UdpSocket::bind((LOCALHOST, port)).is_ok())
            })
            .unwrap()
    }
}
