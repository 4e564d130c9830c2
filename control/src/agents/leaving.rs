//! The end of a brain's socket.

use std::time::{Duration, Instant};

use super::socket::Writer;

/// A socket on its way out: what was written last still goes to the brain, which then closes.
///
/// Whoever closes with bytes unread resets the connection, and the last words with it. So what the
/// brain still says is read, for a short time, and thrown away.
#[derive(Debug)]
pub(super) struct Leaving {
    socket: Writer,
    until: Instant,
    flushed: bool,
}

impl Leaving {
    /// Nothing more is written to it.
    pub(super) fn new(socket: Writer, now: Instant) -> Self {
        Self { socket, until: now + LINGER, flushed: false }
    }

    /// One look; whether it can be dropped.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        if !self.flushed {
            self.socket.ready(false);
            self.socket.flush();
            if !self.socket.is_blocked() {
                self.flushed = true;
                self.socket.end();
            }
        }
        self.socket.drain() || now >= self.until
    }
}

/// For a brain to read the last words and to close.
const LINGER: Duration = Duration::from_secs(2);
