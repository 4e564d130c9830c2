//! The upgrade of a connection to a WebSocket (RFC 6455 §4.1), on a stream that blocks.
//!
//! tungstenite's own client refuses a server that answers an offer of a subprotocol with none. The
//! RFC does not, and many servers know no subprotocols: theirs is what we talk then.

use std::io::{ErrorKind, Read, Write};

use tungstenite::Error;
use tungstenite::handshake::client::{Request, Response, generate_request};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::{HandshakeMachine, RoundResult, StageResult};

/// Asks for it, or says in words why the answer is none; with what came behind the answer.
pub(super) fn upgrade<S: Read + Write>(
    stream: S,
    request: Request,
) -> Result<(S, Vec<u8>), String> {
    let offered = request.headers().get(SUBPROTOCOL).cloned();
    let (request, key) = generate_request(request).map_err(explain)?;
    let mut machine = HandshakeMachine::start_write(stream, request);
    let (response, stream, tail) = loop {
        machine = match machine.single_round::<Response>().map_err(explain)? {
            RoundResult::WouldBlock(_) => return Err(LATE.into()),
            RoundResult::Incomplete(machine) => machine,
            RoundResult::StageFinished(StageResult::DoneWriting(stream)) => {
                HandshakeMachine::start_read(stream)
            }
            RoundResult::StageFinished(StageResult::DoneReading { result, stream, tail }) => {
                break (result, stream, tail);
            }
        };
    };
    verify(
        &response,
        &derive_accept_key(key.as_bytes()),
        offered.as_ref().map(|it| it.as_bytes()),
    )?;
    Ok((stream, tail))
}

fn verify(response: &Response, accept: &str, offered: Option<&[u8]>) -> Result<(), String> {
    if response.status() != 101 {
        return Err(format!("expected 101 Switching Protocols, found {}", response.status()));
    }
    let header = |name| response.headers().get(name).map(|value| value.as_bytes());
    let names = |name, token: &[u8]| {
        let tokens = header(name).unwrap_or_default().split(|byte| *byte == b',');
        tokens.into_iter().any(|found| found.trim_ascii().eq_ignore_ascii_case(token))
    };
    if !names("upgrade", b"websocket") || !names("connection", b"upgrade") {
        return Err("expected an upgrade to websocket, found none".into());
    }
    if header("sec-websocket-accept") != Some(accept.as_bytes()) {
        return Err("the answer to the upgrade is not one to ours".into());
    }
    if header("sec-websocket-extensions").is_some() {
        return Err("expected no WebSocket extensions, found some".into());
    }
    let agreed = header(SUBPROTOCOL);
    if agreed.is_some() && agreed != offered {
        let [agreed, offered] =
            [agreed, offered].map(|name| name.unwrap_or(b"none").escape_ascii());
        return Err(format!("expected the subprotocol {offered}, found {agreed}"));
    }
    Ok(())
}

fn explain(error: Error) -> String {
    match error {
        Error::Io(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
            LATE.into()
        }
        error => error.to_string(),
    }
}

const SUBPROTOCOL: &str = "sec-websocket-protocol";
const LATE: &str = "no answer to the upgrade in time";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_an_upgrade_of_ours_or_refused_in_words() {
        let right = [
            ("Upgrade", "WebSocket"),
            ("Connection", "keep-alive, Upgrade"),
            ("Sec-WebSocket-Accept", "ours"),
        ];
        let subprotocol = |name: &'static str| ("Sec-WebSocket-Protocol", name);
        let rows = [
            // A server need not name one (RFC 6455 §4.2.2).
            (right.to_vec(), None),
            ([&right[..], &[subprotocol("vox.v1")]].concat(), None),
            ([&right[..], &[subprotocol("vox.v2")]].concat(), Some("found vox.v2")),
            ([&right[..], &[("Sec-WebSocket-Extensions", "x")]].concat(), Some("extensions")),
            (right[1..].to_vec(), Some("found none")),
            ([&right[..1], &right[2..]].concat(), Some("found none")),
            (
                [&right[..2], &[("Sec-WebSocket-Accept", "theirs")]].concat(),
                Some("not one to ours"),
            ),
        ];
        for (headers, expected) in rows {
            let mut response = Response::new(None);
            *response.status_mut() = tungstenite::http::StatusCode::SWITCHING_PROTOCOLS;
            for (name, value) in &headers {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            let why = verify(&response, "ours", Some(b"vox.v1")).err();
            let as_expected = match (&why, expected) {
                (Some(why), Some(part)) => why.contains(part),
                (why, expected) => why.is_none() && expected.is_none(),
            };
            assert!(as_expected, "{headers:?}: {why:?}");
        }
        let refused = verify(&Response::new(None), "ours", None);
        assert_eq!(refused, Err("expected 101 Switching Protocols, found 200 OK".into()));
    }
}
