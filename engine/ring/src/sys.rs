//! The few system calls that neither std nor the ring covers.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};
use std::time::Duration;

/// Starts to bring everything of `soon` into the cache, without waiting for it. Nothing where there
/// is no instruction for it.
#[inline]
pub fn prefetch<T: ?Sized>(soon: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = std::ptr::from_ref(soon).cast::<i8>();
        let end = start.addr() + size_of_val(soon);
        let mut line = start.map_addr(|addr| addr & !(CACHE_LINE - 1));
        while line.addr() < end {
            // SAFETY: a prefetch reads nothing that could be seen, and faults for no address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line) };
            line = line.wrapping_add(CACHE_LINE);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = soon;
}

#[cfg(target_arch = "x86_64")]
const CACHE_LINE: usize = 64;

/// A socket address as the kernel reads it; 28 bytes hold either family.
#[derive(Clone, Copy)]
pub(crate) struct RawAddr {
    /// Kept as the larger of the two; `sockaddr_in` lies in its front.
    storage: libc::sockaddr_in6,
    len: libc::socklen_t,
}

impl RawAddr {
    /// No address; overwritten before use.
    pub(crate) const fn empty() -> Self {
        let storage = libc::sockaddr_in6 {
            sin6_family: libc::AF_UNSPEC as u16,
            sin6_port: 0,
            sin6_flowinfo: 0,
            sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
            sin6_scope_id: 0,
        };
        Self { storage, len: size_of::<libc::sockaddr_in6>() as u32 }
    }

    pub(crate) fn new(addr: SocketAddr) -> Self {
        let mut raw = Self::empty();
        match addr {
            SocketAddr::V4(v4) => {
                let sockaddr = libc::sockaddr_in {
                    sin_family: libc::AF_INET as u16,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                    sin_zero: [0; 8],
                };
                // SAFETY: `sockaddr_in` (16 bytes, alignment 4) fits into the 28 bytes of
                // `storage` with the same alignment; both are plain integers.
                unsafe { (&raw mut raw.storage).cast::<libc::sockaddr_in>().write(sockaddr) };
                raw.len = size_of::<libc::sockaddr_in>() as u32;
            }
            SocketAddr::V6(v6) => {
                raw.storage.sin6_family = libc::AF_INET6 as u16;
                raw.storage.sin6_port = v6.port().to_be();
                raw.storage.sin6_flowinfo = v6.flowinfo();
                raw.storage.sin6_addr.s6_addr = v6.ip().octets();
                raw.storage.sin6_scope_id = v6.scope_id();
            }
        }
        raw
    }

    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    pub(crate) const fn len(&self) -> libc::socklen_t {
        self.len
    }
}

/// Connects a datagram socket to `peer`, or dissolves its connection.
pub fn connect(socket: &UdpSocket, peer: Option<SocketAddr>) -> io::Result<()> {
    let addr = peer.map_or_else(RawAddr::empty, RawAddr::new);
    // SAFETY: the pointer and length describe `addr`, which lives across the call.
    check(unsafe { libc::connect(socket.as_raw_fd(), addr.as_ptr(), addr.len()) }).map(drop)
}

/// Marks what the socket sends as expedited forwarding (RFC 3246) and bounds its queues.
pub fn prepare_media_socket(socket: &UdpSocket, queue_bytes: i32) -> io::Result<()> {
    const EXPEDITED: i32 = 0xb8;
    let ipv4 = socket.local_addr()?.is_ipv4();
    let (level, name) = if ipv4 {
        (libc::IPPROTO_IP, libc::IP_TOS)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
    };
    set_option(socket, level, name, EXPEDITED)?;
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, queue_bytes)?;
    set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, queue_bytes)
}

/// Has the kernel note when each datagram arrives, for a ring with
/// [`stamps`](crate::Sizes::stamps).
pub fn stamp_arrivals(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// Datagrams that a socket has lost because its queue was full.
pub fn dropped(socket: &UdpSocket) -> io::Result<u64> {
    // The last of nine counters is what is asked for (SK_MEMINFO_DROPS).
    let mut counters = [0u32; 9];
    let mut len = size_of_val(&counters) as libc::socklen_t;
    let (level, name) = (libc::SOL_SOCKET, SO_MEMINFO);
    let values = (&raw mut counters).cast();
    // SAFETY: pointer and length describe `counters`, which lives across the call.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, values, &raw mut len) })?;
    Ok(u64::from(counters[8]))
}

/// The same number on all architectures that the kernel's generic headers are for.
const SO_MEMINFO: i32 = 55;

/// The processor time of the calling thread so far, user and kernel.
pub fn thread_cpu_time() -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` that lives across the call.
    check(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) })?;
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// A kernel counter that can be waited for.
#[derive(Debug)]
pub struct EventFd(File);

impl EventFd {
    /// Non-blocking and closed on exec.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: `fd` was just opened and belongs to nobody else.
        Ok(Self(unsafe { File::from_raw_fd(fd) }))
    }

    /// Makes it readable.
    pub fn ring(&self) {
        // Fails only when the counter is at its maximum: it is readable then anyway.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// Waits until it is readable, at most for `timeout`; whether it is.
    pub fn wait(&self, timeout: Duration) -> bool {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout_ms = timeout.as_millis().min(i32::MAX as u128) as i32;
        // SAFETY: one descriptor, which lives across the call.
        unsafe { libc::poll(&raw mut poll, 1, timeout_ms) > 0 }
    }

    /// Makes it unreadable.
    pub fn clear(&self) {
        // Fails only when it is unreadable already.
        let _ = (&self.0).read(&mut [0; 8]);
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The cores this thread may run on, ascending.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    // SAFETY: all-zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: pointer and size describe `set`.
    check(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) })?;
    let cores = 0..libc::CPU_SETSIZE as usize;
    // SAFETY: every index is below CPU_SETSIZE.
    Ok(cores.filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect())
}

/// Lets this thread run on `core` only.
pub fn pin_to(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: all-zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `core` is below CPU_SETSIZE, checked above.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: pointer and size describe `set`.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) }).map(drop)
}

/// Has the scheduler prefer this thread to others, and let it run as soon as it wakes instead of at
/// the next tick, where the process may ask for that (CAP_SYS_NICE; the second from Linux 6.12 on).
pub fn prefer_this_thread() -> io::Result<()> {
    // SAFETY: all-zero is an ordinary thread's.
    let mut wish: libc::sched_attr = unsafe { std::mem::zeroed() };
    wish.size = size_of_val(&wish) as u32;
    wish.sched_nice = -15;
    // The shortest slice: a thread with a longer one is interrupted for it.
    wish.sched_runtime = 100_000;
    // SAFETY: the pointer is to `wish`, which lives across the call and says its size.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wish, 0) };
    check(set as i32).map(drop)
}

/// A resource limit of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// In force.
    pub soft: u64,
    /// How far it may be raised.
    pub hard: u64,
}

/// Descriptors this process may have open.
pub fn open_files_limit() -> io::Result<Limit> {
    read_limit(libc::RLIMIT_NOFILE)
}

/// Bytes this process may lock in memory.
pub fn locked_memory_limit() -> io::Result<Limit> {
    read_limit(libc::RLIMIT_MEMLOCK)
}

/// Sets the soft limit of open descriptors.
pub fn set_open_files_limit(limit: Limit) -> io::Result<()> {
    let raw = libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard };
    // SAFETY: `raw` lives across the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raw) }).map(drop)
}

fn read_limit(resource: libc::__rlimit_resource_t) -> io::Result<Limit> {
    let mut raw = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `raw` lives across the call.
    check(unsafe { libc::getrlimit(resource, &raw mut raw) })?;
    Ok(Limit { soft: raw.rlim_cur, hard: raw.rlim_max })
}

fn set_option(socket: &UdpSocket, level: i32, name: i32, value: i32) -> io::Result<()> {
    let len = size_of_val(&value) as u32;
    let value = (&raw const value).cast();
    // SAFETY: pointer and length describe `value`, which lives across the call.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, len) }).map(drop)
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
