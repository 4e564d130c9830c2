//! One io_uring and the packet memory it works on: the only `unsafe` of the engine.
//!
//! The ring is made with `SINGLE_ISSUER` and `DEFER_TASKRUN`: completions, and with them every
//! write of the kernel to packet memory, happen only inside `io_uring_enter` called by the thread
//! that owns the [`Ring`]. Between two enters memory is therefore ours, whatever is in flight.
#![allow(unsafe_code, reason = "the kernel's interfaces are raw; each block says why it is sound")]

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::squeue::{Entry, Flags};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, types};
use vox_call::{PacketMemory, RxBuf, TxSlot};

pub(crate) mod sys;

mod mapping;
mod receive;
mod send;
mod sizes;
mod token;

use receive::ReceiveMemory;
use send::SendMemory;
pub(crate) use sizes::{MAX_CALLS, Sizes};
use sys::{EventFd, RawAddr};
pub(crate) use token::Token;

/// Why a ring could not be made: what was tried, and what the kernel said.
#[derive(Debug)]
pub(crate) struct RingError {
    pub(crate) step: Step,
    pub(crate) error: io::Error,
}

/// Steps of making a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Setup,
    FileTable,
    PacketMemory,
    BufferRing,
}

/// Something the kernel finished.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Completion {
    pub(crate) token: Token,
    /// Bytes, or a negative `errno`.
    pub(crate) result: i32,
    /// The receive buffer that was used.
    pub(crate) buffer: Option<u16>,
    /// The operation goes on: this is not its last completion.
    pub(crate) more: bool,
}

/// A datagram in its buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// It is whole; the buffer must be released.
    Whole(SocketAddr, RxBuf),
    /// It was larger than a buffer; released already.
    TooLarge,
    /// The kernel named a buffer or an address that makes no sense; released already.
    Unusable,
}

/// How long to wait for completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// For this long. Packets do not cut it short unless every provided buffer could be used.
    Batch(Duration),
    /// Until anything happens.
    ForAnything,
}

/// Eventfds that a shard rings.
#[derive(Debug, Clone)]
pub(crate) struct Bells {
    /// There are events.
    pub(crate) control: Arc<EventFd>,
    /// There is something new for agents that live elsewhere.
    pub(crate) agents: Arc<EventFd>,
}

/// Who is told that there is something to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    Control,
    Agents,
}

/// A ring, its packet memory, and what is queued for the next submission. Fields are dropped in
/// this order: the ring goes before the memory it works on.
pub(crate) struct Ring {
    uring: IoUring,
    packets: Packets,
    /// Lengths of the parts of a received buffer; read by the kernel whenever a receive is armed.
    shape: Box<libc::msghdr>,
    /// Operations that found the submission queue full and must not be lost.
    deferred: VecDeque<Entry>,
    wake: Arc<EventFd>,
    bells: Bells,
    bell_count: Box<u64>,
    /// Completions that cut a batch's wait short: all that the provided buffers allow.
    batch_wait: usize,
}

impl Ring {
    /// `wake` is read by [`arm_wake`](Self::arm_wake), `bells` are rung by
    /// [`tell`](Self::tell). Must be called on the thread that uses the ring.
    pub(crate) fn new(sizes: Sizes, wake: Arc<EventFd>, bells: Bells) -> Result<Self, RingError> {
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

    /// The packet memory, to be lent to the core.
    pub(crate) fn packets(&mut self) -> &mut Packets {
        &mut self.packets
    }

    /// Puts a socket into a row of the file table. Not a batched operation: once a call.
    pub(crate) fn install(&mut self, row: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.uring.submitter().register_files_update(row, &[socket.as_raw_fd()]).map(drop)
    }

    /// Empties a row of the file table.
    pub(crate) fn uninstall(&mut self, row: u32) -> io::Result<()> {
        self.uring.submitter().register_files_update(row, &[-1]).map(drop)
    }

    /// Receives on a row until its last completion (one without `more`).
    pub(crate) fn receive(&mut self, row: u32, token: Token) {
        let shape: *const libc::msghdr = &raw const *self.shape;
        let entry = opcode::RecvMsgMulti::new(types::Fixed(row), shape, GROUP)
            .build()
            .user_data(token.pack());
        self.push_surely(entry);
    }

    /// Ends the operation that `token` was given to.
    pub(crate) fn cancel(&mut self, token: Token) {
        let entry = opcode::AsyncCancel::new(token.pack())
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(Token::Quiet.pack());
        self.push_surely(entry);
    }

    /// Queues a datagram; `false` when there is no room, and nothing will be sent.
    pub(crate) fn send(
        &mut self,
        row: u32,
        slot: TxSlot,
        len: u16,
        to: Option<SocketAddr>,
        token: Token,
    ) -> bool {
        if !self.has_room() {
            self.packets.send.discard(slot);
            return false;
        }
        let queued = self.packets.send.queue(slot, len, to.map(RawAddr::new));
        let entry = opcode::Send::new(types::Fixed(row), queued.bytes, queued.len)
            .flags(libc::MSG_DONTWAIT)
            .dest_addr(queued.addr)
            .dest_addr_len(queued.addr_len)
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(token.pack());
        self.push(&entry)
    }

    /// Completes with [`Token::Wake`] once control rings. The eventfd stays readable.
    pub(crate) fn arm_wake(&mut self) {
        let fd = types::Fd(self.wake.as_fd().as_raw_fd());
        let entry =
            opcode::PollAdd::new(fd, libc::POLLIN as u32).build().user_data(Token::Wake.pack());
        self.push_surely(entry);
    }

    /// Rings for those who wait for what the shard has done, as part of the next submission.
    pub(crate) fn tell(&mut self, whom: Whom) {
        let bell = match whom {
            Whom::Control => &self.bells.control,
            Whom::Agents => &self.bells.agents,
        };
        let fd = types::Fd(bell.as_fd().as_raw_fd());
        let count = (&raw const *self.bell_count).cast::<u8>();
        let entry = opcode::Write::new(fd, count, 8)
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(Token::Quiet.pack());
        self.push_surely(entry);
    }

    /// Submits what is queued, ahead of the wake-up's [`enter`](Self::enter). Not a batched
    /// operation: once a call.
    pub(crate) fn flush(&mut self) {
        while self.push_deferred() {}
        // What fails stays queued.
        let _ = self.uring.submitter().submit();
        self.reclaim_sent();
    }

    /// Submits what is queued, gives the kernel fresh buffers, and waits. The one system call of a
    /// wake-up. An interrupted or timed-out wait is no error.
    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
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
    pub(crate) fn completions(&mut self, out: &mut Vec<Completion>) {
        out.extend(self.uring.completion().map(|entry| Completion {
            token: Token::unpack(entry.user_data()),
            result: entry.result(),
            buffer: cqueue::buffer_select(entry.flags()),
            more: cqueue::more(entry.flags()),
        }));
    }

    /// Takes over the buffer of a completed receive and finds the datagram in it.
    pub(crate) fn received(&mut self, buffer: u16, filled: usize) -> Received {
        let Some(bytes) = self.packets.receive.take(buffer) else { return Received::Unusable };
        let filled = &bytes[..filled.min(ReceiveMemory::STRIDE)];
        let found = match types::RecvMsgOut::parse(filled, &self.shape) {
            Ok(out) if out.is_payload_truncated() => Received::TooLarge,
            Ok(out) => match parse_name(out.name_data()) {
                Some(source) => {
                    let len = out.payload_data().len() as u16;
                    Received::Whole(source, RxBuf { index: buffer, offset: HEADER_LEN as u16, len })
                }
                None => Received::Unusable,
            },
            Err(()) => Received::Unusable,
        };
        if !matches!(found, Received::Whole(..)) {
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

/// Receive and send memory of one ring, as the core sees them.
pub(crate) struct Packets {
    receive: ReceiveMemory,
    send: SendMemory,
}

impl Packets {
    /// Whether a receive that is armed now finds a buffer.
    pub(crate) fn can_receive(&mut self) -> bool {
        self.receive.provide();
        self.receive.provided() > 0
    }

    /// Receive buffers that hold a packet.
    pub(crate) fn held(&self) -> usize {
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

/// Makes the smallest ring of the kind the engine needs and drops it: whether the kernel lets us.
pub(crate) fn probe() -> Result<(), RingError> {
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

/// Room for a source address of either family.
const NAME_LEN: usize = size_of::<libc::sockaddr_in6>();
/// Four 32-bit lengths and flags, then the name; the datagram follows.
const HEADER_LEN: usize = 16 + NAME_LEN;
/// The only buffer group.
const GROUP: u16 = 0;

#[cfg(test)]
mod tests;
