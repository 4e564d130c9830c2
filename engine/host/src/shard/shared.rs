use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

use vox_rtp::DropReason;

/// What a shard's thread and control share besides the rings: flags and counters, no lock.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The shard waits for anything at all: whoever queues a command must ring.
    idle: AtomicBool,
    /// Calls admitted and not yet ended.
    taken: AtomicUsize,
    published: [AtomicU64; ShardStats::LEN],
}

impl Shared {
    /// Takes one of `capacity` slots; `false` when there is none.
    pub(crate) fn take_slot(&self, capacity: usize) -> bool {
        let next = |taken| (taken < capacity).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok()
    }

    /// Gives a slot back.
    pub(crate) fn free_slot(&self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }

    /// Slots taken now.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// The shard says that it is about to wait without a deadline. What is queued before this
    /// returns is seen by a look at the queue afterwards; for what is queued later,
    /// [`must_ring`](Self::must_ring) is true.
    pub(crate) fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::Relaxed);
        if idle {
            fence(Ordering::SeqCst);
        }
    }

    /// Asked after a command was queued: whether the shard sleeps and nobody has rung yet.
    pub(crate) fn must_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.idle.load(Ordering::Relaxed) && self.idle.swap(false, Ordering::Relaxed)
    }

    /// Makes counters readable for others.
    pub(crate) fn publish(&self, stats: &ShardStats) {
        for (cell, value) in self.published.iter().zip(stats.values()) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    /// What was last published.
    pub(crate) fn published(&self) -> ShardStats {
        ShardStats::from_values(std::array::from_fn(|i| self.published[i].load(Ordering::Relaxed)))
    }
}

/// A shard's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ShardStats {
    pub(crate) calls: u64,
    pub(crate) opened: u64,
    pub(crate) packets_received: u64,
    pub(crate) packets_sent: u64,
    pub(crate) send_failed: u64,
    pub(crate) peer_unreachable: u64,
    pub(crate) no_buffers: u64,
    pub(crate) buffers_held: u64,
    pub(crate) late_ticks: u64,
    pub(crate) skipped_frames: u64,
    pub(crate) faults: u64,
    pub(crate) events_lost: u64,
    pub(crate) dropped: [u64; DropReason::COUNT],
}

impl ShardStats {
    const LEN: usize = 12 + DropReason::COUNT;

    fn values(&self) -> [u64; Self::LEN] {
        let mut values = [0; Self::LEN];
        values[..12].copy_from_slice(&[
            self.calls,
            self.opened,
            self.packets_received,
            self.packets_sent,
            self.send_failed,
            self.peer_unreachable,
            self.no_buffers,
            self.buffers_held,
            self.late_ticks,
            self.skipped_frames,
            self.faults,
            self.events_lost,
        ]);
        values[12..].copy_from_slice(&self.dropped);
        values
    }

    fn from_values(values: [u64; Self::LEN]) -> Self {
        let mut dropped = [0; DropReason::COUNT];
        dropped.copy_from_slice(&values[12..]);
        Self {
            calls: values[0],
            opened: values[1],
            packets_received: values[2],
            packets_sent: values[3],
            send_failed: values[4],
            peer_unreachable: values[5],
            no_buffers: values[6],
            buffers_held: values[7],
            late_ticks: values[8],
            skipped_frames: values[9],
            faults: values[10],
            events_lost: values[11],
            dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_read_back() {
        let mut values = [0; ShardStats::LEN];
        for (i, value) in values.iter_mut().enumerate() {
            *value = i as u64 + 1;
        }
        let stats = ShardStats::from_values(values);
        let shared = Shared::default();
        shared.publish(&stats);
        assert_eq!(shared.published(), stats);
        assert_eq!(stats.values(), values);
    }

    #[test]
    fn slots_are_never_oversold() {
        let shared = Shared::default();
        assert!(shared.take_slot(2) && shared.take_slot(2));
        assert!(!shared.take_slot(2));
        shared.free_slot();
        assert!(shared.take_slot(2));
        assert_eq!(shared.taken(), 2);
    }

    #[test]
    fn a_sleeping_shard_is_rung_once() {
        let shared = Shared::default();
        assert!(!shared.must_ring(), "awake");
        shared.set_idle(true);
        assert!(shared.must_ring());
        assert!(!shared.must_ring(), "somebody rang already");
    }
}
