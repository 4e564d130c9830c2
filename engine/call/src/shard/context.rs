use std::net::SocketAddr;

use vox_webrtc::Peer;

use super::Counters;
use super::ledger::Lent;
use super::outbox::Outbox;
use crate::leg::Destination;
use crate::pipeline::PromptOver;
use crate::{CallId, Component, Event, LegKey, MediaTime, PacketMemory, TxSlot};

/// What a call works with while the shard has it in hand.
pub(crate) struct Context<'a, M> {
    pub(crate) now: MediaTime,
    pub(crate) call: CallId,
    pub(crate) leg: LegKey,
    pub(crate) memory: Lent<'a, M>,
    pub(crate) counters: &'a mut Counters,
    pub(crate) outbox: &'a mut Outbox,
    /// Seals what is sent; the call's, while it has one.
    pub(crate) peer: Option<Box<Peer>>,
}

impl<M: PacketMemory> Context<'_, M> {
    /// The call is in the table, the host may start to receive.
    pub(crate) fn listen(&mut self) {
        self.outbox.listen(self.call, self.leg);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outbox.event(event);
    }

    pub(crate) fn connect(&mut self, component: Component, peer: Option<SocketAddr>) {
        // Whom to hear is for the peer to say, which knows of more than one path.
        if self.peer.is_some() {
            return;
        }
        self.outbox.connect(self.leg, component, peer);
    }

    /// `len` bytes in an acquired slot are to be sent.
    pub(crate) fn send(&mut self, component: Component, slot: TxSlot, len: usize, to: Destination) {
        if self.peer.is_some() {
            return self.seal(slot, len);
        }
        let to = match to {
            Destination::Connected => None,
            Destination::Address(address) => Some(address),
        };
        self.put_out(component, slot, len, to);
    }

    /// As [`send`](Self::send), but not to be sealed.
    pub(super) fn put_out(
        &mut self,
        component: Component,
        slot: TxSlot,
        len: usize,
        to: Option<SocketAddr>,
    ) {
        self.memory.sent();
        // A slot is at most a few thousand bytes long.
        self.outbox.send(self.leg, component, slot, len as u16, to);
    }

    /// A prompt came to its end, or was broken off.
    pub(crate) fn prompt_over(&mut self, over: Option<PromptOver>) {
        let Some(PromptOver { id, ended, prompt }) = over else { return };
        let call = self.call;
        self.event(Event::Played { call, id, played: ended.played, complete: ended.complete });
        self.event(Event::Spent { call, agent: None, prompt: Some(prompt), tap: None });
    }
}
