use rsipstack::sip::typed::{From as Party, To};
use rsipstack::sip::{Header, HeadersExt, Request, ToTypedHeader, Uri};
use serde_json::{Map, Value};

use crate::calls::{CallDirection, CallFacts};

/// What an INVITE says about its call.
pub(super) fn facts(invite: &Request) -> CallFacts {
    let to = || invite.to_header().ok()?.typed().ok().map(|to: To| to.uri);
    let dialed = user(&invite.uri).or_else(|| user(&to()?)).unwrap_or_default();
    CallFacts {
        dialed,
        caller: caller(invite),
        direction: CallDirection::Inbound,
        stream_id: invite.call_id_header().map(|id| id.value().to_owned()).unwrap_or_default(),
        connected_event: passed_along(invite),
    }
}

/// RFC 3325: the asserted identity counts for more than what the phone calls itself.
fn caller(invite: &Request) -> String {
    let asserted = invite.headers.iter().find_map(|header| match header {
        Header::PAssertedIdentity(identity) => {
            let first = identity.value().split(',').next()?;
            user(&Party::parse(first.trim()).ok()?.uri)
        }
        _ => None,
    });
    let from = || invite.from_header().ok()?.typed().ok().map(|from: Party| from.uri);
    let named = || from().map(|uri| user(&uri).unwrap_or_else(|| uri.host().to_string()));
    asserted.or_else(named).unwrap_or_default()
}

/// The user part, unescaped and without parameters; the number of a `tel:` URI.
fn user(uri: &Uri) -> Option<String> {
    if let Some(user) = uri.user() {
        return (!user.is_empty()).then(|| unescape(user));
    }
    // The stack takes the parameters of a user (RFC 3261 §19.1.1) for the URI's, and the user for
    // the host.
    let text = uri.to_string();
    let (scheme, rest) = text.split_once(':')?;
    let named = rest.contains('@') || scheme.eq_ignore_ascii_case("tel");
    let user = rest.split(';').next().filter(|user| named && !user.is_empty())?;
    Some(unescape(user))
}

/// RFC 3261 §19.1.2. Control characters are left out: names go into logs and URLs.
pub(super) fn unescape(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        match escaped(after).filter(|_| *first == b'%') {
            Some(value) => {
                bytes.push(value);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).collect()
}

fn escaped(after: &[u8]) -> Option<u8> {
    let hex = after.get(..2)?;
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(hex[0])? * 16 + digit(hex[1])?).ok()
}

/// The `X-` header fields, for the bot.
fn passed_along(invite: &Request) -> Map<String, Value> {
    let extra = invite.headers.iter().filter_map(|header| match header {
        Header::Other(name, value)
            if name.len() > 2
                && name.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("X-"))
                && value.len() <= PASSED_LEN_MAX =>
        {
            Some((name.clone(), Value::String(value.clone())))
        }
        _ => None,
    });
    extra.take(PASSED_MAX).collect()
}

/// Header fields passed along.
const PASSED_MAX: usize = 16;
/// Bytes of one of them.
const PASSED_LEN_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(uri: &str, fields: &str) -> Request {
        let text = format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nCall-ID: c@h\r\n\
             CSeq: 1 INVITE\r\n{fields}Content-Length: 0\r\n\r\n"
        );
        Request::try_from(text.as_str()).unwrap()
    }

    #[test]
    fn the_request_uri_names_the_bot_and_the_asserted_identity_the_caller() {
        let from = "From: \"Al\" <sip:al@h>;tag=1\r\nTo: <sip:to@h>\r\n";
        let asserted = "P-Asserted-Identity: \"x\" <sip:+4912@h>, <tel:+49>\r\n";
        let rows = [
            ("sip:echo@127.0.0.1", from.to_owned(), "echo", "al"),
            ("sip:+4930;phone-context=x@h", from.to_owned(), "+4930", "al"),
            ("sip:b%6ft%20a%0a@h;transport=tcp", from.to_owned(), "bot a", "al"),
            ("sip:100%@h", from.to_owned(), "100%", "al"),
            ("sip:127.0.0.1:5060", from.to_owned(), "to", "al"),
            ("tel:+4930", from.to_owned(), "+4930", "al"),
            ("sip:echo@h", format!("{from}{asserted}"), "echo", "+4912"),
            ("sip:echo@h", "From: <sip:h.example>;tag=1\r\nTo: x\r\n".into(), "echo", "h.example"),
        ];
        for (uri, fields, dialed, caller) in rows {
            let found = facts(&invite(uri, &fields));
            assert_eq!((found.dialed.as_str(), found.caller.as_str()), (dialed, caller), "{uri}");
            assert_eq!(found.stream_id, "c@h");
        }
    }

    #[test]
    fn x_header_fields_reach_the_bot_within_bounds() {
        let fields = format!(
            "From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nX-Campaign: 7\r\nx-lang: de\r\nX-: no\r\n\
             Subject: no\r\nX-Long: {}\r\n",
            "y".repeat(600)
        );
        let found = Value::Object(facts(&invite("sip:b@h", &fields)).connected_event);
        assert_eq!(found, serde_json::json!({"X-Campaign": "7", "x-lang": "de"}));
    }
}
