//! A REFER of ours, and what the peer reports about it (RFC 3515).
//!
//! ```text
//!  sent ─2xx─► accepted ─NOTIFY 1xx─► ringing ─NOTIFY 2xx─► the caller is there
//!    │            ├─ BYE of the peer ──────────────────────► the same
//!    │            └─ nothing in time ─┐      ├─ NOTIFY 3xx-6xx, BYE, nothing in time
//!    └─ 3xx-6xx, nothing ─────────────┴──────┴─────────────► failed, the call goes on
//! ```

use std::time::Duration;

use rsipstack::sip::{Header, HeadersExt, Request, Response, SipMessage, StatusCodeKind};
use rsipstack::transaction::transaction::Transaction;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::sip::mailbox::Mail;
use crate::sip::reply::{REFER_EVENT, Refused, SIPFRAG};
use crate::sip::uas::content_type;

/// A REFER of ours whose outcome is not known yet.
#[derive(Debug)]
pub(super) struct Referral {
    /// Of the REFER, which names its subscription, too (RFC 3515 §2.4.6).
    pub(super) cseq: u32,
    /// It was answered with a 2xx.
    pub(super) accepted: bool,
    /// The peer reported that it does more than try.
    rang: bool,
    /// When we wait no longer.
    pub(super) until: Instant,
    /// 64 × T1.
    limit: Duration,
}

/// The caller is there, or why not.
pub(super) type Outcome = Result<(), String>;

impl Referral {
    /// It was sent.
    pub(super) fn sent(cseq: u32, limit: Duration) -> Self {
        let until = Instant::now() + limit * 2;
        Self { cseq, accepted: false, rang: false, until, limit }
    }

    /// The REFER was answered, or not.
    pub(super) fn answered(&mut self, response: Option<&Response>) -> Option<Outcome> {
        let Some(response) = response else {
            return Some(Err("the peer did not answer REFER".into()));
        };
        if response.status_code.kind() != StatusCodeKind::Successful {
            return Some(Err(format!("REFER: {}", spoken(response.status_code.code(), ""))));
        }
        self.accepted = true;
        if self.rang {
            return None;
        }
        self.until = Instant::now() + self.limit;
        // RFC 4488: no reports will come.
        let sub = response.headers.iter().find_map(|header| match header {
            Header::Other(name, value) if name.eq_ignore_ascii_case("Refer-Sub") => Some(value),
            _ => None,
        });
        sub.filter(|value| value.trim().to_ascii_lowercase().starts_with("false")).map(|_| Ok(()))
    }

    /// The peer reported.
    pub(super) fn reported(&mut self, report: Report) -> Option<Outcome> {
        self.accepted = true;
        match report.status {
            Some((200..300, _)) => return Some(Ok(())),
            Some((code @ 300.., phrase)) => return Some(Err(spoken(code, &phrase))),
            Some((code, _)) if !self.rang => {
                self.rang = code > 100;
                self.until = Instant::now() + self.limit * RING_LIMITS;
            }
            _ => {}
        }
        report.is_last.then(|| Err("the peer reported no outcome".into()))
    }

    /// The peer hung up. Many do at once, when they have taken the caller over; one that has
    /// reported ringing would have reported success, too.
    pub(super) fn left(&self) -> Outcome {
        match self.accepted && !self.rang {
            true => Ok(()),
            false => Err("the caller hung up before".into()),
        }
    }

    /// Time is over.
    pub(super) fn timed_out(&self) -> Outcome {
        Err("the peer reported no outcome in time".into())
    }
}

/// What a NOTIFY says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Status and phrase of the peer's own attempt.
    status: Option<(u16, String)>,
    /// No other follows.
    is_last: bool,
}

/// Reads a NOTIFY for the REFER with this CSeq.
pub(super) fn read(notify: &Request, cseq: u32) -> Result<Report, Refused> {
    let event = notify.header_value("Event").unwrap_or_default();
    let mut parts = event.split(';').map(str::trim);
    if !parts.next().unwrap_or_default().eq_ignore_ascii_case(REFER_EVENT) {
        // RFC 6665 §8.3.2.
        return Err(Refused::new(489, "NOTIFY of another event package")
            .with(Header::Other("Allow-Events".into(), REFER_EVENT.into())));
    }
    let id = parts.find_map(|part| part.strip_prefix("id=")).map(str::trim);
    if id.is_some_and(|id| id.parse() != Ok(cseq)) {
        return Err(Refused::new(481, "NOTIFY of another REFER"));
    }
    let state = notify.header_value("Subscription-State").unwrap_or_default();
    let is_last = state.trim().to_ascii_lowercase().starts_with("terminated");
    if notify.body.is_empty() {
        return Ok(Report { status: None, is_last });
    }
    let kind = content_type(notify);
    if kind != SIPFRAG {
        return Err(Refused::unsupported_body(&kind, SIPFRAG));
    }
    let status =
        status(&notify.body).ok_or_else(|| Refused::bad_request("no status in sipfrag"))?;
    Ok(Report { status: Some(status), is_last })
}

/// The first line of a sipfrag (RFC 3420).
fn status(body: &[u8]) -> Option<(u16, String)> {
    let line = body.split(|b| *b == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim().strip_prefix("SIP/2.0 ")?;
    let (code, phrase) = line.split_once(' ').unwrap_or((line, ""));
    let code: u16 = code.parse().ok()?;
    (100..700).contains(&code).then(|| (code, phrase.trim().to_owned()))
}

/// Status and phrase for people: bounded, one line.
pub(super) fn spoken(code: u16, phrase: &str) -> String {
    let standard = rsipstack::sip::StatusCode::from(code).text().to_owned();
    let phrase = if phrase.is_empty() { standard } else { phrase.to_owned() };
    let phrase: String = phrase.chars().filter(|c| !c.is_control()).take(PHRASE_MAX).collect();
    format!("{code} {phrase}").trim_end().to_owned()
}

/// Sends a REFER; its answer becomes mail.
pub(super) fn send(tx: Transaction, cseq: u32, mail: mpsc::Sender<Mail>, limit: Duration) {
    tokio::spawn(async move {
        let response = timeout(limit, final_response(tx)).await.ok().flatten();
        let _ = mail.send(Mail::Referred { cseq, response: response.map(Box::new) }).await;
    });
}

async fn final_response(mut tx: Transaction) -> Option<Response> {
    tx.send().await.ok()?;
    loop {
        match tx.receive().await? {
            SipMessage::Response(response)
                if response.status_code.kind() != StatusCodeKind::Provisional =>
            {
                return Some(response);
            }
            _ => {}
        }
    }
}

/// A peer that reports ringing may ring for so many times 64 × T1: 192 s.
const RING_LIMITS: u32 = 6;
/// Characters of a peer's phrase that go into the result.
const PHRASE_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn notify(fields: &str, body: &str) -> Request {
        let text = format!(
            "NOTIFY sip:a@h SIP/2.0\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Request::try_from(text.as_str()).unwrap()
    }

    #[test]
    fn a_report_is_read_or_refused() {
        const FRAG: &str = "Content-Type: message/sipfrag;version=2.0\r\n";
        let report = |status: Option<(u16, &str)>, is_last| {
            let status = status.map(|(code, phrase)| (code, phrase.to_owned()));
            Ok(Report { status, is_last })
        };
        let rows: &[(&str, &str, Result<Report, u16>)] = &[
            (
                "Event: refer\r\nSubscription-State: active;expires=60\r\n",
                "SIP/2.0 100 Trying\r\n",
                report(Some((100, "Trying")), false),
            ),
            (
                "Event: refer;id=7\r\nSubscription-State: terminated;reason=noresource\r\n",
                "SIP/2.0 200 OK",
                report(Some((200, "OK")), true),
            ),
            ("Event: REFER\r\n", "SIP/2.0 486\r\nX: y\r\n", report(Some((486, "")), false)),
            ("Event: refer\r\nSubscription-State: Terminated\r\n", "", report(None, true)),
            ("Event: refer;id=8\r\n", "SIP/2.0 200 OK", Err(481)),
            ("Event: refer;id=x\r\n", "SIP/2.0 200 OK", Err(481)),
            ("Event: dialog\r\n", "SIP/2.0 200 OK", Err(489)),
            ("", "SIP/2.0 200 OK", Err(489)),
            ("Event: refer\r\n", "SIP/2.0 99 Low", Err(400)),
            ("Event: refer\r\n", "SIP/2.0 99999 High", Err(400)),
            ("Event: refer\r\n", "hello", Err(400)),
            ("Event: refer\r\n", "\u{0}", Err(400)),
        ];
        for (fields, body, expected) in rows {
            let kind = if body.is_empty() { "" } else { FRAG };
            let found = read(&notify(&format!("{fields}{kind}"), body), 7);
            let found = found.map_err(|refused| refused.status.code());
            assert_eq!(found, *expected, "{fields}{body}");
        }
        let plain = "Event: refer\r\nContent-Type: text/plain\r\n";
        assert_eq!(read(&notify(plain, "SIP/2.0 200 OK"), 7).unwrap_err().status.code(), 415);
    }

    #[tokio::test]
    async fn reports_lead_to_one_outcome() {
        let failed = |why: &str| Some(Err(why.to_owned()));
        let none = "the peer reported no outcome";
        type Row<'a> = (&'a [(u16, bool)], Option<Outcome>);
        let rows: &[Row<'_>] = &[
            (&[(100, false), (180, false), (200, true)], Some(Ok(()))),
            (&[(202, false)], Some(Ok(()))),
            (&[(100, false), (486, true)], failed("486 Busy")),
            (&[(302, false)], failed("302 Busy")),
            (&[(100, false)], None),
            (&[(100, true)], failed(none)),
            (&[(0, true)], failed(none)),
        ];
        for (reports, expected) in rows {
            let mut referral = Referral::sent(1, Duration::from_secs(32));
            let outcome = reports.iter().find_map(|&(code, is_last)| {
                let status = (code > 0).then(|| (code, "Busy".to_owned()));
                referral.reported(Report { status, is_last })
            });
            assert_eq!(outcome, *expected, "{reports:?}");
        }
    }
}
