use vox_rtp::memory::TxSlot;

use crate::sys::RawAddr;

/// Where outgoing packets are encoded: slots of [`STRIDE`](Self::STRIDE) bytes, each of them free,
/// acquired, or queued for the kernel. Queued slots are free again after the next submission,
/// because a send that must not wait is over when `io_uring_enter` returns.
pub(crate) struct SendMemory {
    bytes: Box<[u8]>,
    /// Destinations of sends from ports that are not connected, by slot.
    addrs: Box<[RawAddr]>,
    free: Vec<u16>,
    queued: Vec<u16>,
    owners: Vec<Owner>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Free,
    Acquired,
    Queued,
}

/// What the kernel is told about one datagram; the pointers live until [`SendMemory::reclaim`].
pub(crate) struct Queued {
    pub(crate) bytes: *const u8,
    pub(crate) len: u32,
    /// Null without a destination.
    pub(crate) addr: *const libc::sockaddr,
    pub(crate) addr_len: libc::socklen_t,
}

impl SendMemory {
    /// 23 cache lines; a datagram that fills an Ethernet frame (1,500 − 20 − 8) fits exactly.
    pub(crate) const STRIDE: usize = 1_472;

    /// `count` slots.
    pub(crate) fn new(count: u16) -> Self {
        Self {
            bytes: vec![0; usize::from(count) * Self::STRIDE].into(),
            addrs: vec![RawAddr::empty(); usize::from(count)].into(),
            free: (0..count).rev().collect(),
            queued: Vec::with_capacity(usize::from(count)),
            owners: vec![Owner::Free; usize::from(count)],
        }
    }

    pub(crate) fn acquire(&mut self) -> Option<TxSlot> {
        let index = self.free.pop()?;
        self.owners[usize::from(index)] = Owner::Acquired;
        Some(TxSlot(index))
    }

    /// The whole of an acquired slot.
    pub(crate) fn slot(&mut self, slot: &TxSlot) -> &mut [u8] {
        debug_assert_eq!(self.owners[usize::from(slot.0)], Owner::Acquired);
        let start = usize::from(slot.0) * Self::STRIDE;
        &mut self.bytes[start..start + Self::STRIDE]
    }

    /// Gives back an acquired slot.
    pub(crate) fn discard(&mut self, slot: TxSlot) {
        self.move_from(Owner::Acquired, slot.0);
    }

    /// Prepares the first `len` bytes of an acquired slot for the kernel.
    pub(crate) fn queue(&mut self, slot: TxSlot, len: u16, to: Option<RawAddr>) -> Queued {
        let index = usize::from(slot.0);
        debug_assert_eq!(self.owners[index], Owner::Acquired);
        self.owners[index] = Owner::Queued;
        self.queued.push(slot.0);
        let (addr, addr_len) = match to {
            Some(to) => {
                self.addrs[index] = to;
                (self.addrs[index].as_ptr(), to.len())
            }
            None => (std::ptr::null(), 0),
        };
        let bytes = self.bytes[index * Self::STRIDE..].as_ptr();
        Queued { bytes, len: u32::from(len).min(Self::STRIDE as u32), addr, addr_len }
    }

    /// The kernel is done with everything that was queued.
    pub(crate) fn reclaim(&mut self) {
        while let Some(index) = self.queued.pop() {
            self.move_from(Owner::Queued, index);
        }
    }

    fn move_from(&mut self, owner: Owner, index: u16) {
        match self.owners.get_mut(usize::from(index)) {
            Some(now) if *now == owner => {
                *now = Owner::Free;
                self.free.push(index);
            }
            _ => debug_assert!(false, "send slot {index} is given back twice"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_again_after_discard_or_reclaim() {
        let mut memory = SendMemory::new(2);
        let first = memory.acquire().unwrap();
        let second = memory.acquire().unwrap();
        assert_eq!(memory.acquire(), None, "both are out");
        memory.discard(first);
        memory.queue(second, 172, None);
        assert!(memory.acquire().is_some());
        assert_eq!(memory.acquire(), None, "one is still with the kernel");
        memory.reclaim();
        assert!(memory.acquire().is_some());
    }
}
