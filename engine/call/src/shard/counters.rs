/// What a shard has counted since it started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    /// Calls taken into the table.
    pub opened: u64,
    /// Calls that ended, one `Ended` each.
    pub ended: u64,
    /// `Open`s that found no slot, or a shard that drains.
    pub refused: u64,
    /// Calls that ended by a panic caught at their border.
    pub faults: u64,
    /// Datagrams handed in.
    pub datagrams: u64,
    /// RTP packets that passed every check.
    pub rtp_received: u64,
    /// RTCP compounds that passed every check.
    pub rtcp_received: u64,
    /// RTP packets handed out.
    pub rtp_sent: u64,
    /// RTCP compounds handed out.
    pub rtcp_sent: u64,
    /// Packets that found no free send slot.
    pub no_send_slot: u64,
    /// `Digits` commands that found the keypad's queue full: none of their digits were sent.
    pub digits_refused: u64,
    /// Datagrams for a call that was over, released unread (among `dropped` as `NotListening`).
    pub stale: u64,
    /// Times that an agent elsewhere was given a frame, or its end: when it grows, they are to be woken.
    pub agent_frames: u64,
    /// Receive buffers the calls hold now.
    pub buffers_held: u64,
    /// Slices played over 2 ms late.
    pub late_slices: u64,
    /// Frames (20 ms of one call) that were skipped because the host was a whole frame late.
    pub skipped_frames: u64,
    /// Dropped datagrams by [`DropReason`](vox_rtp::DropReason).
    pub dropped: [u64; vox_rtp::DropReason::COUNT],
}
