use std::str;

/// The head of one SIP message, cut into lines: what can be said about it before it is parsed.
#[derive(Debug)]
pub(super) struct Head<'a> {
    /// The start line.
    pub(super) start: &'a str,
    /// Name as written, value unfolded.
    pub(super) fields: Vec<(&'a str, String)>,
    /// Bytes up to and with the empty line.
    pub(super) len: usize,
}

/// Why bytes have no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoHead {
    /// The empty line has not come yet, and may still.
    Incomplete,
    /// No SIP message: nothing in it can be answered.
    Garbage(&'static str),
}

impl<'a> Head<'a> {
    /// Cuts the head off the front of `bytes`.
    pub(super) fn cut(bytes: &'a [u8]) -> Result<Self, NoHead> {
        let end = bytes.windows(4).take(HEAD_MAX).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else {
            let complete = bytes.len() >= HEAD_MAX;
            return Err(if complete {
                NoHead::Garbage("head too long")
            } else {
                NoHead::Incomplete
            });
        };
        let text =
            str::from_utf8(&bytes[..end]).map_err(|_| NoHead::Garbage("head is not UTF-8"))?;
        if text.chars().any(|c| c.is_control() && !matches!(c, '\r' | '\n' | '\t')) {
            return Err(NoHead::Garbage("control characters in head"));
        }
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default();
        let fields = fields(lines)?;
        // A lone CR or LF would be a line break to one parser and none to the next.
        let broken = |value: &str| value.contains(['\r', '\n']);
        if broken(start) || fields.iter().any(|(name, value)| broken(name) || broken(value)) {
            return Err(NoHead::Garbage("stray line break in head"));
        }
        Ok(Self { start, fields, len: end + 4 })
    }

    /// Values of a field, by its long name or its compact form (RFC 3261 §7.3.3).
    pub(super) fn all<'s>(
        &'s self,
        name: &'s str,
        compact: &'s str,
    ) -> impl Iterator<Item = &'s str> {
        let named = move |field: &str| {
            field.eq_ignore_ascii_case(name)
                || (!compact.is_empty() && field.eq_ignore_ascii_case(compact))
        };
        self.fields.iter().filter(move |(field, _)| named(field)).map(|(_, value)| value.as_str())
    }

    /// The value of a field that may come once. `Err` when it comes more often.
    pub(super) fn once<'s>(
        &'s self,
        name: &'s str,
        compact: &'s str,
    ) -> Result<Option<&'s str>, &'static str> {
        let mut values = self.all(name, compact);
        let first = values.next();
        if values.next().is_some() { Err("repeated header field") } else { Ok(first) }
    }

    /// The body's length as stated; `None` when it is not.
    pub(super) fn content_length(&self) -> Result<Option<usize>, &'static str> {
        let mut stated = None;
        for value in self.all("Content-Length", "l") {
            let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
            let length =
                value.parse::<u32>().ok().filter(|_| digits).ok_or("bad Content-Length")?;
            if stated.is_some_and(|other| other != length) {
                return Err("contradicting Content-Length");
            }
            stated = Some(length);
        }
        Ok(stated.map(|length| length as usize))
    }
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<(&'a str, String)>, NoHead> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t']) {
            let (_, value) = fields.last_mut().ok_or(NoHead::Garbage("head begins folded"))?;
            value.push(' ');
            value.push_str(line.trim());
            continue;
        }
        let (name, value) = line.split_once(':').ok_or(NoHead::Garbage("line without a colon"))?;
        if fields.len() == FIELDS_MAX {
            return Err(NoHead::Garbage("too many header fields"));
        }
        fields.push((name.trim_end(), value.trim().to_owned()));
    }
    Ok(fields)
}

/// Bytes of a head. Real ones are 400 to 2,000; a long chain of proxies adds 200 each.
pub(super) const HEAD_MAX: usize = 16 * 1024;
/// Header fields of a head. Real ones have 10 to 40.
const FIELDS_MAX: usize = 128;
