//! What a WebSocket travels on: TCP, or TLS over it. Blocking with a deadline while it is opened,
//! non-blocking afterwards.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

/// A TCP connection.
#[derive(Debug)]
pub(super) struct Wire {
    tcp: TcpStream,
    /// While it is opened: everything is to be done by then.
    deadline: Option<Instant>,
    /// The last read took all that was there. Saves asking once more each time.
    drained: bool,
}

/// A connection, with or without TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Wire),
    Tls(Box<StreamOwned<ClientConnection, Wire>>),
}

impl Wire {
    pub(super) fn new(tcp: TcpStream, deadline: Instant) -> Self {
        Self { tcp, deadline: Some(deadline), drained: false }
    }

    /// How long a blocking call may take.
    fn limit(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(limit) = self.limit()? {
            self.tcp.set_read_timeout(Some(limit))?;
            return self.tcp.read(buf);
        }
        if self.drained {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.tcp.read(buf)?;
        self.drained = count > 0 && count < buf.len();
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Some(limit) = self.limit()? {
            self.tcp.set_write_timeout(Some(limit))?;
        }
        self.tcp.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

impl Stream {
    /// From now on nothing blocks.
    pub(super) fn opened(&mut self) -> io::Result<()> {
        let wire = self.wire();
        wire.deadline = None;
        wire.tcp.set_nonblocking(true)
    }

    /// The kernel says that there is something to read.
    pub(super) fn readable(&mut self) {
        self.wire().drained = false;
    }

    /// Nothing more is written. How the peer takes that is its affair.
    pub(super) fn end(&mut self) {
        if let Self::Tls(tls) = self {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
        let _ = self.wire().tcp.shutdown(Shutdown::Write);
    }

    /// Throws away what has come, unlooked at; whether nothing more will.
    pub(super) fn drain(&mut self) -> bool {
        let mut waste = [0; WASTE_BYTES];
        for _ in 0..WASTE_READS {
            match self.wire().tcp.read(&mut waste) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
        false
    }

    fn wire(&mut self) -> &mut Wire {
        match self {
            Self::Plain(wire) => wire,
            Self::Tls(tls) => tls.get_mut(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(wire) => wire.read(buf),
            Self::Tls(tls) => tls.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(wire) => wire.write(buf),
            Self::Tls(tls) => tls.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(wire) => wire.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Plain(wire) => wire.tcp.as_raw_fd(),
            Self::Tls(tls) => tls.get_ref().tcp.as_raw_fd(),
        }
    }
}

/// Thrown away at a time,
const WASTE_BYTES: usize = 4 << 10;
/// and so often in one turn.
const WASTE_READS: usize = 64;
