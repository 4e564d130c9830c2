//! What several rounds of a measurement have in common.

/// Median, lowest and highest, as text.
pub fn spread(values: &mut [f64], digits: usize) -> String {
    let median = median(values);
    let (lowest, highest) = (values[0], values[values.len() - 1]);
    format!("{median:.digits$} ({lowest:.digits$}-{highest:.digits$})")
}

/// The middle one; of an even number, the upper of the two in the middle. Leaves `values` sorted.
///
/// # Panics
/// When there are none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
