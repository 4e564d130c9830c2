use std::time::Duration;

use rsipstack::sip::Request;

use crate::sip::reply::{DTMF, Refused};
use crate::sip::uas::content_type;

/// The key that an INFO reports; `None` when it carries nothing. There is no standard: two body
/// types are in use.
pub(super) fn digit(info: &Request) -> Result<Option<(char, Duration)>, Refused> {
    if info.body.is_empty() {
        return Ok(None);
    }
    let kind = content_type(info);
    let text = std::str::from_utf8(&info.body).unwrap_or_default();
    let pressed = match kind.as_str() {
        "application/dtmf-relay" => relay(text),
        "application/dtmf" => key(text.trim()).map(|digit| (digit, PRESS)),
        _ => return Err(Refused::unsupported_body(&kind, DTMF)),
    };
    pressed.map(Some).ok_or_else(|| Refused::bad_request("no digit in INFO"))
}

/// `Signal=5`, `Duration=160`, in any order and spacing.
fn relay(text: &str) -> Option<(char, Duration)> {
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (found, value) = line.split_once('=')?;
            found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let duration_ms = field("Duration").and_then(|text| text.parse::<u16>().ok());
    let duration = duration_ms.map_or(PRESS, |ms| Duration::from_millis(ms.into()));
    Some((key(field("Signal")?)?, duration))
}

/// A key by its name or its event number (RFC 4733 §3.2).
fn key(text: &str) -> Option<char> {
    match text {
        "10" => Some('*'),
        "11" => Some('#'),
        _ => {
            let mut all = text.chars();
            let key = all.next()?.to_ascii_uppercase();
            let is_key = key.is_ascii_digit() || matches!(key, '*' | '#' | 'A'..='D');
            (is_key && all.next().is_none()).then_some(key)
        }
    }
}

/// How long a key is taken to be held when the message does not say.
const PRESS: Duration = Duration::from_millis(160);

#[cfg(test)]
mod tests {
    use rsipstack::sip::Header;

    use super::*;

    fn info(kind: &str, body: &str) -> Request {
        let text = format!(
            "INFO sip:a@h SIP/2.0\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Request::try_from(text.as_str()).unwrap()
    }

    #[test]
    fn both_body_types_name_a_key() {
        const RELAY: &str = "application/dtmf-relay";
        type Found = Result<Option<(char, u64)>, u16>;
        let rows: &[(&str, &str, Found)] = &[
            (RELAY, "Signal=5\r\nDuration=240", Ok(Some(('5', 240)))),
            (RELAY, "Duration = 100\nsignal = #\n", Ok(Some(('#', 100)))),
            (RELAY, "Signal=10", Ok(Some(('*', 160)))),
            (RELAY, "Signal=d\r\nDuration=x", Ok(Some(('D', 160)))),
            (RELAY, "Signal=55", Err(400)),
            (RELAY, "Duration=100", Err(400)),
            (RELAY, "\u{0}", Err(400)),
            ("application/dtmf", "7", Ok(Some(('7', 160)))),
            ("Application/DTMF; x=y", " *\r\n", Ok(Some(('*', 160)))),
            ("application/dtmf", "", Ok(None)),
            ("application/dtmf", "flash", Err(400)),
            ("text/plain", "1", Err(415)),
            ("", "1", Err(415)),
        ];
        for (kind, body, expected) in rows {
            let found = digit(&info(kind, body))
                .map(|pressed| pressed.map(|(key, held)| (key, held.as_millis() as u64)))
                .map_err(|refused| {
                    let warned = refused.headers.iter().any(|h| matches!(h, Header::Warning(_)));
                    assert_eq!(warned, refused.status.code() == 400, "{kind}: {body:?}");
                    refused.status.code()
                });
            assert_eq!(found, *expected, "{kind}: {body:?}");
        }
    }
}
