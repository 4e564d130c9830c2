use vox_call::Shard;
use vox_ring::Sizes;

/// How large a shard's ring is. Every number follows from the calls it may hold.
///
/// - `provided`: a wake-up every 2 ms finds a tenth of the calls' packets; one for each call
///   also covers callers in step with each other. More than that is received a turn later.
/// - `buffers`: besides, what the calls may hold at once, by the core's own books.
/// - `slots` and `submissions`: an RTP and an RTCP packet for every call at once, and the ring's
///   own housekeeping.
/// - `completions`: everything provided may be used, every send fail, every receive end.
pub(crate) fn sizes(calls: usize) -> Sizes {
    let calls = calls.min(MAX_CALLS);
    let provided = calls.next_power_of_two().clamp(64, 16_384);
    let submissions = (calls * 2 + 64).next_power_of_two().min(16_384);
    Sizes {
        files: calls as u32 * 2,
        submissions: submissions as u32,
        completions: (provided + submissions + calls * 4).next_power_of_two() as u32,
        buffers: (Shard::buffers_max(calls) + provided) as u16,
        provided: provided as u16,
        slots: (calls * 2 + 64) as u16,
        stamps: false,
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
                    stamps: false,
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
                    stamps: false,
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
                    stamps: false,
                },
            ),
        ] {
            assert_eq!(sizes(calls), expected, "{calls} calls");
        }
    }
}
