//! Packet memory that knows what is out, and cannot be fooled.

use std::cell::RefCell;
use std::collections::BTreeSet;

use vox_call::{PacketMemory, RxBuf, TxSlot};

/// Receive buffers and send slots in plain arrays. Panics on whatever a host would be corrupted by:
/// a buffer released twice, a slot used that is not out. [`Memory::assert_all_back`] finds leaks.
pub(crate) struct Memory {
    received: Vec<[u8; 2_048]>,
    received_out: Vec<bool>,
    slots: Vec<[u8; 1_500]>,
    slots_out: Vec<bool>,
    /// Reading this buffer panics: stands in for a bug that one packet triggers.
    pub(crate) poisoned: Option<u16>,
    /// No slot is free.
    pub(crate) exhausted: bool,
    /// Cache lines that were said to be needed soon, where a test counts them: a set allocates.
    pub(crate) expected: Option<RefCell<BTreeSet<usize>>>,
}

impl Memory {
    /// Room for this many received and sent packets at a time.
    pub(crate) fn new(received: usize, slots: usize) -> Self {
        Self {
            received: vec![[0; 2_048]; received],
            received_out: vec![false; received],
            slots: vec![[0; 1_500]; slots],
            slots_out: vec![false; slots],
            poisoned: None,
            exhausted: false,
            expected: None,
        }
    }

    /// What the kernel does: a datagram into a free buffer. `None` when there is none.
    pub(crate) fn receive(&mut self, datagram: &[u8]) -> Option<RxBuf> {
        let index = self.received_out.iter().position(|out| !out)?;
        self.received_out[index] = true;
        // Not at the start: a host has its own header in front.
        let offset = 32;
        self.received[index][offset..offset + datagram.len()].copy_from_slice(datagram);
        Some(RxBuf { index: index as u16, offset: offset as u16, len: datagram.len() as u16 })
    }

    /// What the kernel does with a slot that was sent.
    pub(crate) fn sent(&mut self, slot: TxSlot) {
        self.free(slot);
    }

    pub(crate) fn sent_bytes(&self, slot: &TxSlot, len: u16) -> &[u8] {
        &self.slots[usize::from(slot.0)][..usize::from(len)]
    }

    /// Receive buffers that are out.
    pub(crate) fn held(&self) -> usize {
        self.received_out.iter().filter(|&&out| out).count()
    }

    pub(crate) fn assert_all_back(&self) {
        assert_eq!(self.held(), 0, "receive buffers are leaked");
        assert!(!self.slots_out.contains(&true), "send slots are leaked");
    }

    fn free(&mut self, slot: TxSlot) {
        let out = &mut self.slots_out[usize::from(slot.0)];
        assert!(*out, "slot {} is given back twice", slot.0);
        *out = false;
    }
}

impl PacketMemory for Memory {
    fn received(&self, buf: &RxBuf) -> &[u8] {
        assert!(self.received_out[usize::from(buf.index)], "buffer {} is read after", buf.index);
        assert_ne!(self.poisoned, Some(buf.index), "the poisoned buffer is read");
        &self.received[usize::from(buf.index)][usize::from(buf.offset)..][..usize::from(buf.len)]
    }

    fn received_mut(&mut self, buf: &RxBuf) -> &mut [u8] {
        assert!(self.received_out[usize::from(buf.index)], "buffer {} is changed after", buf.index);
        &mut self.received[usize::from(buf.index)][usize::from(buf.offset)..]
            [..usize::from(buf.len)]
    }

    fn release(&mut self, buf: RxBuf) {
        let out = &mut self.received_out[usize::from(buf.index)];
        assert!(*out, "buffer {} is released twice", buf.index);
        *out = false;
    }

    fn expect<T: ?Sized>(&self, soon: &T) {
        let Some(expected) = &self.expected else { return };
        let start = std::ptr::from_ref(soon).addr();
        let lines = start / 64..(start + size_of_val(soon)).div_ceil(64);
        expected.borrow_mut().extend(lines);
    }

    fn acquire(&mut self) -> Option<TxSlot> {
        let index = self.slots_out.iter().position(|out| !out).filter(|_| !self.exhausted)?;
        self.slots_out[index] = true;
        Some(TxSlot(index as u16))
    }

    fn slot(&mut self, slot: &TxSlot) -> &mut [u8] {
        assert!(self.slots_out[usize::from(slot.0)], "slot {} is not out", slot.0);
        &mut self.slots[usize::from(slot.0)]
    }

    fn discard(&mut self, slot: TxSlot) {
        self.free(slot);
    }
}
