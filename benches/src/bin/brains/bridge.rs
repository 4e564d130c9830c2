//! The floor: as little as a bridge between UDP and WebSockets can do in 2 ms batches. Each packet's
//! payload goes into a binary message and back; nothing else is done to it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use mio::net::{TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token};
use tungstenite::client::IntoClientRequest;
use vox_benches::process;
use vox_rtp::{RtpHeader, RtpTime, SeqNo, Ssrc};

#[derive(Debug, Args)]
pub(crate) struct Bridged {
    /// The callers' ports on loopback.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<u16>,
    /// Where the brains are.
    #[arg(long)]
    brain: SocketAddr,
}

/// One call: its caller's socket and its brain's.
struct Call {
    caller: UdpSocket,
    brain: TcpStream,
    /// What came of a message that is not whole yet.
    partial: Vec<u8>,
    sent: u16,
    ssrc: u32,
}

/// Prints its ports, runs until its input closes.
pub(crate) fn run(options: &Bridged) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut calls = vec![];
    for (index, &peer) in options.peers.iter().enumerate() {
        let mut call = Call::connect(index, peer, options.brain)?;
        let registry = poll.registry();
        registry.register(&mut call.caller, Token(2 * index), Interest::READABLE)?;
        registry.register(&mut call.brain, Token(2 * index + 1), Interest::READABLE)?;
        calls.push(call);
    }
    let ports = calls.iter().map(|call| Ok(call.caller.local_addr()?.port()));
    println!("{}", process::join(ports.collect::<Result<Vec<_>>>()?));
    let stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        let copying = scope.spawn(|| copy(&mut poll, &mut calls, &stopped));
        process::wait_for_parent()?;
        stopped.store(true, Ordering::Relaxed);
        copying.join().map_err(|_| anyhow!("the bridge panicked"))?
    })
}

fn copy(poll: &mut Poll, calls: &mut [Call], stopped: &AtomicBool) -> Result<()> {
    let mut events = Events::with_capacity(4 * calls.len());
    let mut due = Instant::now();
    while !stopped.load(Ordering::Relaxed) {
        due += BATCH;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        poll.poll(&mut events, Some(Duration::ZERO))?;
        for event in &events {
            let Token(token) = event.token();
            let call = &mut calls[token / 2];
            match token % 2 {
                0 => call.caller_spoke()?,
                _ => call.brain_spoke()?,
            }
        }
    }
    Ok(())
}

impl Call {
    fn connect(index: usize, peer: u16, brain: SocketAddr) -> Result<Self> {
        let caller = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        caller.connect((Ipv4Addr::LOCALHOST, peer))?;
        caller.set_nonblocking(true)?;
        let stream = std::net::TcpStream::connect(brain)?;
        stream.set_nodelay(true)?;
        let request = format!("ws://{brain}/bare").into_client_request()?;
        let (socket, _) = tungstenite::client(request, stream).context("the brain's upgrade")?;
        // The brain says nothing before it hears something: no byte is lost here.
        let stream = socket.get_ref().try_clone()?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            caller: UdpSocket::from_std(caller),
            brain: TcpStream::from_std(stream),
            partial: vec![],
            sent: 0,
            ssrc: index as u32 + 1,
        })
    }

    /// One packet: they are 20 ms apart, so there is no second one to look for.
    fn caller_spoke(&mut self) -> Result<()> {
        let mut packet = [0; 512];
        let length = match self.caller.recv(&mut packet) {
            Ok(length) if length > RtpHeader::LEN => length,
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let payload = &packet[RtpHeader::LEN..length];
        // RFC 6455 §5.2: final, binary; masked, a length of 16 bits, the mask.
        let mut frame = [0; 8 + 512];
        frame[0] = 0x82;
        frame[1] = 0x80 | 126;
        frame[2..4].copy_from_slice(&(payload.len() as u16).to_be_bytes());
        frame[4..8].copy_from_slice(&MASK);
        let masked = payload.iter().zip(MASK.iter().cycle());
        for (out, (byte, mask)) in frame[8..].iter_mut().zip(masked) {
            *out = byte ^ mask;
        }
        self.brain.write_all(&frame[..8 + payload.len()])?;
        Ok(())
    }

    fn brain_spoke(&mut self) -> Result<()> {
        let mut bytes = [0; 4_096];
        let length = match self.brain.read(&mut bytes) {
            Ok(0) => bail!("the brain is gone"),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.partial.extend_from_slice(&bytes[..length]);
        let mut whole = 0;
        // A server's message is not masked; longer than 125 bytes here, by a length of 16 bits.
        while let Some([_, 126, high, low]) = self.partial[whole..].first_chunk::<4>() {
            let end = whole + 4 + usize::from(u16::from_be_bytes([*high, *low]));
            let Some(payload) = self.partial.get(whole + 4..end) else { break };
            let header = RtpHeader {
                marker: self.sent == 0,
                payload_type: 0,
                seq: SeqNo(self.sent),
                time: RtpTime(u32::from(self.sent) * 160),
                ssrc: Ssrc(self.ssrc),
            };
            let mut packet = [0; 512];
            header.write(&mut packet);
            packet[RtpHeader::LEN..][..payload.len()].copy_from_slice(payload);
            self.caller.send(&packet[..RtpHeader::LEN + payload.len()])?;
            self.sent = self.sent.wrapping_add(1);
            whole = end;
        }
        self.partial.drain(..whole);
        Ok(())
    }
}

const BATCH: Duration = Duration::from_millis(2);
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
