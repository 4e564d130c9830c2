use std::ops::Range;

/// What part of `length` bytes a `Range` header asks for (RFC 9110 §14.2). `None`: all of it, also
/// for a header that is not understood; `Some(Err)`: nothing of it is there (416). Of several
/// ranges none is served: a whole answer is always allowed.
pub(super) fn parse(header: &str, length: u64) -> Option<Result<Range<u64>, Unsatisfiable>> {
    let spec = header.strip_prefix("bytes=")?.trim();
    let (first, last) = spec.split_once('-')?;
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?;
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => {
            let suffix: u64 = number(last)?;
            let start = length.saturating_sub(suffix);
            Some(if start < length { Ok(start..length) } else { Err(Unsatisfiable) })
        }
        (false, _) => {
            let first: u64 = number(first)?;
            let last: u64 = if last.is_empty() { u64::MAX } else { number(last)? };
            if last < first {
                return None;
            }
            let end = last.saturating_add(1).min(length);
            Some(if first < end { Ok(first..end) } else { Err(Unsatisfiable) })
        }
    }
}

/// The range begins after the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsatisfiable;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        let rows = [
            ("bytes=0-0", Some(Ok(0..1))),
            ("bytes=2-4", Some(Ok(2..5))),
            ("bytes=2-", Some(Ok(2..10))),
            ("bytes=2-99", Some(Ok(2..10))),
            ("bytes=-3", Some(Ok(7..10))),
            ("bytes=-99", Some(Ok(0..10))),
            ("bytes=10-", Some(Err(Unsatisfiable))),
            ("bytes=-0", Some(Err(Unsatisfiable))),
            ("bytes=0-18446744073709551615", Some(Ok(0..10))),
            ("bytes=4-2", None),
            ("bytes=-", None),
            ("bytes=0-1,3-4", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("bytes=99999999999999999999-", None),
            ("items=0-1", None),
            ("", None),
        ];
        for (header, expected) in rows {
            assert_eq!(parse(header, 10), expected, "{header}");
        }
        assert_eq!(parse("bytes=0-", 0), Some(Err(Unsatisfiable)));
    }
}
