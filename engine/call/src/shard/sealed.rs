//! What a call whose media are sealed does with its [`Peer`].
//!
//! A datagram is opened in the buffer that it came in, and goes on from there as if it had come as
//! plain RTP; a packet is encoded as for any other call, and sealed on its way out. So neither
//! jitter buffer nor pipeline knows.

use std::net::SocketAddr;
use std::time::Duration;

use vox_webrtc::{Channel, Output, Peer};

use super::Context;
use crate::{Component, Event, MediaTime, Negotiation, PacketMemory, RxBuf, TxSlot};

/// What became of a datagram.
#[derive(Debug)]
pub(super) enum Opened {
    /// RTP or RTCP to be sorted, and whom to take it as coming from.
    Rtp(SocketAddr, RxBuf),
    /// It was for the peer alone; its buffer is released.
    Nothing,
    /// Not understood, or not authentic.
    Dropped(RxBuf),
}

impl<M: PacketMemory> Context<'_, M> {
    /// Opens a datagram, on a call that has a peer.
    pub(super) fn open(&mut self, source: SocketAddr, mut buf: RxBuf) -> Opened {
        let Some(mut peer) = self.peer.take() else { return Opened::Rtp(source, buf) };
        let understood = peer.receive(since(self.now), source, self.memory.received(&buf));
        let audio = self.attend(&mut peer);
        self.peer = Some(peer);
        if let Some(audio) = audio {
            buf.len = audio.write(self.memory.received_mut(&buf)) as u16;
            return Opened::Rtp(SEALED, buf);
        }
        if !understood {
            return Opened::Dropped(buf);
        }
        self.memory.release(buf);
        Opened::Nothing
    }

    /// Time passes for the peer.
    pub(super) fn tick_peer(&mut self) {
        self.with_peer(|peer, now| peer.tick(now));
    }

    /// Seals what is encoded in `slot` and sends that.
    pub(super) fn seal(&mut self, slot: TxSlot, len: usize) {
        let Some(mut peer) = self.peer.take() else { return };
        peer.send(since(self.now), &self.memory.slot(&slot)[..len]);
        self.memory.discard(slot);
        self.attend(&mut peer);
        self.peer = Some(peer);
    }

    /// Takes a peer over.
    pub(super) fn join(&mut self, peer: Box<Peer>) {
        if let Some(displaced) = self.peer.replace(peer) {
            self.event(Event::Left { call: self.call, peer: displaced });
        }
        self.tick_peer();
    }

    /// Takes a step of the peer's signalling.
    pub(super) fn negotiate(&mut self, step: Negotiation) {
        let call = self.call;
        let wrong = match (&mut self.peer, step) {
            (peer, Negotiation::Offer { more, restart }) => {
                let offer = peer.as_mut().and_then(|peer| peer.offer_again(more, restart));
                return self.event(Event::Offered { call, offer });
            }
            // One that is of no use (a name, a transport that we do not speak) is not the only one.
            (Some(peer), Negotiation::Candidate(text)) => {
                let _ = peer.candidate(&text);
                None
            }
            (Some(peer), Negotiation::Answer(sdp)) => peer.answer(&sdp).err(),
            (Some(peer), Negotiation::Message(bytes)) => {
                peer.send_data(Channel::Reliable, &bytes);
                None
            }
            (None, _) => None,
        };
        if let Some(wrong) = wrong {
            self.event(Event::Peer { call, event: wrong.into() });
        }
        self.tick_peer();
    }

    /// Says goodbye.
    pub(super) fn leave(&mut self) {
        self.with_peer(|peer, _| peer.close());
    }

    fn with_peer(&mut self, job: impl FnOnce(&mut Peer, Duration)) {
        let Some(mut peer) = self.peer.take() else { return };
        job(&mut peer, since(self.now));
        self.attend(&mut peer);
        self.peer = Some(peer);
    }

    /// Does what the peer asks for. What is more than [`AT_ONCE`] waits in it for the next time.
    fn attend(&mut self, peer: &mut Peer) -> Option<vox_webrtc::Audio> {
        let mut opened = None;
        for _ in 0..AT_ONCE {
            match peer.poll() {
                Output::Send { to, datagram } => self.send_sealed(to, &datagram),
                // A datagram holds one packet.
                Output::Audio(audio) => opened = Some(audio),
                Output::Event(event) => self.event(Event::Peer { call: self.call, event }),
                Output::Idle => break,
            }
        }
        opened
    }

    fn send_sealed(&mut self, to: SocketAddr, datagram: &[u8]) {
        let Some(slot) = self.memory.acquire() else {
            self.counters.no_send_slot += 1;
            return;
        };
        match self.memory.slot(&slot).get_mut(..datagram.len()) {
            Some(bytes) => {
                bytes.copy_from_slice(datagram);
                self.put_out(Component::Rtp, slot, datagram.len(), Some(to));
            }
            None => self.memory.discard(slot),
        }
    }
}

fn since(now: MediaTime) -> Duration {
    Duration::from_micros(now.micros())
}

/// Whom authenticated packets come from, whichever path they took: to the latch it is one source.
pub(crate) const SEALED: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// A DTLS flight is up to five datagrams long; an RTP packet is one.
const AT_ONCE: usize = 12;
