use bytes::{Buf, Bytes, BytesMut};

use super::head::{HEAD_MAX, Head, NoHead};

/// Cuts a byte stream into SIP messages (RFC 3261 §18.3). However small the pieces it comes in,
/// each byte is looked at a bounded number of times.
#[derive(Debug, Default)]
pub(super) struct Framing {
    buffer: BytesMut,
    /// Bytes in which the end of the head was looked for in vain.
    searched: usize,
    /// Length of the message that is coming in, once its head is there.
    whole: Option<usize>,
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
            self.skip(4);
            return Ok(Some(Frame::Ping));
        }
        // RFC 3261 §7.5: line breaks before a message are ignored. One alone may become a ping.
        while self.buffer.starts_with(b"\r\n") && self.buffer.len() > 3 {
            self.skip(2);
        }
        if self.whole.is_none() {
            self.whole = self.measure()?;
        }
        match self.whole {
            Some(whole) if self.buffer.len() >= whole => {
                (self.searched, self.whole) = (0, None);
                Ok(Some(Frame::Message(self.buffer.split_to(whole).freeze())))
            }
            _ => Ok(None),
        }
    }

    fn skip(&mut self, len: usize) {
        self.buffer.advance(len);
        self.searched = 0;
    }

    /// The length of the message at the front, when its head is there.
    fn measure(&mut self) -> Result<Option<usize>, Lost> {
        // The end may straddle what was searched before.
        let from = self.searched.saturating_sub(3);
        if !self.buffer[from..].windows(4).any(|four| four == b"\r\n\r\n") {
            self.searched = self.buffer.len();
            return self.plausible().map(|()| None);
        }
        let head = match Head::cut(&self.buffer) {
            Ok(head) => head,
            Err(NoHead::Incomplete) => return Err(Lost { why: "head too long", head: None }),
            Err(NoHead::Garbage(why)) => return Err(Lost { why, head: None }),
        };
        if !head.start.contains("SIP/") {
            return Err(Lost { why: "not SIP", head: None });
        }
        let why = match head.content_length() {
            Ok(Some(length)) if length <= BODY_MAX => return Ok(Some(head.len + length)),
            Ok(Some(_)) => "body too long",
            Ok(None) => "no Content-Length",
            Err(why) => why,
        };
        let head_len = head.len;
        Err(Lost { why, head: Some(self.buffer.split_to(head_len).freeze()) })
    }

    /// Whether a message has begun and is not whole yet.
    pub(super) fn is_waiting(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Lets a stream that is no SIP go at its first line, not when a head's worth has come.
    fn plausible(&self) -> Result<(), Lost> {
        let lost = |why| Err(Lost { why, head: None });
        let start = &self.buffer[..self.buffer.len().min(LINE_MAX)];
        let line = start.iter().position(|&b| b == b'\n').map(|end| &start[..end]);
        match line {
            _ if self.buffer.len() >= HEAD_MAX => lost("head too long"),
            None if start.len() == LINE_MAX => lost("first line too long"),
            Some(line) if line.len() > 1 && !line.windows(4).any(|four| four == b"SIP/") => {
                lost("not SIP")
            }
            _ => Ok(()),
        }
    }
}

/// Bytes of a start line. Real ones have 40 to 200.
const LINE_MAX: usize = 2_048;
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

    proptest::proptest! {
        #[test]
        fn any_stream_is_cut_the_same_however_it_arrives(
            words in proptest::collection::vec(0..WORDS.len(), 0..40),
            step in 1..9usize,
        ) {
            let stream: String = words.iter().map(|&word| WORDS[word]).collect();
            let (at_once, lost) = frames(&stream, stream.len().max(1));
            let (in_pieces, lost_in_pieces) = frames(&stream, step);
            let lost = (lost.is_some(), lost_in_pieces.is_some());
            proptest::prop_assert_eq!((at_once, lost.0), (in_pieces, lost.1));
        }
    }

    const WORDS: &[&str] = &[
        "\r\n",
        "\r",
        "\n",
        "A sip:b SIP/2.0\r\n",
        "l: 3\r\n",
        "l: 0\r\n",
        "\r\n\r\n",
        "abc",
        "X: y\r\n",
        ":",
        " ",
        "\t",
        "l: x\r\n",
        "SIP/2.0 200 OK\r\n",
    ];

    #[test]
    fn messages_and_losses_are_found() {
        let one = message("Content-Length: 5", "hello");
        let two = message("l : 0", "");
        let long = "x".repeat(LINE_MAX + 10);
        let tall = format!("A sip:a@b SIP/2.0\r\n{}", "X: y\r\n".repeat(HEAD_MAX / 6 + 1));
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
            (long, vec![], Some("first line too long")),
            (tall, vec![], Some("head too long")),
        ];
        for (stream, expected, lost) in rows {
            for step in [1, 3, 7, stream.len()] {
                let found = frames(stream, step);
                assert_eq!(found, (expected.clone(), *lost), "{stream:?} by {step}");
            }
        }
    }
}
