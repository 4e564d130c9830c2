use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use vox_rtp::memory::RxBuf;

use crate::mapping::Mapping;
use crate::sys;

/// Where datagrams are received: buffers of [`STRIDE`](Self::STRIDE) bytes, each of them with the
/// kernel, held (by the host or a jitter buffer), or free.
///
/// The kernel's ring is kept filled to `provided_max` only, from a last-in-first-out stack: the few
/// buffers that circulate stay warm in the cache, however many there are for bad times.
#[derive(Debug)]
pub(crate) struct ReceiveMemory {
    buffers: Mapping,
    /// The provided-buffer ring: `provided_max` entries, shared with the kernel.
    ring: Mapping,
    /// A power of two, at most 32,768.
    provided_max: u16,
    /// Entries ever provided, wrapping; published to the kernel by `provide`.
    tail: u16,
    /// With the kernel now. In 0..=`provided_max`.
    provided: u16,
    free: Vec<u16>,
    owners: Vec<Owner>,
    /// Buffers whose owner is `Held`.
    held: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Free,
    Kernel,
    Held,
}

impl ReceiveMemory {
    /// 25 cache lines: an odd number, so that the fronts of the buffers, where all packets lie,
    /// spread over all sets of the cache. Holds 44 bytes of receive header and 1,556 of datagram.
    pub(crate) const STRIDE: usize = 1_600;

    /// `count` buffers, at most `provided_max` (a power of two) of them with the kernel at a time.
    pub(crate) fn new(count: u16, provided_max: u16) -> io::Result<Self> {
        assert!(provided_max.is_power_of_two() && provided_max <= 32_768);
        Ok(Self {
            buffers: Mapping::new(usize::from(count) * Self::STRIDE)?,
            ring: Mapping::new(usize::from(provided_max) * size_of::<BufRingEntry>())?,
            provided_max,
            tail: 0,
            provided: 0,
            free: (0..count).rev().collect(),
            owners: vec![Owner::Free; usize::from(count)],
            held: 0,
        })
    }

    /// Address and entries of the provided-buffer ring, for its registration.
    pub(crate) fn registration(&self) -> (u64, u16) {
        (self.ring.as_ptr() as u64, self.provided_max)
    }

    /// Takes over a buffer that a completion names; `None` when the kernel did not have it.
    pub(crate) fn take(&mut self, index: u16) -> Option<&[u8]> {
        let owner = self.owners.get_mut(usize::from(index))?;
        if *owner != Owner::Kernel {
            return None;
        }
        *owner = Owner::Held;
        self.held += 1;
        self.provided -= 1;
        Some(self.held_bytes(index, 0, Self::STRIDE))
    }

    /// The bytes of a held datagram; empty for a buffer that is not held or a range outside of it.
    pub(crate) fn bytes(&self, buf: &RxBuf) -> &[u8] {
        let (offset, len) = (usize::from(buf.offset), usize::from(buf.len));
        let held = self.owners.get(usize::from(buf.index)) == Some(&Owner::Held);
        if held && offset + len <= Self::STRIDE {
            self.held_bytes(buf.index, offset, len)
        } else {
            debug_assert!(false, "a packet is read after its release: {buf:?}");
            &[]
        }
    }

    /// The same, to be changed in place.
    pub(crate) fn bytes_mut(&mut self, buf: &RxBuf) -> &mut [u8] {
        let (offset, len) = (usize::from(buf.offset), usize::from(buf.len));
        let held = self.owners.get(usize::from(buf.index)) == Some(&Owner::Held);
        if !held || offset + len > Self::STRIDE {
            debug_assert!(false, "a packet is changed after its release: {buf:?}");
            return &mut [];
        }
        let start = usize::from(buf.index) * Self::STRIDE + offset;
        assert!(start + len <= self.buffers.len());
        // SAFETY: the range is inside the mapping (checked above). The buffer is held, so the kernel
        // does not touch it until it is provided again, which needs `&mut self`, as this borrow does.
        unsafe { std::slice::from_raw_parts_mut(self.buffers.as_ptr().add(start), len) }
    }

    /// Has the bytes of a datagram brought into the cache.
    pub(crate) fn expect(&self, buf: &RxBuf) {
        let (offset, len) = (usize::from(buf.offset), usize::from(buf.len));
        let held = self.owners.get(usize::from(buf.index)) == Some(&Owner::Held);
        if held && offset + len <= Self::STRIDE {
            sys::prefetch(self.held_bytes(buf.index, offset, len));
        }
    }

    /// Puts a held buffer on the stack.
    pub(crate) fn release(&mut self, index: u16) {
        match self.owners.get_mut(usize::from(index)) {
            Some(owner) if *owner == Owner::Held => {
                *owner = Owner::Free;
                self.held -= 1;
                self.free.push(index);
            }
            _ => debug_assert!(false, "buffer {index} is released twice"),
        }
    }

    /// Fills the kernel's ring from the stack; visible to the kernel when this returns.
    pub(crate) fn provide(&mut self) {
        let before = self.tail;
        while self.provided < self.provided_max {
            let Some(index) = self.free.pop() else { break };
            self.write_entry(index);
            self.owners[usize::from(index)] = Owner::Kernel;
            self.provided += 1;
        }
        if self.tail != before {
            // SAFETY: the first entry's unused field is the ring's tail, by the kernel's interface;
            // it is aligned to 2 bytes, lives as long as the mapping, and only this thread writes it.
            let tail = unsafe {
                let tail = BufRingEntry::tail(self.ring.as_ptr().cast());
                AtomicU16::from_ptr(tail.cast_mut())
            };
            tail.store(self.tail, Ordering::Release);
        }
    }

    /// Buffers that the kernel can still write to.
    pub(crate) const fn provided(&self) -> u16 {
        self.provided
    }

    /// Buffers that hold a packet now.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    fn write_entry(&mut self, index: u16) {
        let at = usize::from(self.tail & (self.provided_max - 1));
        // SAFETY: `at` is below the number of entries; the kernel reads an entry only once the tail
        // has passed it, which happens after this.
        let entry = unsafe { &mut *self.ring.as_ptr().cast::<BufRingEntry>().add(at) };
        entry.set_addr(self.buffers.as_ptr() as u64 + (usize::from(index) * Self::STRIDE) as u64);
        entry.set_len(Self::STRIDE as u32);
        entry.set_bid(index);
        self.tail = self.tail.wrapping_add(1);
    }

    fn held_bytes(&self, index: u16, offset: usize, len: usize) -> &[u8] {
        let start = usize::from(index) * Self::STRIDE + offset;
        assert!(start + len <= self.buffers.len());
        // SAFETY: the range is inside the mapping (checked above). The buffer is held, so the
        // kernel does not write to it until it is provided again, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.buffers.as_ptr().add(start), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_buffer_is_with_one_owner_and_comes_back() {
        let mut memory = ReceiveMemory::new(6, 4).unwrap();
        memory.provide();
        assert_eq!((memory.provided(), memory.held()), (4, 0));
        for index in 0..4 {
            assert!(memory.take(index).is_some());
            assert!(memory.take(index).is_none(), "taken twice");
        }
        memory.provide();
        assert_eq!((memory.provided(), memory.held()), (2, 4), "two were left");
        for index in 0..4 {
            memory.release(index);
        }
        memory.provide();
        assert_eq!((memory.provided(), memory.held()), (4, 0));
        assert_eq!(memory.free.len(), 2);
    }

    #[test]
    fn the_last_one_released_is_the_next_one_provided() {
        let mut memory = ReceiveMemory::new(100, 2).unwrap();
        memory.provide();
        for _ in 0..50 {
            assert!(memory.take(1).is_some());
            memory.release(1);
            memory.provide();
        }
        assert_eq!(memory.free.len(), 98);
    }

    #[test]
    fn a_held_datagram_is_read_where_it_lies() {
        let mut memory = ReceiveMemory::new(2, 1).unwrap();
        memory.provide();
        assert_eq!(memory.take(0).map(<[u8]>::len), Some(ReceiveMemory::STRIDE));
        assert_eq!(memory.bytes(&RxBuf { index: 0, offset: 44, len: 172 }), [0; 172]);
    }
}
