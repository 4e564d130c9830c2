use bytes::{Buf, Bytes, BytesMut};

use super::head::{HEAD_MAX, Head, NoHead};

/// Cuts a byte stream into SIP messages (RFC 3261 §18.3).
#[derive(Debug, Default)]
pub(super) struct Framing {
    buffer: BytesMut,
}

/// What the stream holds next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A whole message.
    Message(Bytes),
    /// A keep-alive that wants a pong (RFC 5626 §4.4.1).
    Ping,
}

/// The stream cannot be cut any further: the place of the next message is unknown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// What is wrong.
    pub(super) why: &'static str,
    /// The head it is wrong with, when there is one to answer.
    pub(super) head: Option<Bytes>,
}

impl Framing {
    /// Adds what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame; `None` when more bytes are needed.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Lost> {
        if self.buffer.starts_with(b"\r\n\r\n") {
            self.buffer.advance(4);
            return Ok(Some(Frame::Ping));
        }
        // RFC 3261 §7.5: line breaks before a message are ignored. One alone may become a ping.
        while self.buffer.starts_with(b"\r\n") && self.buffer.len() > 3 {
            self.buffer.advance(2);
        }
        let head = match Head::cut(&self.buffer) {
            Ok(head) => head,
            Err(NoHead::Incomplete) => return self.plausible().map(|()| None),
            Err(NoHead::Garbage(why)) => return Err(Lost { why, head: None }),
        };
        if !head.start.contains("SIP/") {
            return Err(Lost { why: "not SIP", head: None });
        }
        let (head_len, stated) = (head.len, head.content_length());
        let why = match stated {
            Ok(Some(length)) if length <= BODY_MAX => {
                let whole = head_len + length;
                if self.buffer.len() < whole {
                    return Ok(None);
                }
                return Ok(Some(Frame::Message(self.buffer.split_to(whole).freeze())));
            }
            Ok(Some(_)) => "body too long",
            Ok(None) => "no Content-Length",
            Err(why) => why,
        };
        Err(Lost { why, head: Some(self.buffer.split_to(head_len).freeze()) })
    }

    /// Whether a message has begun and is not whole yet.
    pub(super) fn is_waiting(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Lets a stream that is no SIP go at its first line, not when a head's worth has come.
    fn plausible(&self) -> Result<(), Lost> {
        let line = self.buffer[..].split(|&b| b == b'\n').next().unwrap_or_default();
        let complete = line.len() < self.buffer.len();
        let names_sip = line.windows(4).any(|four| four == b"SIP/");
        if complete && !line.is_empty() && line != b"\r" && !names_sip {
            return Err(Lost { why: "not SIP", head: None });
        }
        Ok(())
    }
}

/// Bytes of a body on a stream. A session description has 200 to 3,000.
const BODY_MAX: usize = 64 * 1024 - HEAD_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: &str, body: &str) -> String {
        format!("OPTIONS sip:a@b SIP/2.0\r\n{length}\r\nVia: x\r\n\r\n{body}")
    }

    /// Everything a stream yields when it comes in pieces of `step` bytes.
    fn frames(stream: &str, step: usize) -> (Vec<String>, Option<&'static str>) {
        let (mut framing, mut found) = (Framing::default(), Vec::new());
        for piece in stream.as_bytes().chunks(step) {
            framing.push(piece);
            loop {
                match framing.next() {
                    Ok(Some(Frame::Ping)) => found.push("ping".to_owned()),
                    Ok(Some(Frame::Message(bytes))) => {
                        found.push(String::from_utf8(bytes.to_vec()).unwrap());
                    }
                    Ok(None) => break,
                    Err(lost) => return (found, Some(lost.why)),
                }
            }
        }
        (found, None)
    }

    #[test]
    fn a_stream_is_cut_the_same_however_it_arrives() {
        let one = message("Content-Length: 5", "hello");
        let two = message("l : 0", "");
        let long = "x".repeat(HEAD_MAX + 10);
        let rows: &[(String, Vec<String>, Option<&'static str>)] = &[
            (one.clone(), vec![one.clone()], None),
            (format!("{one}{two}{one}"), vec![one.clone(), two.clone(), one.clone()], None),
            (format!("\r\n{one}"), vec![one.clone()], None),
            (format!("{one}\r\n\r\n{two}"), vec![one.clone(), "ping".into(), two.clone()], None),
            (message("Content-Length: 9", "hello"), vec![], None),
            (message("Content-Length: -1", ""), vec![], Some("bad Content-Length")),
            (message("Content-Length: +5", "hello"), vec![], Some("bad Content-Length")),
            (message("Content-Length: 5x", "hello"), vec![], Some("bad Content-Length")),
            (message("Content-Length:", ""), vec![], Some("bad Content-Length")),
            (message("Content-Length: 99999999999", ""), vec![], Some("bad Content-Length")),
            (
                message("Content-Length: 5\r\nl: 4", "hello"),
                vec![],
                Some("contradicting Content-Length"),
            ),
            (message("Content-Length: 70000", ""), vec![], Some("body too long")),
            (message("Subject: none", ""), vec![], Some("no Content-Length")),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".into(), vec![], Some("not SIP")),
            ("\u{16}\u{3}\u{1}garbage\n".into(), vec![], Some("not SIP")),
            (long, vec![], Some("head too long")),
        ];
        for (stream, expected, lost) in rows {
            for step in [1, 3, 7, stream.len()] {
                let found = frames(stream, step);
                assert_eq!(found, (expected.clone(), *lost), "{stream:?} by {step}");
            }
        }
    }
}
