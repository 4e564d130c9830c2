//! A peer on a socket of its own that gives packets back, more or less.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a peer does with what it gets. Only PCMU can be silenced.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    Echo {
        delay: Duration,
    },
    LoseEach {
        nth: u64,
    },
    /// Uniformly; packets overtake each other.
    Jitter {
        up_to: Duration,
    },
    Twice {
        nth: u64,
    },
    /// Each nth packet comes behind its successor.
    Swap {
        nth: u64,
    },
    Mute,
    Silence,
}

/// A peer; ends when dropped.
pub(crate) struct Peer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    pub(crate) fn start(deed: Deed) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || serve(&socket, deed, &stopped));
        Self { address, stop, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn serve(socket: &UdpSocket, deed: Deed, stopped: &AtomicBool) {
    let start = Instant::now();
    let mut under_way: BTreeMap<(Duration, u64), (Vec<u8>, SocketAddr)> = BTreeMap::new();
    let mut bytes = [0; 2_000];
    let mut random = 1u64;
    let mut count = 0;
    while !stopped.load(Ordering::Relaxed) {
        while let Ok((len, from)) = socket.recv_from(&mut bytes) {
            count += 1;
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let share = (random >> 40) as f64 / f64::from(1 << 24);
            let mut packet = bytes[..len].to_vec();
            if matches!(deed, Deed::Silence) {
                packet[12..].fill(0xff);
            }
            for (copy, delay) in deliveries(deed, count, share).into_iter().enumerate() {
                let key = (start.elapsed() + delay, count * 2 + copy as u64);
                under_way.insert(key, (packet.clone(), from));
            }
        }
        // A read with a timeout would be late by a tick of the kernel's clock.
        std::thread::sleep(Duration::from_micros(200));
        while let Some(first) = under_way.first_entry() {
            if first.key().0 > start.elapsed() {
                break;
            }
            let (packet, to) = first.remove();
            let _ = socket.send_to(&packet, to);
        }
    }
}

/// When the nth packet comes back: not at all, once or twice.
fn deliveries(deed: Deed, count: u64, share: f64) -> Vec<Duration> {
    let is_nth = |nth| count.is_multiple_of(nth);
    match deed {
        Deed::Echo { delay } => vec![delay],
        Deed::LoseEach { nth } if is_nth(nth) => vec![],
        Deed::Jitter { up_to } => vec![up_to.mul_f64(share)],
        Deed::Twice { nth } if is_nth(nth) => vec![Duration::ZERO; 2],
        Deed::Swap { nth } if is_nth(nth) => vec![Duration::from_millis(30)],
        Deed::Mute => vec![],
        _ => vec![Duration::ZERO],
    }
}
