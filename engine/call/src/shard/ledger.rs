//! Which call holds which receive buffer: so that a call that falls over gives all of them back, and
//! none takes what the others need.
//!
//! Every call has a share of its own. What lies beyond it is borrowed from a common reserve, and once
//! that is used up, a call that borrows gives up its own oldest packet for each new one. Whatever
//! some calls do, each of the others can still hold its share.

use crate::{PacketMemory, RxBuf, TxSlot};

/// The books over the host's packet memory.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// By buffer index: the slot of the call that holds it, or [`NOBODY`].
    owner: Box<[u16]>,
    /// Buffers held by calls now.
    held: u64,
    /// By slot: buffers that its call holds.
    by_call: Box<[u16]>,
    /// Buffers held beyond the holders' shares; at most `reserve`, and one more while a call that
    /// has just borrowed it gives up another.
    borrowed: usize,
    reserve: usize,
    /// A send slot that was acquired and neither sent nor discarded yet.
    open: Option<u16>,
}

impl Ledger {
    /// For a shard of `capacity` calls.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            owner: vec![NOBODY; usize::from(u16::MAX) + 1].into_boxed_slice(),
            held: 0,
            by_call: vec![0; capacity].into_boxed_slice(),
            borrowed: 0,
            reserve: reserve(capacity),
            open: None,
        }
    }

    /// Buffers that the calls of a shard hold at most, all together.
    pub(crate) fn held_max(capacity: usize) -> usize {
        capacity * SHARE + reserve(capacity)
    }

    pub(crate) fn held(&self) -> u64 {
        self.held
    }
}

/// The host's memory while one call works with it.
pub(crate) struct Lent<'a, M> {
    memory: &'a mut M,
    ledger: &'a mut Ledger,
}

impl<'a, M: PacketMemory> Lent<'a, M> {
    pub(crate) fn new(memory: &'a mut M, ledger: &'a mut Ledger) -> Self {
        Self { memory, ledger }
    }

    /// `slot`'s call takes this buffer over.
    pub(crate) fn hand_over(&mut self, buf: &RxBuf, slot: u16) {
        let ledger = &mut *self.ledger;
        ledger.owner[usize::from(buf.index)] = slot;
        ledger.held += 1;
        let by_call = &mut ledger.by_call[usize::from(slot)];
        *by_call += 1;
        ledger.borrowed += usize::from(usize::from(*by_call) > SHARE);
    }

    /// Whether `slot`'s call has borrowed what is not there, and must give something up.
    pub(crate) fn is_overdrawn(&self, slot: u16) -> bool {
        let held = usize::from(self.ledger.by_call[usize::from(slot)]);
        self.ledger.borrowed > self.ledger.reserve && held > SHARE
    }

    /// An acquired slot goes to the host as an output.
    pub(crate) fn sent(&mut self) {
        self.ledger.open = None;
    }

    /// Takes back whatever `slot`'s call holds, when the call itself cannot be asked any more.
    /// Looks at every buffer; only for a fault.
    pub(crate) fn reclaim(&mut self, slot: u16) {
        for index in 0..=u16::MAX {
            if self.ledger.owner[usize::from(index)] == slot {
                self.release(RxBuf { index, offset: 0, len: 0 });
            }
        }
        if let Some(index) = self.ledger.open.take() {
            self.memory.discard(TxSlot(index));
        }
    }
}

impl<M: PacketMemory> PacketMemory for Lent<'_, M> {
    fn received(&self, buf: &RxBuf) -> &[u8] {
        self.memory.received(buf)
    }

    fn received_mut(&mut self, buf: &RxBuf) -> &mut [u8] {
        self.memory.received_mut(buf)
    }

    fn release(&mut self, buf: RxBuf) {
        let ledger = &mut *self.ledger;
        let owner = &mut ledger.owner[usize::from(buf.index)];
        // A buffer given back twice would be written to by the kernel while a call reads it.
        debug_assert_ne!(*owner, NOBODY, "buffer {} is released twice", buf.index);
        if *owner != NOBODY {
            let by_call = &mut ledger.by_call[usize::from(*owner)];
            ledger.borrowed -= usize::from(usize::from(*by_call) > SHARE);
            *by_call -= 1;
            *owner = NOBODY;
            ledger.held -= 1;
            self.memory.release(buf);
        }
    }

    fn expect<T: ?Sized>(&self, soon: &T) {
        self.memory.expect(soon);
    }

    fn expect_received(&self, buf: &RxBuf) {
        self.memory.expect_received(buf);
    }

    fn acquire(&mut self) -> Option<TxSlot> {
        let slot = self.memory.acquire()?;
        self.ledger.open = Some(slot.0);
        Some(slot)
    }

    fn slot(&mut self, slot: &TxSlot) -> &mut [u8] {
        self.memory.slot(slot)
    }

    fn discard(&mut self, slot: TxSlot) {
        self.ledger.open = None;
        self.memory.discard(slot);
    }
}

/// No call; the shard's capacity stays below it.
const NOBODY: u16 = u16::MAX;
/// Packets that a call can hold whatever the others do: 320 ms at 20 ms, more than a jitter buffer
/// waits for on any network that a conversation is possible on.
const SHARE: usize = 16;
/// Packets in the reserve for each call, 180 ms: a stall of half a second can hit all calls at once,
/// and nothing is lost.
const RESERVE: usize = 9;
/// The reserve at least: one call can always fill its jitter buffer.
const RESERVE_MIN: usize = 128;

fn reserve(capacity: usize) -> usize {
    (capacity * RESERVE).max(RESERVE_MIN)
}
