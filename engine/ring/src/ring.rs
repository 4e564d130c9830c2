use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::squeue::{Entry, Flags};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, types};
use vox_rtp::memory::{PacketMemory, RxBuf, TxSlot};

use crate::cause::{RingError, Step};
use crate::receive::ReceiveMemory;
use crate::send::SendMemory;
use crate::sys::{self, EventFd, RawAddr};
use crate::token::{SocketKey, Token};

/// How large a ring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of the registered file table.
    pub files: u32,
    /// Entries of the submission queue.
    pub submissions: u32,
    /// Entries of the completion queue.
    pub completions: u32,
    /// Receive buffers in all.
    pub buffers: u16,
    /// Receive buffers with the kernel at a time; a power of two, at most 32,768.
    pub provided: u16,
    /// Send slots.
    pub slots: u16,
    /// Whether datagrams bring the kernel's time of their arrival along. Their sockets must ask for
    /// it, too: [`sys::stamp_arrivals`].
    pub stamps: bool,
}

/// Something the kernel finished.
#[derive(Debug, Clone, Copy)]
pub struct Completion {
    /// What it is about.
    pub token: Token,
    /// Bytes, or a negative `errno`.
    pub result: i32,
    /// The receive buffer that was used.
    pub buffer: Option<u16>,
    /// The operation goes on: this is not its last completion.
    pub more: bool,
}

/// A datagram in its buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// It is whole; the buffer must be released.
    Whole {
        /// Who sent it.
        source: SocketAddr,
        /// Where it lies.
        buf: RxBuf,
        /// When the kernel had it, if the ring and the socket ask for that: on the system's clock
        /// (since 1970), which may step.
        stamp: Option<Duration>,
    },
    /// It was larger than a buffer; released already.
    TooLarge,
    /// The kernel named a buffer or an address that makes no sense; released already.
    Unusable,
}

/// How long to wait for completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// For this long. Packets do not cut it short unless every provided buffer could be used.
    Batch(Duration),
    /// Until anything happens.
    ForAnything,
}

/// A ring, its packet memory, and what is queued for the next submission. Fields are dropped in
/// this order: the ring goes before the memory it works on.
pub struct Ring {
    uring: IoUring,
    packets: Packets,
    /// Lengths of the parts of a received buffer; read by the kernel whenever a receive is armed.
    shape: Box<libc::msghdr>,
    /// Operations that found the submission queue full and must not be lost.
    deferred: VecDeque<Entry>,
    wake: Arc<EventFd>,
    bells: Vec<Arc<EventFd>>,
    bell_count: Box<u64>,
    /// Completions that cut a batch's wait short: all that the provided buffers allow.
    batch_wait: usize,
}

impl Ring {
    /// `wake` is watched by [`arm_wake`](Self::arm_wake), `bells` are rung by
    /// [`tell`](Self::tell). Must be called on the thread that uses the ring.
    pub fn new(
        sizes: Sizes,
        wake: Arc<EventFd>,
        bells: Vec<Arc<EventFd>>,
    ) -> Result<Self, RingError> {
        let at = |step| move |error| RingError { step, error };
        let uring = setup(sizes.submissions, sizes.completions).map_err(at(Step::Setup))?;
        uring.submitter().register_files_sparse(sizes.files).map_err(at(Step::FileTable))?;
        let receive =
            ReceiveMemory::new(sizes.buffers, sizes.provided).map_err(at(Step::PacketMemory))?;
        let (address, entries) = receive.registration();
        // SAFETY: the buffer ring's mapping is owned by `receive`, which `Ring` drops after the
        // ring that it is registered with.
        unsafe { uring.submitter().register_buf_ring_with_flags(address, entries, GROUP, 0) }
            .map_err(at(Step::BufferRing))?;
        // SAFETY: all-zero is an empty header: no name, no control data, no buffers.
        let mut shape: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        shape.msg_namelen = NAME_LEN as u32;
        shape.msg_controllen = if sizes.stamps { STAMP_SPACE } else { 0 };
        let mut ring = Self {
            uring,
            packets: Packets { receive, send: SendMemory::new(sizes.slots) },
            shape,
            deferred: VecDeque::with_capacity(sizes.files as usize * 2 + 8),
            wake,
            bells,
            bell_count: Box::new(1),
            batch_wait: usize::from(sizes.provided),
        };
        ring.packets.receive.provide();
        Ok(ring)
    }

    /// The packet memory.
    pub fn packets(&mut self) -> &mut Packets {
        &mut self.packets
    }

    /// Puts a socket into a row of the file table. Not a batched operation: once a call.
    pub fn install(&mut self, row: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.uring.submitter().register_files_update(row, &[socket.as_raw_fd()]).map(drop)
    }

    /// Empties a row of the file table.
    pub fn uninstall(&mut self, row: u32) -> io::Result<()> {
        self.uring.submitter().register_files_update(row, &[-1]).map(drop)
    }

    /// Receives on a socket until its last completion (one without `more`).
    pub fn receive(&mut self, socket: SocketKey) {
        let shape: *const libc::msghdr = &raw const *self.shape;
        let entry = opcode::RecvMsgMulti::new(types::Fixed(socket.row), shape, GROUP)
            .build()
            .user_data(Token::Receive(socket).pack());
        self.push_surely(entry);
    }

    /// Ends the receive of a socket, which says so in its last completion.
    pub fn stop_receiving(&mut self, socket: SocketKey) {
        let entry = opcode::AsyncCancel::new(Token::Receive(socket).pack())
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(Token::Quiet.pack());
        self.push_surely(entry);
    }

    /// Queues a datagram; `false` when there is no room, and nothing will be sent.
    pub fn send(
        &mut self,
        socket: SocketKey,
        slot: TxSlot,
        len: u16,
        to: Option<SocketAddr>,
    ) -> bool {
        if !self.has_room() {
            self.packets.send.discard(slot);
            return false;
        }
        let queued = self.packets.send.queue(slot, len, to.map(RawAddr::new));
        let entry = opcode::Send::new(types::Fixed(socket.row), queued.bytes, queued.len)
            .flags(libc::MSG_DONTWAIT)
            .dest_addr(queued.addr)
            .dest_addr_len(queued.addr_len)
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(Token::Send(socket).pack());
        self.push(&entry)
    }

    /// Completes with [`Token::Wake`] once somebody rings. The eventfd stays readable.
    pub fn arm_wake(&mut self) {
        let fd = types::Fd(self.wake.as_fd().as_raw_fd());
        let entry =
            opcode::PollAdd::new(fd, libc::POLLIN as u32).build().user_data(Token::Wake.pack());
        self.push_surely(entry);
    }

    /// Rings one of the bells that the ring was made with, as part of the next submission.
    ///
    /// # Panics
    ///
    /// When there is no such bell.
    pub fn tell(&mut self, bell: usize) {
        let fd = types::Fd(self.bells[bell].as_fd().as_raw_fd());
        let count = (&raw const *self.bell_count).cast::<u8>();
        let entry = opcode::Write::new(fd, count, 8)
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(Token::Quiet.pack());
        self.push_surely(entry);
    }

    /// Submits what is queued, ahead of the wake-up's [`enter`](Self::enter). Not a batched
    /// operation: once a call.
    pub fn flush(&mut self) {
        while self.push_deferred() {}
        // What fails stays queued.
        let _ = self.uring.submitter().submit();
        self.reclaim_sent();
    }

    /// Submits what is queued, gives the kernel fresh buffers, and waits. The one system call of a
    /// wake-up. An interrupted or timed-out wait is no error.
    pub fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.packets.receive.provide();
        while self.push_deferred() {}
        let (want, timeout) = match wait {
            Wait::No => (0, None),
            Wait::Batch(timeout) => (self.batch_wait, Some(types::Timespec::from(timeout))),
            Wait::ForAnything => (1, None),
        };
        let mut args = types::SubmitArgs::new();
        if let Some(timeout) = &timeout {
            args = args.timespec(timeout);
        }
        let queued = self.uring.submission().len() as u32;
        let flags = (EnterFlags::GETEVENTS | EnterFlags::EXT_ARG).bits();
        // SAFETY: `args` and the time in it live across the call; entries were built by the methods
        // above from memory that this ring owns.
        let entered =
            unsafe { self.uring.submitter().enter(queued, want as u32, flags, Some(&args)) };
        self.reclaim_sent();
        match entered.map_err(|error| (error.raw_os_error(), error)) {
            // Out of memory for requests, or too many completions waiting: what was not consumed
            // stays queued for the next turn.
            Ok(_) | Err((Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY), _)) => {
                Ok(())
            }
            Err((_, error)) => Err(error),
        }
    }

    /// Appends everything that is complete to `out`.
    pub fn completions(&mut self, out: &mut Vec<Completion>) {
        out.extend(self.uring.completion().map(|entry| Completion {
            token: Token::unpack(entry.user_data()),
            result: entry.result(),
            buffer: cqueue::buffer_select(entry.flags()),
            more: cqueue::more(entry.flags()),
        }));
    }

    /// Takes over the buffer of a completed receive and finds the datagram in it.
    pub fn received(&mut self, buffer: u16, filled: usize) -> Received {
        let Some(bytes) = self.packets.receive.take(buffer) else { return Received::Unusable };
        let filled = &bytes[..filled.min(ReceiveMemory::STRIDE)];
        let found = match types::RecvMsgOut::parse(filled, &self.shape) {
            Ok(out) if out.is_payload_truncated() => Received::TooLarge,
            Ok(out) => match parse_name(out.name_data()) {
                Some(source) => {
                    let offset = (HEADER_LEN + self.shape.msg_controllen) as u16;
                    let buf = RxBuf { index: buffer, offset, len: out.payload_data().len() as u16 };
                    Received::Whole { source, buf, stamp: parse_stamp(out.control_data()) }
                }
                None => Received::Unusable,
            },
            Err(()) => Received::Unusable,
        };
        if !matches!(found, Received::Whole { .. }) {
            self.packets.receive.release(buffer);
        }
        found
    }

    /// Pushes an operation that must not be lost; a full queue only delays it.
    fn push_surely(&mut self, entry: Entry) {
        if !self.deferred.is_empty() || !self.has_room() || !self.push(&entry) {
            self.deferred.push_back(entry);
        }
    }

    /// Moves one deferred operation to the queue; `false` when none is left or nothing fits.
    fn push_deferred(&mut self) -> bool {
        if self.uring.submission().is_full() {
            return false;
        }
        match self.deferred.pop_front() {
            Some(entry) => self.push(&entry),
            None => false,
        }
    }

    fn push(&mut self, entry: &Entry) -> bool {
        // SAFETY: every entry is built in this module. What it points to (send slots, the receive
        // shape, the eventfd's count) is owned by this ring and outlives the operation: slots
        // are reclaimed only after submission, the rest is dropped after the ring itself.
        unsafe { self.uring.submission().push(entry) }.is_ok()
    }

    /// Whether an entry fits, after a submission in mid-turn if need be.
    fn has_room(&mut self) -> bool {
        if !self.uring.submission().is_full() {
            return true;
        }
        // A failure leaves the queue full, which the answer says.
        let _ = self.uring.submitter().submit();
        self.reclaim_sent();
        !self.uring.submission().is_full()
    }

    fn reclaim_sent(&mut self) {
        if self.uring.submission().is_empty() {
            self.packets.send.reclaim();
        }
    }
}

/// Receive and send memory of one ring, as those see it who look inside packets.
pub struct Packets {
    receive: ReceiveMemory,
    send: SendMemory,
}

impl Packets {
    /// Whether a receive that is armed now finds a buffer.
    pub fn can_receive(&mut self) -> bool {
        self.receive.provide();
        self.receive.provided() > 0
    }

    /// Receive buffers that hold a packet.
    pub fn held(&self) -> usize {
        self.receive.held()
    }
}

impl PacketMemory for Packets {
    fn received(&self, buf: &RxBuf) -> &[u8] {
        self.receive.bytes(buf)
    }
    fn received_mut(&mut self, buf: &RxBuf) -> &mut [u8] {
        self.receive.bytes_mut(buf)
    }
    fn release(&mut self, buf: RxBuf) {
        self.receive.release(buf.index);
    }
    fn expect<T: ?Sized>(&self, soon: &T) {
        sys::prefetch(soon);
    }
    fn expect_received(&self, buf: &RxBuf) {
        self.receive.expect(buf);
    }
    fn acquire(&mut self) -> Option<TxSlot> {
        self.send.acquire()
    }
    fn slot(&mut self, slot: &TxSlot) -> &mut [u8] {
        self.send.slot(slot)
    }
    fn discard(&mut self, slot: TxSlot) {
        self.send.discard(slot);
    }
}

/// Makes the smallest ring of this kind and drops it: whether the kernel lets us.
pub fn probe() -> Result<(), RingError> {
    setup(8, 16).map(drop).map_err(|error| RingError { step: Step::Setup, error })
}

fn setup(submissions: u32, completions: u32) -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(completions)
        .build(submissions)
}

/// The source address in front of a received datagram.
fn parse_name(name: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(name.first_chunk::<2>().copied()?);
    let port = u16::from_be_bytes([*name.get(2)?, *name.get(3)?]);
    let ip: IpAddr = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::from(*name.get(4..)?.first_chunk::<4>()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(*name.get(8..)?.first_chunk::<16>()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The time of arrival in the control data of a received datagram (`SCM_TIMESTAMPNS`), the only
/// control message that is asked for.
fn parse_stamp(control: &[u8]) -> Option<Duration> {
    const { assert!(libc::SCM_TIMESTAMPNS == libc::SO_TIMESTAMPNS) };
    let level = i32::from_ne_bytes(*control.get(8..)?.first_chunk()?);
    let kind = i32::from_ne_bytes(*control.get(12..)?.first_chunk()?);
    let seconds = i64::from_ne_bytes(*control.get(16..)?.first_chunk()?);
    let nanoseconds = i64::from_ne_bytes(*control.get(24..)?.first_chunk()?);
    let is_stamp = level == libc::SOL_SOCKET && kind == libc::SCM_TIMESTAMPNS;
    (is_stamp && (0..1_000_000_000).contains(&nanoseconds))
        .then(|| Duration::new(u64::try_from(seconds).unwrap_or(0), nanoseconds as u32))
}

/// Room for a source address of either family.
const NAME_LEN: usize = size_of::<libc::sockaddr_in6>();
/// Four 32-bit lengths and flags, then the name; the datagram follows.
const HEADER_LEN: usize = 16 + NAME_LEN;
/// A control message of one `timespec`: length, level and type, then seconds and nanoseconds, each
/// of them eight bytes but for level and type, which share them.
const STAMP_SPACE: usize = 32;
/// The only buffer group.
const GROUP: u16 = 0;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
