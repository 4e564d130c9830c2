//! Histograms with their usual quantiles.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// How values of one kind were spread, in the unit of its field's name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// Smallest.
    pub min: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Half of the values are not above this.
    pub p50: f64,
    /// 90 % of the values are not above this.
    pub p90: f64,
    /// 95 % of the values are not above this.
    pub p95: f64,
    /// 99 % of the values are not above this.
    pub p99: f64,
    /// 99.9 % of the values are not above this.
    pub p999: f64,
    /// Largest.
    pub max: f64,
    /// `(upper bound, values up to it and above the bound before)`, ascending; for pictures.
    pub buckets: Vec<(f64, u64)>,
}

impl Distribution {
    /// From a histogram of microseconds, in milliseconds.
    pub fn of_micros(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let ms = |micros: u64| micros as f64 / 1e3;
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            min: ms(histogram.min()),
            mean: histogram.mean() / 1e3,
            p50: at(0.50),
            p90: at(0.90),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(histogram.max()),
            buckets: histogram
                .iter_log(FIRST_BUCKET_MICROS, BUCKET_GROWTH)
                .map(|step| (ms(step.value_iterated_to() + 1), step.count_since_last_iteration()))
                .collect(),
        }
    }

    /// Of values in the unit they have.
    pub fn of_values(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
            return Self::default();
        };
        let at = |quantile: f64| {
            let rank = (quantile * values.len() as f64).ceil() as usize;
            values[rank.clamp(1, values.len()) - 1]
        };
        Self {
            count: values.len() as u64,
            min,
            mean: values.iter().sum::<f64>() / values.len() as f64,
            p50: at(0.50),
            p90: at(0.90),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max,
            buckets: equal_buckets(&values, min, max),
        }
    }
}

const FIRST_BUCKET_MICROS: u64 = 100;
const BUCKET_GROWTH: f64 = 1.3;
const EQUAL_BUCKETS: usize = 40;

/// `values` are sorted and not empty.
fn equal_buckets(values: &[f64], min: f64, max: f64) -> Vec<(f64, u64)> {
    if min == max {
        return vec![(max, values.len() as u64)];
    }
    let width = (max - min) / EQUAL_BUCKETS as f64;
    let mut buckets: Vec<(f64, u64)> =
        (1..=EQUAL_BUCKETS).map(|n| (min + width * n as f64, 0)).collect();
    for value in values {
        let bucket = (((value - min) / width).ceil() as usize).clamp(1, EQUAL_BUCKETS) - 1;
        buckets[bucket].1 += 1;
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_and_values_have_the_same_quantiles() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).unwrap();
        for micros in 1..=10_000 {
            histogram.record(micros).unwrap();
        }
        let by_histogram = Distribution::of_micros(&histogram);
        let by_values = Distribution::of_values((1..=10_000).map(|micros| f64::from(micros) / 1e3));
        for (a, b) in [
            (by_histogram.min, by_values.min),
            (by_histogram.p50, by_values.p50),
            (by_histogram.p95, by_values.p95),
            (by_histogram.p999, by_values.p999),
            (by_histogram.max, by_values.max),
        ] {
            assert!((a - b).abs() <= b * 2e-3, "{a} {b}");
        }
        for distribution in [by_histogram, by_values] {
            assert_eq!(distribution.count, 10_000);
            assert_eq!(distribution.buckets.iter().map(|bucket| bucket.1).sum::<u64>(), 10_000);
            assert!(distribution.buckets.is_sorted_by(|a, b| a.0 < b.0));
        }
    }

    #[test]
    fn nothing_measured_is_nothing_and_no_panic() {
        let empty = Histogram::<u64>::new(3).unwrap();
        assert_eq!(Distribution::of_micros(&empty), Distribution::default());
        assert_eq!(Distribution::of_values([f64::NAN]), Distribution::default());
        assert_eq!(Distribution::of_values([4.4, 4.4]).buckets, [(4.4, 2)]);
    }
}
