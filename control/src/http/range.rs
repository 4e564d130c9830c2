//! `Range` of RFC 9110 §14: one range of bytes.

use std::ops::RangeInclusive;

/// What of a representation is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: 200.
    Whole,
    /// First to last byte, both within it: 206.
    Part(RangeInclusive<u64>),
    /// Nothing that is there: 416.
    Nothing,
}

impl Wanted {
    /// Reads a `Range` header for a representation of `length` bytes. What is no single range of
    /// bytes is ignored, as RFC 9110 §14.2 allows.
    pub(super) fn read(header: &str, length: u64) -> Self {
        match positions(header) {
            None => Self::Whole,
            Some((Some(first), last)) if first < length => {
                Self::Part(first..=last.unwrap_or(u64::MAX).min(length - 1))
            }
            Some((None, Some(suffix))) if suffix > 0 && length > 0 => {
                Self::Part(length.saturating_sub(suffix)..=length - 1)
            }
            Some(_) => Self::Nothing,
        }
    }
}

/// First and last of `bytes=first-last`; one of them may be missing.
fn positions(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = header.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.split_once('-')?;
    let (first, last) = (position(first)?, position(last)?);
    let valid = match (first, last) {
        (Some(first), Some(last)) => first <= last,
        (first, last) => first.or(last).is_some(),
    };
    valid.then_some((first, last))
}

/// `Some(None)` when there is none. Numbers too large to count with are beyond every end anyway.
fn position(digits: &str) -> Option<Option<u64>> {
    match digits {
        "" => Some(None),
        _ if !digits.bytes().all(|byte| byte.is_ascii_digit()) => None,
        _ => Some(Some(digits.parse().unwrap_or(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_what_is_there_and_nonsense_is_ignored() {
        use Wanted::{Nothing, Part, Whole};
        let rows = [
            ("bytes=0-0", 10, Part(0..=0)),
            ("bytes=0-9", 10, Part(0..=9)),
            ("bytes=3-", 10, Part(3..=9)),
            ("bytes=3-99", 10, Part(3..=9)),
            ("bytes=-4", 10, Part(6..=9)),
            ("bytes=-99", 10, Part(0..=9)),
            ("BYTES=9-9", 10, Part(9..=9)),
            ("bytes=0-99999999999999999999999", 10, Part(0..=9)),
            ("bytes=-99999999999999999999999", 10, Part(0..=9)),
            ("bytes=10-", 10, Nothing),
            ("bytes=99999999999999999999999-", 10, Nothing),
            ("bytes=-0", 10, Nothing),
            ("bytes=0-", 0, Nothing),
            ("bytes=-1", 0, Nothing),
            ("bytes=5-4", 10, Whole),
            ("bytes=-", 10, Whole),
            ("bytes=", 10, Whole),
            ("bytes", 10, Whole),
            ("bytes=0-1,3-4", 10, Whole),
            ("bytes= 0-1", 10, Whole),
            ("bytes=+0-1", 10, Whole),
            ("bytes=0--1", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("frames=0-1", 10, Whole),
            ("", 10, Whole),
        ];
        for (header, length, expected) in rows {
            assert_eq!(Wanted::read(header, length), expected, "{header:?} of {length}");
        }
    }
}
