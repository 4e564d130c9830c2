//! Random numbers that a seed gives again.

use std::f64::consts::TAU;

/// SplitMix64: one stream of numbers a seed, good enough for traffic and for what a network loses.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of this seed.
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for the `nth` of something, whatever was drawn for the others.
    pub(crate) fn nth(seed: u64, nth: u64) -> Self {
        let mut stream = Self::seeded(seed ^ nth.wrapping_mul(0xD134_2543_DE82_EF95));
        Self::seeded(stream.next())
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Exponential with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * (TAU * self.unit()).cos()
    }

    /// Index into `weights`, each as likely as its weight says; they are not all zero.
    pub(crate) fn choose(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let mut left = self.unit() * weights.clone().sum::<f64>();
        let last = weights.clone().count().saturating_sub(1);
        weights
            .take(last)
            .position(|weight| {
                left -= weight;
                left < 0.0
            })
            .unwrap_or(last)
    }
}
