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
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use io_uring::types::{BufRingEntry, Fd, RecvMsgOut};
use io_uring::{IoUring, cqueue, opcode, squeue};
use vox_alternatives::{ThreadTime, quick};

const DATAGRAM_BYTES: usize = 172;
/// A shard's slice at 1,000 calls is about this many packets.
const BATCH: usize = 64;

fn receive(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("receive 172 bytes");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.bench_function("io_uring multishot recvmsg + buffer ring", |b| {
        let link = Link::new();
        let mut receiver = Multishot::new(&link.receiver).expect("a ring (kernel 6.1 or newer)");
        b.iter_custom(|batches| {
            let batch = |_| link.time(|| receiver.receive(BATCH).expect("a batch"));
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

/// A multishot receive into a ring of provided buffers.
struct Multishot {
    ring: IoUring,
    /// The shape of what is received: room for an IPv4 address. The kernel reads it at any time.
    shape: Box<libc::msghdr>,
    buffers: Buffers,
    fd: Fd,
}

impl Multishot {
    fn new(socket: &UdpSocket) -> io::Result<Self> {
        let ring = IoUring::<squeue::Entry, cqueue::Entry>::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(512)
            .build(64)?;
        let mut buffers = Buffers::new();
        for index in 0..Buffers::COUNT {
            buffers.provide(index);
        }
        buffers.publish();
        // SAFETY: the mapping outlives the ring: fields are dropped in order, `ring` first.
        unsafe {
            let address = buffers.ring.as_ptr() as u64;
            ring.submitter().register_buf_ring_with_flags(address, Buffers::COUNT, GROUP, 0)?;
        }
        // SAFETY: all-zero is an empty header.
        let mut shape: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        shape.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        let mut receiver = Self { ring, shape, buffers, fd: Fd(socket.as_raw_fd()) };
        receiver.arm()?;
        Ok(receiver)
    }

    fn arm(&mut self) -> io::Result<()> {
        let entry = opcode::RecvMsgMulti::new(self.fd, &raw const *self.shape, GROUP).build();
        // SAFETY: the header is boxed and lives as long as the ring.
        unsafe { self.ring.submission().push(&entry) }.map_err(io::Error::other)?;
        self.ring.submit().map(drop)
    }

    fn receive(&mut self, count: usize) -> io::Result<()> {
        let mut received = 0;
        while received < count {
            self.ring.submit_and_wait(1)?;
            let mut armed = true;
            for completion in self.ring.completion() {
                armed &= cqueue::more(completion.flags());
                if let Some(index) = cqueue::buffer_select(completion.flags()) {
                    received += 1;
                    let bytes = self.buffers.bytes(index, completion.result() as usize);
                    let message = RecvMsgOut::parse(bytes, &self.shape);
                    let message = message.map_err(|()| io::ErrorKind::InvalidData)?;
                    look_at(message.payload_data(), source(message.name_data()));
                    self.buffers.provide(index);
                }
            }
            self.buffers.publish();
            if !armed {
                self.arm()?;
            }
        }
        Ok(())
    }
}

fn source(name: &[u8]) -> SocketAddr {
    let ip: [u8; 4] = name[4..8].try_into().expect("four bytes");
    SocketAddr::from((ip, u16::from_be_bytes([name[2], name[3]])))
}

/// Receive buffers, and the ring through which the kernel gets them.
struct Buffers {
    ring: NonNull<BufRingEntry>,
    memory: Box<[u8]>,
    tail: u16,
}

impl Buffers {
    const COUNT: u16 = 256;
    const STRIDE: usize = 1_600;

    fn new() -> Self {
        let len = usize::from(Self::COUNT) * size_of::<BufRingEntry>();
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh anonymous mapping touches no memory that exists. It is never unmapped:
        // the process has one for each receiver and ends soon.
        let ring = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        assert_ne!(ring, libc::MAP_FAILED);
        let ring = NonNull::new(ring.cast()).expect("no mapping lies at 0");
        Self { ring, memory: vec![0; usize::from(Self::COUNT) * Self::STRIDE].into(), tail: 0 }
    }

    fn bytes(&self, index: u16, len: usize) -> &[u8] {
        &self.memory[usize::from(index) * Self::STRIDE..][..len]
    }

    fn provide(&mut self, index: u16) {
        let address = self.memory[usize::from(index) * Self::STRIDE..].as_mut_ptr() as u64;
        let at = usize::from(self.tail & (Self::COUNT - 1));
        // SAFETY: `at` is below the number of entries, and the kernel does not read it before the
        // tail has passed it.
        let entry = unsafe { self.ring.add(at).as_mut() };
        entry.set_addr(address);
        entry.set_len(Self::STRIDE as u32);
        entry.set_bid(index);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&mut self) {
        // SAFETY: the ring's tail lies in its first entry, by the kernel's interface; only this
        // thread writes it.
        let tail =
            unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.ring.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
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

const GROUP: u16 = 0;

criterion_group! { name = benches; config = quick(); targets = receive }
criterion_main!(benches);
