//! WebSocket frames (RFC 6455) as a client has them once the socket is open. Sans-IO: bytes in,
//! messages out, and the other way round, with no copy and no allocation for a message that comes
//! in one frame.
//!
//! What it does not do: the upgrade (`upgrade`), extensions (none is offered, so none is agreed
//! on), sending in fragments, the server's side.

/// A message of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// Valid UTF-8.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
    /// Wants a pong with the same bytes, 125 at most.
    Ping(&'a [u8]),
    /// The answer to a ping, or unasked.
    Pong,
    /// Goodbye, with a code and a reason where the server gives them.
    Close(Option<(u16, &'a str)>),
}

/// What ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// To close it with (§7.4.1).
    pub code: u16,
    /// A label for metrics.
    pub reason: &'static str,
}

/// What a client sends; the opcodes of §5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message in UTF-8.
    Text = TEXT as isize,
    /// A message of bytes.
    Binary = BINARY as isize,
    /// The last frame: nothing, or a code and a reason.
    Close = CLOSE as isize,
    /// Wants a pong.
    Ping = PING as isize,
    /// Answers a ping.
    Pong = PONG as isize,
}

/// Appends a message in one frame, masked with `key` (§5.3): `fill` writes its payload of `length`
/// bytes, which are 0 before.
pub fn write(
    out: &mut Vec<u8>,
    kind: Kind,
    length: usize,
    key: [u8; 4],
    fill: impl FnOnce(&mut [u8]),
) {
    out.reserve(HEADER_BYTES_MAX + length);
    out.push(LAST | kind as u8);
    match length {
        0..=125 => out.push(MASKED | length as u8),
        126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    let payload = out.len();
    out.resize(payload + length, 0);
    fill(&mut out[payload..]);
    mask(&mut out[payload..], key);
}

/// Puts messages together. Holds what came of one that is not complete (§5.4).
#[derive(Debug, Default)]
pub struct Decoder {
    /// Payloads of its frames so far.
    parts: Vec<u8>,
    /// Text or binary, while one is not complete.
    kind: Option<u8>,
}

impl Decoder {
    /// Takes the next message off `bytes`; `None` while it is not whole: whatever is left is to be
    /// there again when more has come. After a fault the connection is of no use.
    pub fn next<'a, 'b: 'a>(
        &'a mut self,
        bytes: &mut &'b [u8],
    ) -> Result<Option<Message<'a>>, Fault> {
        if self.kind.is_none() && !self.parts.is_empty() {
            // Of a message that was handed over: it may have been a large one.
            self.parts = vec![];
        }
        while let Some(frame) = Frame::take(bytes)? {
            match (frame.opcode, self.kind) {
                (PING, _) => return Ok(Some(Message::Ping(frame.payload))),
                (PONG, _) => return Ok(Some(Message::Pong)),
                (CLOSE, _) => return goodbye(frame.payload).map(Some),
                (CONTINUATION, Some(kind)) => {
                    self.keep(frame.payload)?;
                    if frame.is_last {
                        self.kind = None;
                        return message(kind, &self.parts).map(Some);
                    }
                }
                (TEXT | BINARY, None) if frame.is_last => {
                    return message(frame.opcode, frame.payload).map(Some);
                }
                (TEXT | BINARY, None) => {
                    self.kind = Some(frame.opcode);
                    self.keep(frame.payload)?;
                }
                _ => return Err(BAD_FRAME),
            }
        }
        Ok(None)
    }

    fn keep(&mut self, payload: &[u8]) -> Result<(), Fault> {
        if self.parts.len() + payload.len() > MESSAGE_BYTES_MAX {
            return Err(TOO_LARGE);
        }
        self.parts.extend_from_slice(payload);
        Ok(())
    }
}

struct Frame<'a> {
    opcode: u8,
    is_last: bool,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes a frame off `bytes`, if it is whole.
    fn take(bytes: &mut &'a [u8]) -> Result<Option<Self>, Fault> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let (is_last, opcode) = (first & LAST != 0, first & 0x0f);
        // §5.2: the reserved bits mean nothing without an extension. §5.1: a server does not mask.
        if first & RESERVED != 0 || second & MASKED != 0 {
            return Err(BAD_FRAME);
        }
        // §5.5: frames that control are short and whole.
        if opcode & CONTROL != 0 && (second > CONTROL_BYTES_MAX || !is_last) {
            return Err(BAD_FRAME);
        }
        let Some((length, rest)) = length(second, rest) else { return Ok(None) };
        if length > MESSAGE_BYTES_MAX as u64 {
            return Err(TOO_LARGE);
        }
        let Some((payload, rest)) = rest.split_at_checked(length as usize) else {
            return Ok(None);
        };
        *bytes = rest;
        Ok(Some(Self { opcode, is_last, payload }))
    }
}

/// Length of the payload, and what stands behind it; `short` is the length's first byte.
fn length(short: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    match short {
        126 => {
            rest.split_first_chunk().map(|(long, rest)| (u16::from_be_bytes(*long).into(), rest))
        }
        127 => rest.split_first_chunk().map(|(long, rest)| (u64::from_be_bytes(*long), rest)),
        short => Some((short.into(), rest)),
    }
}

fn message(kind: u8, payload: &[u8]) -> Result<Message<'_>, Fault> {
    match kind {
        TEXT => Ok(Message::Text(text(payload)?)),
        _ => Ok(Message::Binary(payload)),
    }
}

fn goodbye(payload: &[u8]) -> Result<Message<'_>, Fault> {
    match payload.split_first_chunk() {
        Some((code, reason)) => {
            Ok(Message::Close(Some((u16::from_be_bytes(*code), text(reason)?))))
        }
        None if payload.is_empty() => Ok(Message::Close(None)),
        None => Err(BAD_FRAME),
    }
}

/// Whether an endpoint may close with it (§7.4.1, and what IANA has registered since).
pub fn may_close_with(code: u16) -> bool {
    matches!(code, 1_000..=1_003 | 1_007..=1_014 | 3_000..=4_999)
}

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| BAD_UTF8)
}

/// Eight bytes at a time; the rest begins where the key begins.
fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let key_twice = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key_twice).to_ne_bytes();
    }
    rest.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
}

/// Of one message, in one frame or in several: ten seconds of 24 kHz PCM16 in base64, and room.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Two bytes, a length of 64 bits, the mask.
pub const HEADER_BYTES_MAX: usize = 14;
const CONTROL_BYTES_MAX: u8 = 125;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const CONTROL: u8 = 0x8;
const LAST: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

const BAD_FRAME: Fault = Fault { code: 1_002, reason: "bad_frame" };
const BAD_UTF8: Fault = Fault { code: 1_007, reason: "bad_utf8" };
const TOO_LARGE: Fault = Fault { code: 1_009, reason: "too_large" };

#[cfg(test)]
mod tests;
