//! The packets that wait to be played, by sequence number.
use vox_rtp::DropReason;

use super::Content;
use crate::{MediaTime, PacketMemory, RxBuf};

/// A packet in the ring.
#[derive(Debug)]
pub(super) struct Filed {
    /// Its payload, where it was received.
    pub(super) payload: RxBuf,
    /// What it holds.
    pub(super) content: Content,
    /// Where its first sample stands on the stream's timeline, in samples.
    pub(super) position: i64,
    /// When it came.
    pub(super) arrived: MediaTime,
}

/// A ring of [`Ring::SLOTS`] packets that starts at the next one to be played, and the memory of
/// which ones before it came. Filing, looking and taking are all O(1).
#[derive(Debug)]
pub(super) struct Ring {
    slots: Box<[Option<Filed>]>,
    /// Bit `n % SLOTS` is set when packet `n` waits.
    occupied: u128,
    /// The next packet to be played, as an extended sequence number.
    head: i64,
    /// Bit `i` is set when packet `head - 1 - i` came.
    behind: u128,
    /// The stream's first packet.
    first: i64,
}

impl Ring {
    /// 1.28 s of 10 ms packets: twice the 500 ms burst that must fit, and then some.
    pub(super) const SLOTS: i64 = 128;

    pub(super) fn new() -> Self {
        let slots = (0..Self::SLOTS).map(|_| None).collect();
        Self { slots, occupied: 0, head: 0, behind: 0, first: 0 }
    }

    /// Empties the ring; `each` gets what it held. It starts anew at packet `head`.
    pub(super) fn restart(&mut self, head: i64, mut each: impl FnMut(RxBuf)) {
        for slot in &mut self.slots {
            if let Some(filed) = slot.take() {
                each(filed.payload);
            }
        }
        self.occupied = 0;
        self.head = head;
        self.first = head;
        self.behind = 0;
    }

    /// Moves the start back to an earlier packet, as long as nothing was taken yet.
    pub(super) fn rewind(&mut self, head: i64) {
        self.head = head;
        self.first = head;
    }

    /// Whether packet `number` can be filed, and why not.
    pub(super) fn check(&self, number: i64) -> Result<(), DropReason> {
        let ahead = number - self.head;
        match ahead {
            0..Self::SLOTS if self.occupied & bit(number) != 0 => Err(DropReason::Duplicate),
            0..Self::SLOTS => Ok(()),
            Self::SLOTS.. => Err(DropReason::Overflow),
            _ if ahead < -Self::SLOTS => Err(DropReason::Late),
            _ if self.behind & (1 << (-ahead - 1)) != 0 => Err(DropReason::Duplicate),
            _ => Err(DropReason::Late),
        }
    }

    /// Files a packet that [`check`](Self::check) let in.
    pub(super) fn file(&mut self, number: i64, filed: Filed) {
        debug_assert!(self.check(number).is_ok());
        self.occupied |= bit(number);
        self.slots[index(number)] = Some(filed);
    }

    /// Notes that a packet before the head came after all. Whether it was given up as lost.
    pub(super) fn came_late(&mut self, number: i64) -> bool {
        let back = self.head - 1 - number;
        if (0..Self::SLOTS).contains(&back) {
            self.behind |= 1 << back;
        }
        number > self.first
    }

    /// Tells `memory` that the place of packet `number` is needed.
    pub(super) fn expect(&self, number: i64, memory: &impl PacketMemory) {
        memory.expect(&self.slots[index(number)]);
    }

    /// The first packet that waits, and how many before it are missing.
    pub(super) fn next(&self) -> Option<(u32, &Filed)> {
        let from_head = self.occupied.rotate_right(index(self.head) as u32);
        if from_head == 0 {
            return None;
        }
        let missing = from_head.trailing_zeros();
        self.slots[index(self.head + i64::from(missing))].as_ref().map(|filed| (missing, filed))
    }

    /// Takes the first packet that waits, giving up the missing ones before it.
    pub(super) fn take(&mut self) -> Option<(u32, Filed)> {
        let (missing, _) = self.next()?;
        let number = self.head + i64::from(missing);
        let filed = self.slots[index(number)].take()?;
        self.occupied &= !bit(number);
        self.head = number + 1;
        self.behind = self.behind.checked_shl(missing + 1).unwrap_or(0) | 1;
        Some((missing, filed))
    }

    /// Gives up everything before packet `head` of an empty ring; how many packets that are.
    pub(super) fn skip_to(&mut self, head: i64) -> u64 {
        debug_assert!(self.occupied == 0);
        let missing = (head - self.head).max(0) as u64;
        self.behind =
            u32::try_from(missing).ok().and_then(|n| self.behind.checked_shl(n)).unwrap_or(0);
        self.head += missing as i64;
        missing
    }

    /// The next packet to be played, come or not.
    pub(super) fn head(&self) -> i64 {
        self.head
    }
}

fn index(number: i64) -> usize {
    number.rem_euclid(Ring::SLOTS) as usize
}

fn bit(number: i64) -> u128 {
    1 << index(number)
}
