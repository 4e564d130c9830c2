use vox_call::Shard;

/// How large a ring is. Every number follows from the calls a shard may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Rows of the registered file table: two ports a call.
    pub(crate) files: u32,
    /// Entries of the submission queue.
    pub(crate) submissions: u32,
    /// Entries of the completion queue.
    pub(crate) completions: u32,
    /// Receive buffers in all.
    pub(crate) buffers: u16,
    /// Receive buffers with the kernel at a time; a power of two.
    pub(crate) provided: u16,
    /// Send slots.
    pub(crate) slots: u16,
}

impl Sizes {
    /// - `provided`: a wake-up every 2 ms finds a tenth of the calls' packets; one for each call
    ///   also covers callers in step with each other. More than that is received a turn later.
    /// - `buffers`: besides, what the calls may hold at once, by the core's own books.
    /// - `slots` and `submissions`: an RTP and an RTCP packet for every call at once, and the ring's
    ///   own housekeeping.
    /// - `completions`: everything provided may be used, every send fail, every receive end.
    pub(crate) fn for_calls(calls: usize) -> Self {
        let calls = calls.min(MAX_CALLS);
        let provided = calls.next_power_of_two().clamp(64, 16_384);
        let submissions = (calls * 2 + 64).next_power_of_two().min(16_384);
        Self {
            files: calls as u32 * 2,
            submissions: submissions as u32,
            completions: (provided + submissions + calls * 4).next_power_of_two() as u32,
            buffers: (Shard::buffers_max(calls) + provided) as u16,
            provided: provided as u16,
            slots: (calls * 2 + 64) as u16,
        }
    }
}

/// Calls on one shard, at most: 16-bit buffer indices, 26 buffers for each call.
pub(crate) const MAX_CALLS: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_a_ring_follows_from_its_calls() {
        for (calls, expected) in [
            (
                1,
                Sizes {
                    files: 2,
                    submissions: 128,
                    completions: 256,
                    buffers: 208,
                    provided: 64,
                    slots: 66,
                },
            ),
            (
                200,
                Sizes {
                    files: 400,
                    submissions: 512,
                    completions: 2_048,
                    buffers: 5_256,
                    provided: 256,
                    slots: 464,
                },
            ),
            (
                MAX_CALLS,
                Sizes {
                    files: 4_096,
                    submissions: 8_192,
                    completions: 32_768,
                    buffers: 53_248,
                    provided: 2_048,
                    slots: 4_160,
                },
            ),
        ] {
            assert_eq!(Sizes::for_calls(calls), expected, "{calls} calls");
        }
    }
}
