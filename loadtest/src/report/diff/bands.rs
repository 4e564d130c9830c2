//! How far a value may be off, by what its own run shows.

use crate::results::{Distribution, RunReport, Second};

/// Where the true value may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Band {
    /// Lower end.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
}

impl Band {
    fn around(value: f64, error: f64) -> Self {
        Self { low: value - ERRORS * error, high: value + ERRORS * error }
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// Mean over the measured seconds, and its band by the spread between stretches of them; seconds
/// beside each other are alike, so each by itself would promise too much.
pub(crate) fn of_seconds(
    run: &RunReport,
    value: impl Fn(&Second) -> Option<f64>,
) -> Option<(f64, Option<Band>)> {
    let measured = run.seconds.iter().filter(|second| second.measured);
    let values: Vec<f64> = measured.filter_map(value).filter(|value| value.is_finite()).collect();
    if values.is_empty() {
        return None;
    }
    let stretches: Vec<f64> = values.chunks_exact(STRETCH_SECONDS).map(mean).collect();
    let band = (stretches.len() >= STRETCHES_MIN).then(|| {
        let middle = mean(&stretches);
        let squares = stretches.iter().map(|stretch| (stretch - middle).powi(2)).sum::<f64>();
        let count = stretches.len() as f64;
        Band::around(mean(&values), (squares / (count - 1.0) / count).sqrt())
    });
    Some((mean(&values), band))
}

/// Of a quantile, by its ranks: how many of `count` independent values lie below it is binomial.
pub(crate) fn of_quantile(values: &Distribution, quantile: f64) -> Option<Band> {
    if values.count < QUANTILE_VALUES_MIN {
        return None;
    }
    let error = (quantile * (1.0 - quantile) / values.count as f64).sqrt();
    Some(Band {
        low: at(values, quantile - ERRORS * error),
        high: at(values, quantile + ERRORS * error),
    })
}

/// Of the share of `part` in `whole`: a count is off by its square root, and by one at least.
pub(crate) fn of_share(part: u64, whole: u64) -> Option<Band> {
    let error = (part.max(1) as f64).sqrt() / whole as f64;
    (whole > 0).then(|| Band::around(part as f64 / whole as f64, error))
}

/// The value below which so large a share of the values lies, between two bounds of buckets by
/// proportion.
fn at(values: &Distribution, quantile: f64) -> f64 {
    let rank = quantile.clamp(0.0, 1.0) * values.count as f64;
    let (mut seen, mut lower) = (0.0, values.min);
    for &(upper, count) in &values.buckets {
        let upper = upper.clamp(values.min, values.max);
        let count = count as f64;
        if count > 0.0 && seen + count >= rank {
            return lower + (upper - lower) * ((rank - seen) / count).clamp(0.0, 1.0);
        }
        (seen, lower) = (seen + count, upper);
    }
    values.max
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A band's half width in standard errors: two runs of the same would differ by more once in about
/// 20,000 figures if the errors were normal, which they are only nearly.
const ERRORS: f64 = 3.0;
const STRETCH_SECONDS: usize = 5;
const STRETCHES_MIN: usize = 3;
const QUANTILE_VALUES_MIN: u64 = 20;
