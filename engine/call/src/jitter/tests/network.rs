//! A sans-IO network: what was sent when → what arrives when. The same seed, the same network.
use std::ops::Range;

/// What the network does to packets.
#[derive(Debug, Clone)]
pub(super) struct Network {
    pub(super) seed: u64,
    /// Per mille of packets that never arrive.
    pub(super) loss: u32,
    /// Per mille of packets that arrive twice.
    pub(super) duplicates: u32,
    /// Each packet is late by 0 to this, independently: packets overtake each other.
    pub(super) jitter_us: u64,
    /// What is sent in this time arrives together at its end, in order.
    pub(super) stall: Option<Range<u64>>,
    /// The stall is repeated after so long, again and again.
    pub(super) again_us: Option<u64>,
    /// From then on the route is longer, or shorter, by this.
    pub(super) route: Option<(u64, i64)>,
    /// What is sent in this time is late by all of the time's length, overtaken by what follows.
    pub(super) detour: Option<Range<u64>>,
}

impl Network {
    pub(super) fn clean() -> Self {
        Self {
            seed: 1,
            loss: 0,
            duplicates: 0,
            jitter_us: 0,
            stall: None,
            again_us: None,
            route: None,
            detour: None,
        }
    }

    /// Arrivals in order: when, and the index of the packet sent.
    pub(super) fn carry(&self, sent_us: impl IntoIterator<Item = u64>) -> Vec<(u64, usize)> {
        let mut random = Random(self.seed);
        let mut arrivals = Vec::new();
        for (index, sent) in sent_us.into_iter().enumerate() {
            let (lost, twice) = (random.per_mille(self.loss), random.per_mille(self.duplicates));
            let sent = self.routed(sent);
            let arrives =
                self.detoured(self.stalled(sent + random.below(self.jitter_us + 1)), sent);
            if !lost {
                arrivals.push((arrives, index));
            }
            if !lost && twice {
                arrivals.push((arrives + random.below(60_000), index));
            }
        }
        arrivals.sort();
        arrivals
    }

    fn routed(&self, sent: u64) -> u64 {
        let route = self.route.filter(|(from, _)| sent >= *from);
        route.map_or(sent, |(_, longer)| sent.wrapping_add_signed(longer))
    }

    fn stalled(&self, at: u64) -> u64 {
        let Some(stall) = &self.stall else { return at };
        let Some(into) = at.checked_sub(stall.start) else { return at };
        let into = self.again_us.map_or(into, |again| into % again);
        let length = stall.end - stall.start;
        if into < length { at + length - into } else { at }
    }

    fn detoured(&self, at: u64, sent: u64) -> u64 {
        let detour = self.detour.as_ref().filter(|detour| detour.contains(&sent));
        detour.map_or(at, |detour| at + detour.end - detour.start)
    }
}

/// SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In 0..`bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(super) fn per_mille(&mut self, share: u32) -> bool {
        self.below(1_000) < u64::from(share)
    }
}
