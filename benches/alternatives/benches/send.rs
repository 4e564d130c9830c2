//! Decision 0001, the other way: what one sent datagram of 172 bytes costs on loopback, each call
//! through a socket of its own, in batches of 64 as a shard's slice sends them.
//!
//! On loopback the sender does the receiving kernel's work as well, whatever it sends with: that is
//! most of it, and the same for all. Receivers are emptied in between, untimed.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use vox_alternatives::{ThreadTime, quick};
use vox_ring::sys::EventFd;
use vox_ring::{Completion, Ring, Sizes, SocketKey, Wait};
use vox_rtp::memory::PacketMemory;

fn send(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("send 172 bytes");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.bench_function("vox-ring, one enter a batch", |b| {
        let links = Links::new();
        let mut engine = Engine::new(&links.senders);
        b.iter_custom(|batches| {
            let batch = |_| links.time(|| engine.send());
            each((0..batches).map(batch).sum())
        });
    });
    group.bench_function("send, a call each", |b| {
        let links = Links::new();
        b.iter_custom(|batches| {
            let one = |socket: &UdpSocket| assert_sent(socket.send(&DATAGRAM));
            let batch = |_| links.time(|| links.senders.iter().for_each(one));
            each((0..batches).map(batch).sum())
        });
    });
    group.bench_function("sendmmsg, all through one socket", |b| {
        let links = Links::new();
        let mut sender = SendMmsg::new(&links.receivers);
        b.iter_custom(|batches| {
            let batch = |_| links.time(|| sender.send());
            each((0..batches).map(batch).sum())
        });
    });
    group.bench_function("tokio epoll send", |b| {
        let links = Links::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.expect("a runtime");
        b.iter_custom(|batches| runtime.block_on(tokio_epoll(&links, batches)));
    });
    group.bench_function("tokio-uring write (one-shot)", |b| {
        let links = Links::new();
        b.iter_custom(|batches| tokio_uring::start(tokio_uring(&links, batches)));
    });
    group.finish();
}

/// Time for one datagram.
fn each(total: Duration) -> Duration {
    total / BATCH as u32
}

fn assert_sent(sent: io::Result<usize>) {
    assert_eq!(sent.expect("room in the receiver's queue"), DATAGRAM.len());
}

async fn tokio_epoll(links: &Links, batches: u64) -> Duration {
    let socket = |socket: &UdpSocket| {
        let socket = socket.try_clone().expect("a second descriptor");
        tokio::net::UdpSocket::from_std(socket).expect("the reactor takes it")
    };
    let sockets: Vec<_> = links.senders.iter().map(socket).collect();
    let mut total = Duration::ZERO;
    for _ in 0..batches {
        let start = ThreadTime::now();
        for socket in &sockets {
            assert_sent(socket.send(&DATAGRAM).await);
        }
        total += ThreadTime::now() - start;
        links.empty();
    }
    each(total)
}

async fn tokio_uring(links: &Links, batches: u64) -> Duration {
    let socket = |socket: &UdpSocket| {
        tokio_uring::net::UdpSocket::from_std(socket.try_clone().expect("a second descriptor"))
    };
    let sockets: Vec<_> = links.senders.iter().map(socket).collect();
    let (mut total, mut datagram) = (Duration::ZERO, DATAGRAM.to_vec());
    for _ in 0..batches {
        let start = ThreadTime::now();
        for socket in &sockets {
            let (sent, back) = socket.write(datagram).submit().await;
            assert_sent(sent);
            datagram = back;
        }
        total += ThreadTime::now() - start;
        links.empty();
    }
    each(total)
}

/// Sockets in pairs, one for each call of a slice.
struct Links {
    senders: Vec<UdpSocket>,
    receivers: Vec<UdpSocket>,
}

impl Links {
    fn new() -> Self {
        let socket = || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            socket.set_nonblocking(true).expect("it is a socket");
            socket
        };
        let receivers: Vec<_> = (0..BATCH).map(|_| socket()).collect();
        let connected = |receiver: &UdpSocket| {
            let sender = socket();
            sender.connect(receiver.local_addr().expect("it is bound")).expect("loopback");
            sender
        };
        Self { senders: receivers.iter().map(connected).collect(), receivers }
    }

    fn time(&self, send: impl FnOnce()) -> Duration {
        let time = ThreadTime::of(send);
        self.empty();
        time
    }

    /// Takes what was sent; all of it came.
    fn empty(&self) {
        let mut bytes = [0; 256];
        for receiver in &self.receivers {
            let received = receiver.recv(&mut bytes).expect("what was sent");
            assert_eq!(received, DATAGRAM.len());
        }
    }
}

/// The engine's ring, as a shard sends with it: each packet from its slot, all of a slice with one
/// `io_uring_enter`, done when that returns.
struct Engine {
    ring: Ring,
    completions: Vec<Completion>,
}

impl Engine {
    fn new(sockets: &[UdpSocket]) -> Self {
        let wake = Arc::new(EventFd::new().expect("an eventfd"));
        let sizes = Sizes {
            files: BATCH as u32,
            submissions: 2 * BATCH as u32,
            completions: 4 * BATCH as u32,
            buffers: 8,
            provided: 8,
            slots: 2 * BATCH as u16,
            stamps: false,
        };
        let mut ring = Ring::new(sizes, wake, vec![]).expect("a ring (kernel 6.1 or newer)");
        for (row, socket) in sockets.iter().enumerate() {
            ring.install(row as u32, socket.as_fd()).expect("a row of the file table");
        }
        Self { ring, completions: vec![] }
    }

    fn send(&mut self) {
        for row in 0..BATCH as u32 {
            let slot = self.ring.packets().acquire().expect("a free slot");
            self.ring.packets().slot(&slot)[..DATAGRAM.len()].copy_from_slice(&DATAGRAM);
            let socket = SocketKey { row, generation: 0 };
            assert!(self.ring.send(socket, slot, DATAGRAM.len() as u16, None), "room in the queue");
        }
        self.ring.enter(Wait::No).expect("a batch");
        self.ring.completions(&mut self.completions);
        assert!(self.completions.is_empty(), "only failures say so: {:?}", self.completions);
    }
}

/// One system call for a batch: it takes one socket, so the receivers are named.
struct SendMmsg {
    socket: UdpSocket,
    names: Vec<libc::sockaddr_in>,
}

impl SendMmsg {
    fn new(receivers: &[UdpSocket]) -> Self {
        let address = |receiver: &UdpSocket| {
            // SAFETY: an address is plain integers.
            let mut name: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            name.sin_family = libc::AF_INET as u16;
            name.sin_port = receiver.local_addr().expect("it is bound").port().to_be();
            name.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
            name
        };
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        Self { socket, names: receivers.iter().map(address).collect() }
    }

    fn send(&mut self) {
        let (bytes, iov_len) = (DATAGRAM.as_ptr().cast_mut().cast(), DATAGRAM.len());
        let mut vector = libc::iovec { iov_base: bytes, iov_len };
        let mut messages: [libc::mmsghdr; BATCH] = std::array::from_fn(|n| {
            // SAFETY: all-zero is an empty header.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_name = (&raw mut self.names[n]).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            message.msg_hdr.msg_iov = &raw mut vector;
            message.msg_hdr.msg_iovlen = 1;
            message
        });
        let (fd, messages) = (self.socket.as_raw_fd(), messages.as_mut_ptr());
        // SAFETY: all headers point to memory of this value or this frame, which outlive the call.
        let sent = unsafe { libc::sendmmsg(fd, messages, BATCH as u32, libc::MSG_DONTWAIT) };
        assert_eq!(sent, BATCH as i32, "{}", io::Error::last_os_error());
    }
}

static DATAGRAM: [u8; 172] = [0x5a; 172];
/// A shard's slice at 1,000 calls is about this many packets.
const BATCH: usize = 64;

criterion_group! { name = benches; config = quick(); targets = send }
criterion_main!(benches);
