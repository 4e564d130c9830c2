/// Median, lowest and highest, as text.
pub fn spread(values: &mut [f64], digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let median = values[values.len() / 2];
    let (lowest, highest) = (values[0], values[values.len() - 1]);
    format!("{median:.digits$} ({lowest:.digits$}-{highest:.digits$})")
}
