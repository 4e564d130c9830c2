use vox_rtp::DropReason;

use crate::ports::PortCounts;
use crate::shard::ShardStats;

/// Counters for `/metrics`, folded over shards when asked.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Calls in the tables now.
    pub calls: u64,
    /// Calls opened since the start.
    pub opened: u64,
    /// Port pairs in use.
    pub ports_used: u64,
    /// Port pairs resting.
    pub ports_quarantined: u64,
    /// Datagrams in.
    pub packets_received: u64,
    /// Datagrams out.
    pub packets_sent: u64,
    /// Datagrams that could not be sent (full socket buffer, no send slot).
    pub send_failed: u64,
    /// Times a peer's host or network said that nobody listens there (ICMP).
    pub peer_unreachable: u64,
    /// Times a receive found no buffer with the kernel; what it missed waits in the socket.
    pub no_buffers: u64,
    /// Receive buffers held by jitter buffers now.
    pub buffers_held: u64,
    /// Slices that began over 2 ms late.
    pub late_ticks: u64,
    /// Frames of one call that were skipped because a shard was a whole frame late.
    pub skipped_frames: u64,
    /// Calls that ended by a bug, caught at their border.
    pub faults: u64,
    /// Events control was too slow for.
    pub events_lost: u64,
    /// Dropped datagrams by [`DropReason`].
    pub dropped: [u64; DropReason::COUNT],
}

impl Stats {
    pub(super) fn fold(ports: PortCounts, shards: impl Iterator<Item = ShardStats>) -> Self {
        let start = Self {
            ports_used: ports.used as u64,
            ports_quarantined: ports.resting as u64,
            ..Self::default()
        };
        shards.fold(start, Self::add)
    }

    fn add(mut self, shard: ShardStats) -> Self {
        self.calls += shard.calls;
        self.opened += shard.opened;
        self.packets_received += shard.packets_received;
        self.packets_sent += shard.packets_sent;
        self.send_failed += shard.send_failed;
        self.peer_unreachable += shard.peer_unreachable;
        self.no_buffers += shard.no_buffers;
        self.buffers_held += shard.buffers_held;
        self.late_ticks += shard.late_ticks;
        self.skipped_frames += shard.skipped_frames;
        self.faults += shard.faults;
        self.events_lost += shard.events_lost;
        for (sum, count) in self.dropped.iter_mut().zip(shard.dropped) {
            *sum += count;
        }
        self
    }
}
