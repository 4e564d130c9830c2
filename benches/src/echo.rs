//! The floor: as little as a UDP echo in 2 ms batches can do on io_uring. Connected sockets in the
//! registered file table, multishot receive into a provided buffer ring, each datagram sent back
//! from the buffer it arrived in, one `io_uring_enter` for each batch. It looks at nothing.
#![allow(unsafe_code, reason = "the floor is the raw ring; each block says why it is sound")]

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{BufRingEntry, Fixed, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode};

use crate::process;

/// A socket for each of these ports of callers on loopback. Prints its own, runs until its input
/// closes.
pub fn run(peers: &[u16]) -> Result<()> {
    let sockets = peers
        .iter()
        .map(|&peer| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect((Ipv4Addr::LOCALHOST, peer))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
        .collect::<Result<Vec<_>>>()?;
    let ports =
        sockets.iter().map(|socket| Ok(socket.local_addr()?.port())).collect::<Result<Vec<_>>>()?;
    println!("{}", process::join(ports));
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let echoing = scope.spawn(|| Echo::new(&sockets)?.run(&stopped));
        process::wait_for_parent()?;
        stopped.store(true, Ordering::Relaxed);
        echoing.join().map_err(|_| anyhow!("the echo panicked"))?
    })
}

/// Dropped in this order: the ring before the memory that it works on.
struct Echo {
    uring: IoUring,
    buffers: Box<[[u8; BUFFER_BYTES]]>,
    provided: Box<Provided>,
    tail: u16,
    /// Buffers that the next submission sends from.
    sending: Vec<u16>,
}

/// The provided-buffer ring: entries of address, length and index, on a page of its own.
#[repr(C, align(4096))]
struct Provided([[u64; 2]; BUFFERS]);

impl Echo {
    fn new(sockets: &[UdpSocket]) -> Result<Self> {
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_cqsize(4 * BUFFERS as u32)
            .build(2 * BUFFERS as u32)?;
        let files: Vec<_> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
        uring.submitter().register_files(&files)?;
        let provided = Box::new(Provided([[0; 2]; BUFFERS]));
        let address = (&raw const *provided) as u64;
        // SAFETY: `provided` is dropped after the ring.
        unsafe {
            uring.submitter().register_buf_ring_with_flags(address, BUFFERS as u16, 0, 0)?;
        }
        let buffers = vec![[0; BUFFER_BYTES]; BUFFERS].into();
        let mut echo = Self { uring, buffers, provided, tail: 0, sending: vec![] };
        (0..BUFFERS as u16).for_each(|index| echo.provide(index));
        echo.publish();
        (0..sockets.len() as u32).for_each(|row| echo.receive(row));
        Ok(echo)
    }

    fn run(&mut self, stopped: &AtomicBool) -> Result<()> {
        let mut deadline = Instant::now();
        let mut done = Vec::with_capacity(4 * BUFFERS);
        while !stopped.load(Ordering::Relaxed) {
            deadline += BATCH;
            self.enter(deadline.saturating_duration_since(Instant::now()))?;
            for index in std::mem::take(&mut self.sending) {
                self.provide(index);
            }
            self.publish();
            done.extend(self.uring.completion());
            for completion in done.drain(..) {
                self.completed(&completion);
            }
        }
        Ok(())
    }

    fn completed(&mut self, completion: &cqueue::Entry) {
        let row = completion.user_data() as u32;
        if completion.user_data() == SEND {
            return;
        }
        if let Some(index) = cqueue::buffer_select(completion.flags()) {
            let bytes = self.buffers[usize::from(index)].as_ptr();
            let send = opcode::Send::new(Fixed(row), bytes, completion.result().max(0) as u32)
                .flags(libc::MSG_DONTWAIT)
                .build()
                .flags(Flags::SKIP_SUCCESS)
                .user_data(SEND);
            self.push(&send);
            self.sending.push(index);
        }
        if !cqueue::more(completion.flags()) {
            self.receive(row);
        }
    }

    fn receive(&mut self, row: u32) {
        let receive = opcode::RecvMulti::new(Fixed(row), 0).build().user_data(u64::from(row));
        self.push(&receive);
    }

    fn enter(&mut self, wait: Duration) -> Result<()> {
        let queued = self.uring.submission().len() as u32;
        let timeout = Timespec::from(wait);
        let args = SubmitArgs::new().timespec(&timeout);
        let flags = (EnterFlags::GETEVENTS | EnterFlags::EXT_ARG).bits();
        // SAFETY: `args` and its time live across the call.
        let entered =
            unsafe { self.uring.submitter().enter(queued, BUFFERS as u32, flags, Some(&args)) };
        match entered {
            Err(error) if error.raw_os_error() != Some(libc::ETIME) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn push(&mut self, entry: &Entry) {
        // SAFETY: entries point to `buffers`, which is dropped after the ring; the queue is twice
        // as long as there are buffers.
        unsafe { self.uring.submission().push(entry) }.expect("room for every buffer");
    }

    fn provide(&mut self, index: u16) {
        let at = usize::from(self.tail) % BUFFERS;
        // SAFETY: `at` is inside the ring, whose entries are 16 bytes, as `BufRingEntry` is.
        let entry = unsafe { &mut *(&raw mut self.provided.0).cast::<BufRingEntry>().add(at) };
        entry.set_addr(self.buffers[usize::from(index)].as_ptr() as u64);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(index);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: the tail lies in the first entry, by the kernel's interface.
        let tail = unsafe {
            AtomicU16::from_ptr(BufRingEntry::tail((&raw const self.provided.0).cast()).cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }
}

const BATCH: Duration = Duration::from_millis(2);
const BUFFERS: usize = 1_024;
/// Odd in cache lines, as the engine's.
const BUFFER_BYTES: usize = 1_600;
const SEND: u64 = u64::MAX;
