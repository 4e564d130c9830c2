//! Decision 0001: what one received datagram of 172 bytes costs (20 ms of G.711 behind its RTP
//! header) on loopback, in a loop that never sleeps, source address included.
//!
//! A batch is sent, untimed; then it is received, and the thread's processor time taken: what is
//! compared is the receiving alone, whatever else runs.
//! The ring defers its work to the receiver's own `io_uring_enter`; without that a part of it would
//! run, unseen, in the sender's time.

use std::hint::black_box;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use vox_alternatives::{ThreadTime, quick};
use vox_ring::sys::EventFd;
use vox_ring::{Completion, Received, Ring, Sizes, SocketKey, Wait};
use vox_rtp::memory::PacketMemory;

const DATAGRAM_BYTES: usize = 172;
/// A shard's slice at 1,000 calls is about this many packets.
const BATCH: usize = 64;

fn receive(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("receive 172 bytes");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.bench_function("vox-ring, multishot recvmsg and buffer ring", |b| {
        let link = Link::new();
        let mut engine = Engine::new(&link.receiver);
        b.iter_custom(|batches| {
            let batch = |_| link.time(|| engine.receive(BATCH));
            each((0..batches).map(batch).sum())
        });
    });
    group.bench_function("recvmmsg", |b| {
        let link = Link::new();
        let mut receiver = RecvMmsg::new();
        b.iter_custom(|batches| {
            let batch = |_| link.time(|| receiver.receive(&link.receiver).expect("a batch"));
            each((0..batches).map(batch).sum())
        });
    });
    group.bench_function("tokio epoll recv_from", |b| {
        let link = Link::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.expect("a runtime");
        b.iter_custom(|batches| runtime.block_on(tokio_epoll(&link, batches)));
    });
    group.bench_function("tokio-uring recv_from (one-shot)", |b| {
        let link = Link::new();
        b.iter_custom(|batches| tokio_uring::start(tokio_uring(&link, batches)));
    });
    group.finish();
}

/// Time for one datagram.
fn each(total: Duration) -> Duration {
    total / BATCH as u32
}

async fn tokio_epoll(link: &Link, batches: u64) -> Duration {
    let socket = link.receiver.try_clone().expect("a second descriptor");
    socket.set_nonblocking(true).expect("it is a socket");
    let socket = tokio::net::UdpSocket::from_std(socket).expect("the reactor takes it");
    let mut buffer = [0; 2_048];
    let mut total = Duration::ZERO;
    for _ in 0..batches {
        link.send();
        let start = ThreadTime::now();
        for _ in 0..BATCH {
            let (len, source) = socket.recv_from(&mut buffer).await.expect("a datagram");
            look_at(&buffer[..len], source);
        }
        total += ThreadTime::now() - start;
    }
    each(total)
}

async fn tokio_uring(link: &Link, batches: u64) -> Duration {
    let socket = link.receiver.try_clone().expect("a second descriptor");
    let socket = tokio_uring::net::UdpSocket::from_std(socket);
    let mut buffer = vec![0; 2_048];
    let mut total = Duration::ZERO;
    for _ in 0..batches {
        link.send();
        let start = ThreadTime::now();
        for _ in 0..BATCH {
            let (received, back) = socket.recv_from(buffer).await;
            let (len, source) = received.expect("a datagram");
            look_at(&back[..len], source);
            buffer = back;
        }
        total += ThreadTime::now() - start;
    }
    each(total)
}

/// The least that a receiver does: reads both ends of the packet and where it is from.
fn look_at(datagram: &[u8], source: SocketAddr) {
    assert_eq!(datagram.len(), DATAGRAM_BYTES);
    black_box((datagram[0], datagram[DATAGRAM_BYTES - 1], source));
}

/// Two sockets on loopback.
struct Link {
    sender: UdpSocket,
    receiver: UdpSocket,
}

impl Link {
    fn new() -> Self {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a port");
        sender.connect(receiver.local_addr().expect("it is bound")).expect("loopback");
        Self { sender, receiver }
    }

    fn send(&self) {
        for n in 0..BATCH {
            let datagram = [n as u8; DATAGRAM_BYTES];
            let sent = self.sender.send(&datagram).expect("room in the receiver's queue");
            assert_eq!(sent, DATAGRAM_BYTES);
        }
    }

    fn time(&self, receive: impl FnOnce()) -> Duration {
        self.send();
        ThreadTime::of(receive)
    }
}

/// The engine's ring, as a shard receives with it: multishot into a ring of provided buffers.
struct Engine {
    ring: Ring,
    completions: Vec<Completion>,
}

impl Engine {
    fn new(socket: &UdpSocket) -> Self {
        let wake = Arc::new(EventFd::new().expect("an eventfd"));
        let sizes = Sizes {
            files: 1,
            submissions: 64,
            completions: 512,
            buffers: 256,
            provided: 256,
            slots: 1,
            stamps: false,
        };
        let mut ring = Ring::new(sizes, wake, vec![]).expect("a ring (kernel 6.1 or newer)");
        ring.install(SOCKET.row, socket.as_fd()).expect("a row of the file table");
        ring.receive(SOCKET);
        ring.enter(Wait::No).expect("the receive is armed");
        Self { ring, completions: vec![] }
    }

    fn receive(&mut self, count: usize) {
        let mut received = 0;
        while received < count {
            self.ring.enter(Wait::ForAnything).expect("completions");
            self.ring.completions(&mut self.completions);
            for completion in self.completions.drain(..) {
                if !completion.more {
                    self.ring.receive(SOCKET);
                }
                let Some(buffer) = completion.buffer else { continue };
                match self.ring.received(buffer, completion.result as usize) {
                    Received::Whole { source, buf, .. } => {
                        look_at(self.ring.packets().received(&buf), source);
                        self.ring.packets().release(buf);
                        received += 1;
                    }
                    other => panic!("a datagram is {other:?}"),
                }
            }
        }
    }
}

/// One system call for a batch.
struct RecvMmsg {
    buffers: Box<[[u8; 2_048]]>,
    names: Box<[libc::sockaddr_in]>,
}

impl RecvMmsg {
    fn new() -> Self {
        // SAFETY: an address is plain integers.
        let name: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        Self { buffers: vec![[0; 2_048]; BATCH].into(), names: vec![name; BATCH].into() }
    }

    fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        let mut vectors: [libc::iovec; BATCH] = std::array::from_fn(|n| libc::iovec {
            iov_base: self.buffers[n].as_mut_ptr().cast(),
            iov_len: self.buffers[n].len(),
        });
        let mut messages: [libc::mmsghdr; BATCH] = std::array::from_fn(|n| {
            // SAFETY: all-zero is an empty header.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_name = (&raw mut self.names[n]).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            message.msg_hdr.msg_iov = &raw mut vectors[n];
            message.msg_hdr.msg_iovlen = 1;
            message
        });
        let (fd, messages_ptr) = (socket.as_raw_fd(), messages.as_mut_ptr());
        // SAFETY: all headers point to memory of this value or this frame, which outlive the call.
        let count = unsafe {
            libc::recvmmsg(fd, messages_ptr, BATCH as u32, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        if count != BATCH as i32 {
            return Err(io::Error::last_os_error());
        }
        for (n, message) in messages.iter().enumerate() {
            let name = &self.names[n];
            let ip = u32::from_be(name.sin_addr.s_addr).to_be_bytes();
            let source = SocketAddr::from((ip, u16::from_be(name.sin_port)));
            look_at(&self.buffers[n][..message.msg_len as usize], source);
        }
        Ok(())
    }
}

const SOCKET: SocketKey = SocketKey { row: 0, generation: 0 };

criterion_group! { name = benches; config = quick(); targets = receive }
criterion_main!(benches);
