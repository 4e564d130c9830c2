//! Numbers as people read them: three digits that matter, a unit, groups of thousands.

/// Keeps a number and its unit on one line.
const NO_BREAK: char = '\u{a0}';
/// What stands where nothing was measured.
pub(crate) const NOTHING: &str = "–";

/// `1,234`.
pub(crate) fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// `0.42 ms`, `12.3 ms`, `1.25 s`.
pub(crate) fn ms(value: f64) -> String {
    match value {
        v if !v.is_finite() => NOTHING.into(),
        v if v.abs() >= 1_000.0 => with(v / 1e3, "s"),
        v => with(v, "ms"),
    }
}

/// `512 B`, `1.50 MiB`.
pub(crate) fn bytes(value: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut scaled, mut unit) = (value, 0);
    while scaled.abs() >= 1_024.0 && unit + 1 < units.len() {
        scaled /= 1_024.0;
        unit += 1;
    }
    with(scaled, units[unit])
}

/// A share of 0..=1 as `0.12 %`.
pub(crate) fn percent(share: f64) -> String {
    with(share * 100.0, "%")
}

/// `0.42` of a core.
pub(crate) fn cores(value: f64) -> String {
    number(value, 2)
}

/// `42.5 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn seconds(value: f64) -> String {
    let whole = value.round() as u64;
    let two = |major: u64, a: &str, minor: u64, b: &str| match minor {
        0 => format!("{major}{NO_BREAK}{a}"),
        minor => format!("{major}{NO_BREAK}{a} {minor}{NO_BREAK}{b}"),
    };
    match whole {
        _ if !value.is_finite() => NOTHING.into(),
        0..60 => with(value, "s"),
        60..3_600 => two(whole / 60, "min", whole % 60, "s"),
        3_600..172_800 => two(whole / 3_600, "h", whole % 3_600 / 60, "min"),
        _ => two(whole / 86_400, "d", whole % 86_400 / 3_600, "h"),
    }
}

/// Three digits that matter and a unit.
pub(crate) fn with(value: f64, unit: &str) -> String {
    format!("{}{NO_BREAK}{unit}", significant(value))
}

/// Three digits that matter.
pub(crate) fn significant(value: f64) -> String {
    let digits = match value.abs() {
        v if !v.is_finite() => return NOTHING.into(),
        0.0 => 0,
        v if v < 0.0005 => return "< 0.001".into(),
        v if v < 0.1 => 3,
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    number(value, digits)
}

/// With so many digits behind the point, and groups of thousands.
pub(crate) fn number(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return NOTHING.into();
    }
    let text = format!("{value:.digits$}");
    match text.split_once('.') {
        Some((whole, behind)) => format!("{}.{behind}", grouped(whole)),
        None => grouped(&text),
    }
}

fn grouped(whole: &str) -> String {
    let digits = whole.trim_start_matches('-');
    let mut text: String = whole[..whole.len() - digits.len()].replace('-', "−");
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_matter_and_a_unit() {
        for (found, expected) in [
            (count(0), "0"),
            (count(999), "999"),
            (count(1_234_567), "1,234,567"),
            (ms(0.0123), "0.012 ms"),
            (ms(4.2), "4.20 ms"),
            (ms(999.0), "999 ms"),
            (ms(1_250.0), "1.25 s"),
            (ms(f64::INFINITY), "–"),
            (bytes(512.0), "512 B"),
            (bytes(1.5 * 1024.0 * 1024.0), "1.50 MiB"),
            (percent(0.0), "0 %"),
            (percent(0.00012), "0.012 %"),
            (percent(1e-9), "< 0.001 %"),
            (number(-1_234.5, 1), "−1,234.5"),
            (seconds(42.5), "42.5 s"),
            (seconds(200.0), "3 min 20 s"),
            (seconds(7_500.0), "2 h 5 min"),
            (seconds(259_200.0), "3 d"),
        ] {
            assert_eq!(found.replace('\u{a0}', " "), expected);
        }
    }
}
