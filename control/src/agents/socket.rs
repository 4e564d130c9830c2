//! An open WebSocket: what is read from its stream until that makes messages, what is written until
//! the kernel takes it.
//!
//! Buffers are the thread's ([`Room`]), lent to a socket for its turn: one that is in the cache for
//! each of hundreds of sockets, instead of hundreds that are not. A socket keeps one of its own only
//! while it holds half a message, or what its peer does not take.

use std::io::{self, ErrorKind, Read, Write};

use super::stream::Stream;
use super::websocket::{self, Decoder, Fault, HEADER_BYTES_MAX, Kind, Message};

/// Just opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) stream: Stream,
    /// What came behind the answer to the upgrade.
    pub(super) early: Vec<u8>,
}

/// What all sockets' turns have in common.
#[derive(Debug, Default)]
pub(super) struct Room {
    read: Vec<u8>,
    out: Vec<u8>,
}

/// The way in.
#[derive(Debug)]
pub(super) struct Reader {
    decoder: Decoder,
    /// All of it may be written to; empty while nothing is kept.
    bytes: Vec<u8>,
    /// Of `bytes`, what was read and not handed over yet.
    from: usize,
    to: usize,
}

/// The way out.
#[derive(Debug)]
pub(super) struct Writer {
    stream: Stream,
    /// What the kernel has not taken yet.
    out: Vec<u8>,
    /// It takes nothing now: the brain does not read.
    blocked: bool,
    /// Goodbye is said: nothing follows it.
    closed: bool,
}

impl Reader {
    pub(super) fn new(early: Vec<u8>) -> Self {
        let to = early.len();
        Self { decoder: Decoder::default(), bytes: early, from: 0, to }
    }

    pub(super) fn borrow(&mut self, room: &mut Room) {
        if self.bytes.is_empty() {
            std::mem::swap(&mut self.bytes, &mut room.read);
        }
    }

    pub(super) fn give_back(&mut self, room: &mut Room) {
        if self.from < self.to {
            return;
        }
        (self.from, self.to) = (0, 0);
        let own = std::mem::take(&mut self.bytes);
        if room.read.is_empty() && own.len() <= ROOM_BYTES_MAX {
            room.read = own;
        }
    }

    /// The next message of what was read.
    pub(super) fn next(&mut self) -> Result<Option<Message<'_>>, Fault> {
        let mut rest = &self.bytes[self.from..self.to];
        let next = self.decoder.next(&mut rest);
        self.from = self.to - rest.len();
        next
    }

    /// Reads what is there, once.
    pub(super) fn fill(&mut self, from: &mut Writer) -> io::Result<()> {
        if self.bytes.len() - self.to < READ_BYTES {
            self.bytes.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
            let wanted = (self.to + READ_BYTES).max(2 * self.to);
            if self.bytes.len() < wanted {
                self.bytes.resize(wanted, 0);
            }
        }
        match from.stream.read(&mut self.bytes[self.to..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.to += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Writer {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, out: vec![], blocked: false, closed: false }
    }

    pub(super) fn borrow(&mut self, room: &mut Room) {
        if self.out.is_empty() {
            std::mem::swap(&mut self.out, &mut room.out);
        }
    }

    pub(super) fn give_back(&mut self, room: &mut Room) {
        if !self.out.is_empty() {
            return;
        }
        let own = std::mem::take(&mut self.out);
        if room.out.capacity() == 0 && own.capacity() <= ROOM_BYTES_MAX {
            room.out = own;
        }
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The kernel has something for us, or room again.
    pub(super) fn ready(&mut self, readable: bool) {
        if readable {
            self.stream.readable();
        }
        self.blocked = false;
    }

    /// Puts a message in front of the next [`flush`](Self::flush): `fill` writes its payload of
    /// `length` bytes. `false` when there is no room.
    pub(super) fn write(
        &mut self,
        kind: Kind,
        length: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> bool {
        if self.closed {
            return true;
        }
        if self.out.len() + HEADER_BYTES_MAX + length > WAITING_BYTES_MAX {
            self.blocked = true;
            return false;
        }
        // RFC 6455 §10.3: a mask that nobody can foresee.
        websocket::write(&mut self.out, kind, length, rand::random(), fill);
        if self.out.len() > WRITE_BYTES {
            self.flush();
        }
        true
    }

    /// As [`write`](Self::write), with the payload at hand.
    pub(super) fn write_bytes(&mut self, kind: Kind, payload: &[u8]) -> bool {
        self.write(kind, payload.len(), |room| room.copy_from_slice(payload))
    }

    /// Has the kernel take what is there. A broken stream is found by the next read.
    pub(super) fn flush(&mut self) {
        if self.blocked {
            return;
        }
        let mut sent = 0;
        while !self.blocked && sent < self.out.len() {
            match self.stream.write(&self.out[sent..]) {
                Ok(count) if count > 0 => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.blocked = true,
                Ok(_) | Err(_) => break,
            }
        }
        self.out.drain(..sent);
        // TLS may have taken more than the kernel.
        let flushed = self.stream.flush();
        self.blocked |= flushed.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    }

    /// Says goodbye, unless that was said before.
    pub(super) fn close(&mut self, code: u16, reason: &str) {
        self.say_goodbye(Some((code, reason)));
    }

    /// The brain said goodbye: it is said back (RFC 6455 §5.5.1), unless with a code that is none.
    pub(super) fn closed_by_peer(&mut self, said: Option<(u16, &str)>) {
        self.say_goodbye(said.map(|(code, reason)| match websocket::may_close_with(code) {
            true => (code, reason),
            false => (1_002, "bad_close_code"),
        }));
    }

    /// Nothing more is written. How the peer takes that is its affair.
    pub(super) fn end(&mut self) {
        self.stream.end();
    }

    /// Throws away what has come, unlooked at; whether nothing more will.
    pub(super) fn drain(&mut self) -> bool {
        self.stream.drain()
    }

    fn say_goodbye(&mut self, with: Option<(u16, &str)>) {
        let code = with.map(|(code, _)| code.to_be_bytes());
        let code = code.as_ref().map_or(&[][..], |code| code);
        let reason = with.map_or("", |(_, reason)| reason).as_bytes();
        self.write(Kind::Close, code.len() + reason.len(), |room| {
            let (head, tail) = room.split_at_mut(code.len());
            head.copy_from_slice(code);
            tail.copy_from_slice(reason);
        });
        self.closed = true;
        // For the peer's sake only: it may be gone, or not read.
        self.blocked = false;
        self.flush();
    }
}

/// Read at a time: what a brain says in a burst of a third of a second at 24 kHz.
const READ_BYTES: usize = 16 << 10;
/// Buffers that grew larger, for a large message, are not kept.
const ROOM_BYTES_MAX: usize = 64 << 10;
/// Gathered before it is written: what a batch has for one socket leaves at once.
const WRITE_BYTES: usize = 16 << 10;
/// Waiting to be written: what is not audio goes on being queued for a brain that does not read.
const WAITING_BYTES_MAX: usize = 256 << 10;
