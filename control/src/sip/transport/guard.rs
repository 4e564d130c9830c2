//! What is checked on every message before the SIP stack sees it, because the stack lets it pass
//! (any version, any Content-Length, a CSeq of another method, missing header fields) or drops it
//! without an answer (unknown methods and schemes).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use rsipstack::dialog::DialogId;
use rsipstack::sip::{Method, SipMessage, Transport};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};

use super::head::{Head, NoHead};
use crate::sip::reply::ALLOW;

/// What becomes of a message.
#[derive(Debug)]
pub(in crate::sip) enum Verdict {
    /// It goes to the stack.
    Pass(Box<SipMessage>),
    /// It is answered with this, and forgotten.
    Refuse(Refusal),
    /// It cannot or must not be answered.
    Drop(&'static str),
}

/// An answer that needs no transaction.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sip) struct Refusal {
    /// Its status code.
    pub(in crate::sip) status: u16,
    /// What is wrong.
    pub(in crate::sip) why: &'static str,
    /// The response as it goes out.
    pub(in crate::sip) response: Vec<u8>,
}

/// Judges one message: a whole datagram, or what the framing of a stream cut out.
pub(in crate::sip) fn inspect(raw: &[u8], transport: Transport, source: SocketAddr) -> Verdict {
    let head = match Head::cut(raw) {
        Ok(head) => head,
        Err(NoHead::Incomplete) => return Verdict::Drop("no end of head"),
        Err(NoHead::Garbage(why)) => return Verdict::Drop(why),
    };
    if head.start.starts_with("SIP/") {
        return match response_fault(&head, raw.len()) {
            Some(why) => Verdict::Drop(why),
            None => parse(raw).map_or(Verdict::Drop("unreadable response"), Verdict::Pass),
        };
    }
    let fault = match request_fault(&head, raw.len(), transport) {
        Some(fault) => fault,
        None => match parse(raw) {
            Some(message) if is_routable(&message) => return Verdict::Pass(message),
            Some(_) => (400, "unreadable Via, From or To"),
            None => (400, "unreadable request"),
        },
    };
    refuse(&head, fault.0, fault.1, source)
}

/// The answer to a request, written from its head alone. ACK is never answered, and neither is
/// what does not say where its answer goes.
pub(super) fn refuse(
    head: &Head<'_>,
    status: u16,
    why: &'static str,
    source: SocketAddr,
) -> Verdict {
    let vias = head.all("Via", "v").collect::<Vec<_>>();
    if head.start.starts_with("ACK ") || head.start.starts_with("SIP/") || vias.is_empty() {
        return Verdict::Drop(why);
    }
    let mut text = format!("SIP/2.0 {status} {}\r\n", phrase(status));
    for (index, via) in vias.iter().enumerate() {
        text += &match index {
            0 => format!("Via: {}\r\n", received(via, source)),
            _ => format!("Via: {via}\r\n"),
        };
    }
    for (name, compact) in [("From", "f"), ("To", "t"), ("Call-ID", "i"), ("CSeq", "")] {
        let Some(value) = head.all(name, compact).next() else { continue };
        let tag = match name {
            "To" if !value.to_ascii_lowercase().contains(";tag=") => {
                format!(";tag={:016x}", fingerprint(head))
            }
            _ => String::new(),
        };
        text += &format!("{name}: {value}{tag}\r\n");
    }
    match status {
        405 => text += &format!("Allow: {ALLOW}\r\n"),
        400 => text += &format!("Warning: 399 vox \"{why}\"\r\n"),
        _ => {}
    }
    text += "Content-Length: 0\r\n\r\n";
    Verdict::Refuse(Refusal { status, why, response: text.into_bytes() })
}

type Fault = (u16, &'static str);

fn request_fault(head: &Head<'_>, len: usize, transport: Transport) -> Option<Fault> {
    let mut words = head.start.split(' ');
    let (Some(method), Some(uri), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Some((400, "bad request line"));
    };
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
    if !is_token(method) {
        return Some((400, "bad request line"));
    }
    if !version.starts_with("SIP/") {
        return Some((400, "bad request line"));
    }
    if version != "SIP/2.0" {
        return Some((505, "expected SIP/2.0"));
    }
    if let Some(why) = field_fault(head, method) {
        return Some((400, why));
    }
    if let Some(why) = length_fault(head, len, transport) {
        return Some((400, why));
    }
    match head.once("Max-Forwards", "") {
        Err(why) => return Some((400, why)),
        Ok(Some(hops)) => match hops.parse::<u8>() {
            // Strictly only a proxy has to stop here. But nobody starts with 0: what arrives with
            // no hop left has been going round.
            Ok(0) if method != "ACK" => return Some((483, "no hop left")),
            Ok(_) => {}
            Err(_) => return Some((400, "bad Max-Forwards")),
        },
        Ok(None) => {}
    }
    // RFC 3261 §7.1: methods are case-sensitive; the stack's reader is not.
    if !Method::all().iter().any(|known| known.to_string() == method) {
        return Some((405, "unknown method"));
    }
    let scheme = uri.split(':').next().unwrap_or_default().to_ascii_lowercase();
    (!matches!(scheme.as_str(), "sip" | "sips" | "tel")).then_some((416, "unknown URI scheme"))
}

fn field_fault(head: &Head<'_>, method: &str) -> Option<&'static str> {
    if head.all("Via", "v").next().is_none() {
        return Some("no Via");
    }
    for (name, compact, missing) in [
        ("From", "f", "no From"),
        ("To", "t", "no To"),
        ("Call-ID", "i", "no Call-ID"),
        ("CSeq", "", "no CSeq"),
    ] {
        match head.once(name, compact) {
            Err(why) => return Some(why),
            Ok(None | Some("")) => return Some(missing),
            Ok(Some(_)) => {}
        }
    }
    let from = head.all("From", "f").next().unwrap_or_default();
    if !from.to_ascii_lowercase().contains(";tag=") {
        return Some("no tag in From");
    }
    let mut cseq = head.all("CSeq", "").next().unwrap_or_default().split_ascii_whitespace();
    let number = cseq.next().and_then(|number| number.parse::<u32>().ok());
    // RFC 3261 §8.1.1.5: below 2^31.
    if number.is_none_or(|number| number >= 1 << 31) {
        return Some("bad CSeq number");
    }
    (cseq.next() != Some(method)).then_some("CSeq of another method")
}

fn length_fault(head: &Head<'_>, len: usize, transport: Transport) -> Option<&'static str> {
    match head.content_length() {
        Err(why) => Some(why),
        Ok(Some(stated)) if head.len + stated > len => Some("body shorter than Content-Length"),
        // RFC 3261 §18.3: in a datagram the body ends where the datagram ends.
        Ok(None) if transport != Transport::Udp => Some("no Content-Length"),
        Ok(_) => None,
    }
}

fn response_fault(head: &Head<'_>, len: usize) -> Option<&'static str> {
    let mut words = head.start.split(' ');
    if words.next() != Some("SIP/2.0") {
        return Some("response of another version");
    }
    let code = words.next().and_then(|code| code.parse::<u16>().ok());
    if !code.is_some_and(|code| (100..700).contains(&code)) {
        return Some("bad status line");
    }
    match head.content_length() {
        Err(why) => Some(why),
        Ok(Some(stated)) if head.len + stated > len => Some("body shorter than Content-Length"),
        Ok(_) => None,
    }
}

/// RFC 3261 §18.3: without a Content-Length the body is the rest of the datagram; the stack's
/// reader would take it as empty.
fn parse(raw: &[u8]) -> Option<Box<SipMessage>> {
    let mut message = SipMessage::try_from(raw).ok()?;
    let head = Head::cut(raw).ok()?;
    if head.content_length() == Ok(None) {
        let body = raw[head.len..].to_vec();
        match &mut message {
            SipMessage::Request(request) => request.body = body,
            SipMessage::Response(response) => response.body = body,
        }
    }
    Some(Box::new(message))
}

/// Whether the stack can tell which transaction and dialog a request belongs to.
fn is_routable(message: &SipMessage) -> bool {
    match message {
        SipMessage::Request(request) => {
            TransactionKey::from_request(request, TransactionRole::Server).is_ok()
                && DialogId::try_from((request, TransactionRole::Server)).is_ok()
        }
        SipMessage::Response(_) => true,
    }
}

/// RFC 3581 §4: where the request really came from.
fn received(via: &str, source: SocketAddr) -> String {
    let (top, rest) = match via.split_once(',') {
        Some((top, rest)) => (top, format!(",{rest}")),
        None => (via, String::new()),
    };
    let kept = top.split(';').filter(|param| {
        let name = param.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
        name != "rport" && name != "received"
    });
    let kept = kept.collect::<Vec<_>>().join(";");
    format!("{kept};received={};rport={}{rest}", source.ip(), source.port())
}

/// The same for a retransmission, so that it gets the same tag (RFC 3261 §8.2.7).
fn fingerprint(head: &Head<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, compact) in [("Via", "v"), ("From", "f"), ("Call-ID", "i"), ("CSeq", "")] {
        head.all(name, compact).for_each(|value| value.hash(&mut hasher));
    }
    hasher.finish()
}

const fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(b, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

const fn phrase(status: u16) -> &'static str {
    match status {
        405 => "Method Not Allowed",
        416 => "Unsupported URI Scheme",
        483 => "Too Many Hops",
        503 => "Service Unavailable",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        _ => "Bad Request",
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
