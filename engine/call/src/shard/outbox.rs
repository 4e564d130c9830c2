//! What the host has still to do.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::grid::Grid;
use crate::{CallId, Component, Event, LegKey, Output, TxSlot};

/// Outputs in order, until the host polls them.
///
/// It cannot outgrow its first allocation as long as the host polls everything before the next
/// input: one input concerns one call, or (a tick) the calls of one slice, and one call makes at
/// most [`PER_CALL`] outputs in one go. Should that sum ever be wrong, the queue grows once rather
/// than lose an `Ended`.
///
/// Events wait in a queue of their own: they are rare and many times as large as what is sent, and
/// each place of a common queue would be as large as the largest of them.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: VecDeque<Order>,
    events: VecDeque<Event>,
}

/// An output, without an event's content.
#[derive(Debug)]
enum Order {
    Listen {
        call: CallId,
        leg: LegKey,
    },
    Connect {
        leg: LegKey,
        component: Component,
        peer: Option<SocketAddr>,
    },
    Send {
        leg: LegKey,
        component: Component,
        slot: TxSlot,
        len: u16,
        to: Option<SocketAddr>,
    },
    Unlisten {
        leg: LegKey,
    },
    /// The next one of the events.
    Event,
}

impl Outbox {
    /// For the calls of a shard of `capacity`.
    pub(crate) fn new(capacity: usize) -> Self {
        let room = PER_CALL * Grid::slice_capacity(capacity).max(1);
        Self { queue: VecDeque::with_capacity(room), events: VecDeque::with_capacity(room) }
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.events.push_back(event);
        self.push(Order::Event);
    }

    pub(crate) fn listen(&mut self, call: CallId, leg: LegKey) {
        self.push(Order::Listen { call, leg });
    }

    pub(crate) fn connect(&mut self, leg: LegKey, component: Component, peer: Option<SocketAddr>) {
        self.push(Order::Connect { leg, component, peer });
    }

    pub(crate) fn send(
        &mut self,
        leg: LegKey,
        component: Component,
        slot: TxSlot,
        len: u16,
        to: Option<SocketAddr>,
    ) {
        self.push(Order::Send { leg, component, slot, len, to });
    }

    pub(crate) fn unlisten(&mut self, leg: LegKey) {
        self.push(Order::Unlisten { leg });
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        let Some(order) = self.queue.pop_front() else {
            // Starts at the front again, so that a busy shard keeps touching the same memory.
            self.queue.clear();
            self.events.clear();
            return None;
        };
        match order {
            Order::Listen { call, leg } => Some(Output::Listen { call, leg }),
            Order::Connect { leg, component, peer } => {
                Some(Output::Connect { leg, component, peer })
            }
            Order::Send { leg, component, slot, len, to } => {
                Some(Output::Send { leg, component, slot, len, to })
            }
            Order::Unlisten { leg } => Some(Output::Unlisten { leg }),
            Order::Event => self.events.pop_front().map(Output::Event),
        }
    }

    fn push(&mut self, order: Order) {
        debug_assert!(
            self.queue.len() < self.queue.capacity(),
            "more outputs than PER_CALL allows"
        );
        self.queue.push_back(order);
    }
}

/// The most outputs of one call in one tick: two filters, an RTP and an RTCP packet, a digit,
/// `Stalled`, `Played` and `Spent` for prompt and agent each, and then the close with the broken-off
/// prompt's `Played` and `Spent`, BYE, `Unlisten` and `Ended`; rounded up.
const PER_CALL: usize = 20;
