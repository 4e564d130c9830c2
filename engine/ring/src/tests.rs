use std::net::UdpSocket;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::*;

const KEY: SocketKey = SocketKey { row: 2, generation: 7 };
const RECEIVE: Token = Token::Receive(KEY);
const SEND: Token = Token::Send(KEY);
const SIZES: Sizes = Sizes {
    files: 8,
    submissions: 8,
    completions: 64,
    buffers: 8,
    provided: 4,
    slots: 16,
    stamps: false,
};

/// A ring with one socket in its table, and a peer of that socket.
struct Bench {
    ring: Ring,
    ours: UdpSocket,
    peer: UdpSocket,
    wake: Arc<EventFd>,
    bells: [Arc<EventFd>; 2],
}

impl Bench {
    fn new() -> Self {
        Self::sized(SIZES)
    }

    fn sized(sizes: Sizes) -> Self {
        let wake = Arc::new(EventFd::new().unwrap());
        let bell = || Arc::new(EventFd::new().unwrap());
        let bells = [bell(), bell()];
        let mut ring = Ring::new(sizes, wake.clone(), bells.to_vec()).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ours = bound_by_number();
        ours.set_nonblocking(true).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        ring.install(KEY.row, ours.as_fd()).unwrap();
        Self { ring, ours, peer, wake, bells }
    }

    fn peer_sends(&self, bytes: &[u8]) {
        self.peer.send_to(bytes, self.ours.local_addr().unwrap()).unwrap();
    }

    /// Enters until `count` completions are there, without waiting for more than the first.
    fn completions(&mut self, count: usize) -> Vec<Completion> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut all = Vec::new();
        while all.len() < count {
            assert!(Instant::now() < deadline, "{} of {count}: {all:?}", all.len());
            self.ring.enter(Wait::ForAnything).unwrap();
            self.ring.completions(&mut all);
        }
        all
    }

    fn send(&mut self, bytes: &[u8], to: Option<SocketAddr>) {
        let slot = self.ring.packets().acquire().unwrap();
        self.ring.packets().slot(&slot)[..bytes.len()].copy_from_slice(bytes);
        assert!(self.ring.send(KEY, slot, bytes.len() as u16, to));
    }

    /// What the peer hears next.
    fn heard(&self) -> Vec<u8> {
        let mut bytes = [0; 2_000];
        let (len, from) = self.peer.recv_from(&mut bytes).unwrap();
        assert_eq!(from, self.ours.local_addr().unwrap());
        bytes[..len].to_vec()
    }
}

/// A socket bound to a port of our choice: one of the kernel's choice would be lost when its
/// connection is dissolved.
fn bound_by_number() -> UdpSocket {
    let by_number = || {
        let chosen = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        UdpSocket::bind(chosen).ok()
    };
    std::iter::repeat_with(by_number).flatten().next().unwrap()
}

#[test]
fn a_datagram_is_received_with_its_source_and_read_in_place() {
    let mut bench = Bench::new();
    bench.ring.receive(KEY);
    // An empty datagram ends a multishot receive, though it is no error.
    for (bytes, more) in [(&b"first"[..], true), (&[7; 1_472], true), (b"", false)] {
        bench.peer_sends(bytes);
        let [completion] = bench.completions(1)[..] else { panic!("one") };
        assert_eq!((completion.token, completion.more), (RECEIVE, more));
        let received = bench.ring.received(completion.buffer.unwrap(), completion.result as usize);
        let Received::Whole { source, buf, stamp: None } = received else { panic!("{received:?}") };
        assert_eq!(source, bench.peer.local_addr().unwrap());
        assert_eq!(bench.ring.packets().received(&buf), bytes);
        bench.ring.packets().release(buf);
        assert_eq!(bench.ring.packets().held(), 0);
    }
}

#[test]
fn a_datagram_brings_the_time_of_its_arrival_where_that_is_asked_for() {
    let mut bench = Bench::sized(Sizes { stamps: true, ..SIZES });
    sys::stamp_arrivals(&bench.ours).unwrap();
    bench.ring.receive(KEY);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    // The kernel begins to stamp a little after it was asked to; before that it gives the time of
    // reading.
    loop {
        assert!(Instant::now() < deadline, "arrivals are not stamped");
        let before = now();
        bench.peer_sends(&[7; 1_400]);
        let after = now();
        let [completion] = bench.completions(1)[..] else { panic!("one") };
        let received = bench.ring.received(completion.buffer.unwrap(), completion.result as usize);
        let Received::Whole { source, buf, stamp: Some(stamp) } = received else {
            panic!("{received:?}")
        };
        assert_eq!(source, bench.peer.local_addr().unwrap());
        assert_eq!(bench.ring.packets().received(&buf), [7; 1_400]);
        bench.ring.packets().release(buf);
        if (before..=after).contains(&stamp) {
            break;
        }
    }
}

#[test]
fn a_datagram_larger_than_a_buffer_is_told_apart_and_its_buffer_given_back() {
    let mut bench = Bench::new();
    bench.ring.receive(KEY);
    bench.peer_sends(&[7; 1_557]);
    let [completion] = bench.completions(1)[..] else { panic!("one") };
    let received = bench.ring.received(completion.buffer.unwrap(), completion.result as usize);
    assert_eq!(received, Received::TooLarge);
    assert_eq!(bench.ring.packets().held(), 0);
}

#[test]
fn running_out_of_buffers_ends_the_receive_and_loses_nothing() {
    let mut bench = Bench::new();
    bench.ring.receive(KEY);
    for i in 0..6 {
        bench.peer_sends(&[i]);
    }
    let first = bench.completions(5);
    let last = first.last().unwrap();
    assert_eq!((last.result, last.more, last.buffer), (-libc::ENOBUFS, false, None));
    let mut heard = vec![];
    let mut held = vec![];
    let mut take = |bench: &mut Bench, completion: &Completion| {
        let buffer = completion.buffer.unwrap();
        let Received::Whole { buf, .. } = bench.ring.received(buffer, completion.result as usize)
        else {
            panic!()
        };
        heard.push(bench.ring.packets().received(&buf)[0]);
        held.push(buf);
    };
    first[..4].iter().for_each(|completion| take(&mut bench, completion));
    bench.ring.receive(KEY);
    let second = bench.completions(2);
    second.iter().for_each(|completion| take(&mut bench, completion));
    assert_eq!(heard, [0, 1, 2, 3, 4, 5]);
    for buf in held {
        bench.ring.packets().release(buf);
    }
    assert!(bench.ring.packets().can_receive());
}

#[test]
fn sends_leave_in_one_enter_and_their_slots_are_free_after_it() {
    let mut bench = Bench::new();
    let peer = bench.peer.local_addr().unwrap();
    // Twice the submission queue: the ring submits in between by itself.
    for i in 0..16 {
        bench.send(&[i; 172], Some(peer));
    }
    bench.ring.enter(Wait::No).unwrap();
    for i in 0..16 {
        assert_eq!(bench.heard(), [i; 172]);
    }
    let slots: Vec<_> = (0..16).map(|_| bench.ring.packets().acquire().unwrap()).collect();
    assert_eq!(bench.ring.packets().acquire(), None);
    drop(slots);
    let mut completions = vec![];
    bench.ring.completions(&mut completions);
    assert!(completions.is_empty(), "success says nothing: {completions:?}");
}

#[test]
fn a_connected_socket_sends_without_an_address_and_a_dissolved_one_does_not() {
    let mut bench = Bench::new();
    let peer = bench.peer.local_addr().unwrap();
    let port = bench.ours.local_addr().unwrap();
    sys::connect(&bench.ours, Some(peer)).unwrap();
    bench.send(b"to you", None);
    bench.ring.enter(Wait::No).unwrap();
    assert_eq!(bench.heard(), b"to you");
    sys::connect(&bench.ours, None).unwrap();
    assert_eq!(bench.ours.local_addr().unwrap(), port, "it keeps its port");
    bench.send(b"to whom?", None);
    let [completion] = bench.completions(1)[..] else { panic!("one") };
    assert_eq!((completion.token, completion.result), (SEND, -libc::EDESTADDRREQ));
}

#[test]
fn a_cancelled_receive_says_so_as_its_last_word() {
    let mut bench = Bench::new();
    bench.ring.receive(KEY);
    bench.ring.stop_receiving(KEY);
    let [completion] = bench.completions(1)[..] else { panic!("one") };
    assert_eq!(completion.token, RECEIVE);
    assert_eq!((completion.result, completion.more), (-libc::ECANCELED, false));
}

#[test]
fn packets_do_not_cut_a_batch_short_but_are_there_at_its_end() {
    let mut bench = Bench::new();
    bench.ring.receive(KEY);
    bench.ring.enter(Wait::No).unwrap();
    bench.peer_sends(b"early");
    let start = Instant::now();
    let batch = Duration::from_millis(20);
    bench.ring.enter(Wait::Batch(batch)).unwrap();
    assert!(start.elapsed() >= batch, "woken after {:?}", start.elapsed());
    let mut completions = vec![];
    bench.ring.completions(&mut completions);
    assert_eq!(completions.len(), 1);
}

#[test]
fn the_bell_wakes_a_ring_that_waits_for_anything() {
    let mut bench = Bench::new();
    bench.ring.arm_wake();
    bench.wake.ring();
    let [completion] = bench.completions(1)[..] else { panic!("one") };
    assert_eq!(completion.token, Token::Wake);
}

#[test]
fn ringing_a_bell_is_part_of_the_submission() {
    for (bell, other) in [(0, 1), (1, 0)] {
        let mut bench = Bench::new();
        bench.ring.tell(bell);
        bench.ring.enter(Wait::No).unwrap();
        let mut count = [0; 8];
        read_count(&bench.bells[bell], &mut count);
        let other = bench.bells[other].wait(Duration::ZERO);
        assert_eq!((u64::from_ne_bytes(count), other), (1, false));
    }
}

/// Reads the eventfd through a second handle of its file.
fn read_count(event: &EventFd, count: &mut [u8; 8]) {
    use std::io::Read;
    let mut file = std::fs::File::from(event.as_fd().try_clone_to_owned().unwrap());
    file.read_exact(count).unwrap();
}

#[test]
fn an_address_is_read_as_it_was_written() {
    for addr in ["127.0.0.1:1", "203.0.113.9:65535", "[::1]:5004", "[2001:db8::9:8]:40000"] {
        let addr: SocketAddr = addr.parse().unwrap();
        let raw = RawAddr::new(addr);
        // SAFETY: pointer and length describe `raw`.
        let bytes = unsafe { std::slice::from_raw_parts(raw.as_ptr().cast(), raw.len() as usize) };
        assert_eq!(parse_name(bytes), Some(addr));
        for shorter in 0..bytes.len().min(8) {
            assert_eq!(parse_name(&bytes[..shorter]), None, "{shorter} bytes of {addr}");
        }
    }
}
