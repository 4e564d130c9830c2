//! Which call holds which receive buffer, so that a call that falls over gives all of them back.

use crate::{PacketMemory, RxBuf, TxSlot};

/// The books over the host's packet memory.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// By buffer index: the slot of the call that holds it, or [`NOBODY`].
    owner: Box<[u16]>,
    /// Buffers held by calls now.
    held: u64,
    /// A send slot that was acquired and neither sent nor discarded yet.
    open: Option<u16>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let owner = vec![NOBODY; usize::from(u16::MAX) + 1].into_boxed_slice();
        Self { owner, held: 0, open: None }
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
        self.ledger.owner[usize::from(buf.index)] = slot;
        self.ledger.held += 1;
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

    fn release(&mut self, buf: RxBuf) {
        let owner = &mut self.ledger.owner[usize::from(buf.index)];
        // A buffer given back twice would be written to by the kernel while a call reads it.
        debug_assert_ne!(*owner, NOBODY, "buffer {} is released twice", buf.index);
        if *owner != NOBODY {
            *owner = NOBODY;
            self.ledger.held -= 1;
            self.memory.release(buf);
        }
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
