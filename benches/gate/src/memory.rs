use vox_call::{PacketMemory, RxBuf, TxSlot};

/// Packet memory as a host lays it out, without the kernel: the buffer released last is the next
/// one used, so that the few that circulate stay warm.
#[derive(Debug)]
pub struct Memory {
    received: Box<[[u8; STRIDE]]>,
    free: Vec<u16>,
    slots: Box<[[u8; STRIDE]]>,
    free_slots: Vec<u16>,
}

impl Memory {
    /// Room for this many received and sent packets at a time.
    pub fn new(received: u16, slots: u16) -> Self {
        Self {
            received: vec![[0; STRIDE]; usize::from(received)].into(),
            free: (0..received).rev().collect(),
            slots: vec![[0; STRIDE]; usize::from(slots)].into(),
            free_slots: (0..slots).rev().collect(),
        }
    }

    /// A datagram arrives.
    ///
    /// # Panics
    /// When all buffers are held: the bench has too few.
    pub fn receive(&mut self, datagram: &[u8]) -> RxBuf {
        let index = self.free.pop().expect("a free receive buffer");
        self.received[usize::from(index)][OFFSET..][..datagram.len()].copy_from_slice(datagram);
        RxBuf { index, offset: OFFSET as u16, len: datagram.len() as u16 }
    }
}

impl PacketMemory for Memory {
    fn received(&self, buf: &RxBuf) -> &[u8] {
        &self.received[usize::from(buf.index)][usize::from(buf.offset)..][..usize::from(buf.len)]
    }

    fn received_mut(&mut self, buf: &RxBuf) -> &mut [u8] {
        &mut self.received[usize::from(buf.index)][usize::from(buf.offset)..]
            [..usize::from(buf.len)]
    }

    fn release(&mut self, buf: RxBuf) {
        self.free.push(buf.index);
    }

    fn acquire(&mut self) -> Option<TxSlot> {
        self.free_slots.pop().map(TxSlot)
    }

    fn slot(&mut self, slot: &TxSlot) -> &mut [u8] {
        &mut self.slots[usize::from(slot.0)]
    }

    fn discard(&mut self, slot: TxSlot) {
        self.free_slots.push(slot.0);
    }
}

const STRIDE: usize = 1_600;
/// The kernel's receive header and the source address lie in front of a datagram.
const OFFSET: usize = 44;
