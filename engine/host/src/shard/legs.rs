use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Instant;

use vox_call::{Component, LegKey};
use vox_ring::{Ring, SocketKey, sys};

use crate::ports::{Released, SocketPair};

/// The sockets of a shard's legs: row `slot * 2 + component` of the ring's file table.
///
/// ```text
///           listen                unlisten              last completion of both receives
///  Vacant ─────────► Listening ───────────► Closing ───────────────────────────────────► Vacant
///                                              │ (a new call in the same slot waits here)
///                                              └────────────────────────────────► Listening
/// ```
#[derive(Debug)]
pub(crate) struct Legs {
    rows: Vec<Row>,
    /// Rows that are not vacant.
    occupied: usize,
    released: rtrb::Producer<Released>,
}

impl Drop for Legs {
    /// What is left when the shard's thread falls over.
    fn drop(&mut self) {
        for row in std::mem::take(&mut self.rows) {
            match row {
                Row::Vacant => {}
                Row::Listening(leg) | Row::Closing(leg, None) => self.release(leg.sockets),
                Row::Closing(leg, Some((_, next))) => {
                    self.release(leg.sockets);
                    self.release(next);
                }
            }
        }
    }
}

#[derive(Debug)]
enum Row {
    Vacant,
    Listening(Leg),
    Closing(Leg, Option<(LegKey, SocketPair)>),
}

#[derive(Debug)]
struct Leg {
    key: LegKey,
    sockets: SocketPair,
    /// A receive is in flight, by component.
    receiving: [bool; 2],
}

/// What the last completion of a receive asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The leg still listens: receive again.
    Rearm,
    /// The leg is closing or gone.
    Nothing,
}

impl Legs {
    /// Rows for `capacity` legs; port pairs that are closed go to `released`.
    pub(crate) fn new(capacity: usize, released: rtrb::Producer<Released>) -> Self {
        let rows = (0..capacity).map(|_| Row::Vacant).collect();
        Self { rows, occupied: 0, released }
    }

    /// Receives on both sockets, at once or as soon as the slot's last leg is closed.
    pub(crate) fn listen(&mut self, key: LegKey, sockets: SocketPair, ring: &mut Ring) {
        match self.rows.get_mut(usize::from(key.slot)) {
            Some(Row::Closing(_, next)) if next.is_none() => *next = Some((key, sockets)),
            Some(row @ Row::Vacant) => {
                self.occupied += 1;
                *row = Row::Listening(Leg::start(key, sockets, ring));
            }
            _ => {
                debug_assert!(false, "{key:?} listens twice, or beyond the shard's capacity");
                self.release(sockets);
            }
        }
    }

    /// Stops receiving; the sockets close with their last completion.
    pub(crate) fn unlisten(&mut self, key: LegKey, ring: &mut Ring) {
        let Some(row) = self.rows.get_mut(usize::from(key.slot)) else { return };
        match std::mem::replace(row, Row::Vacant) {
            Row::Listening(leg) if leg.key == key => {
                for component in leg.in_flight() {
                    ring.stop_receiving(socket(key, component));
                }
                *row = Row::Closing(leg, None);
                self.close_when_done(key.slot, ring);
            }
            Row::Closing(leg, Some((next, sockets))) if next == key => {
                *row = Row::Closing(leg, None);
                self.release(sockets);
            }
            other => *row = other,
        }
    }

    /// Connects a socket to `peer`, or dissolves its connection.
    pub(crate) fn connect(
        &self,
        key: LegKey,
        component: Component,
        peer: Option<SocketAddr>,
    ) -> io::Result<()> {
        let sockets = match self.rows.get(usize::from(key.slot)) {
            Some(Row::Listening(leg)) if leg.key == key => &leg.sockets,
            Some(Row::Closing(_, Some((next, sockets)))) if *next == key => sockets,
            _ => return Ok(()),
        };
        let socket = match component {
            Component::Rtp => &sockets.rtp,
            Component::Rtcp => &sockets.rtcp,
        };
        sys::connect(socket, peer)
    }

    /// Whether `key` is there and not closing.
    pub(crate) fn is_listening(&self, key: LegKey) -> bool {
        matches!(self.rows.get(usize::from(key.slot)), Some(Row::Listening(leg)) if leg.key == key)
    }

    /// A receive ended, with its last completion.
    pub(crate) fn ended(&mut self, key: LegKey, component: Component, ring: &mut Ring) -> After {
        match self.rows.get_mut(usize::from(key.slot)) {
            Some(Row::Listening(leg)) if leg.key == key => {
                leg.receiving[component as usize] = false;
                After::Rearm
            }
            Some(Row::Closing(leg, _)) if leg.key == key => {
                leg.receiving[component as usize] = false;
                self.close_when_done(key.slot, ring);
                After::Nothing
            }
            _ => After::Nothing,
        }
    }

    /// Receives again, where nothing is in flight.
    pub(crate) fn rearm(&mut self, key: LegKey, component: Component, ring: &mut Ring) {
        match self.rows.get_mut(usize::from(key.slot)) {
            Some(Row::Listening(leg)) if leg.key == key => leg.arm(component, ring),
            _ => {}
        }
    }

    /// Whether every socket is closed.
    pub(crate) const fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    fn close_when_done(&mut self, slot: u16, ring: &mut Ring) {
        let row = &mut self.rows[usize::from(slot)];
        match std::mem::replace(row, Row::Vacant) {
            Row::Closing(leg, next) if leg.receiving == [false; 2] => {
                if let Some((key, sockets)) = next {
                    leg.uninstall(ring);
                    *row = Row::Listening(Leg::start(key, sockets, ring));
                } else {
                    leg.uninstall(ring);
                    self.occupied -= 1;
                }
                self.release(leg.sockets);
            }
            other => *row = other,
        }
    }

    /// Closes the sockets and lets their ports rest.
    pub(crate) fn release(&mut self, sockets: SocketPair) {
        let port = sockets.port;
        drop(sockets);
        let released = self.released.push(Released { port, at: Instant::now() });
        debug_assert!(released.is_ok(), "more port pairs than the ring has room for");
    }
}

impl Leg {
    fn start(key: LegKey, sockets: SocketPair, ring: &mut Ring) -> Self {
        let mut leg = Self { key, sockets, receiving: [false; 2] };
        for component in [Component::Rtp, Component::Rtcp] {
            let fd = match component {
                Component::Rtp => leg.sockets.rtp.as_fd(),
                Component::Rtcp => leg.sockets.rtcp.as_fd(),
            };
            match ring.install(socket(key, component).row, fd) {
                Ok(()) => leg.arm(component, ring),
                // The call stays deaf and ends by its own limits.
                Err(error) => tracing::error!(?key, %error, "a socket cannot join the ring"),
            }
        }
        leg
    }

    fn arm(&mut self, component: Component, ring: &mut Ring) {
        let receiving = &mut self.receiving[component as usize];
        if !*receiving {
            *receiving = true;
            ring.receive(socket(self.key, component));
        }
    }

    fn in_flight(&self) -> impl Iterator<Item = Component> {
        let receiving = self.receiving;
        [Component::Rtp, Component::Rtcp].into_iter().filter(move |&c| receiving[c as usize])
    }

    fn uninstall(&self, ring: &mut Ring) {
        // What is queued names the row, not the socket.
        ring.flush();
        for component in [Component::Rtp, Component::Rtcp] {
            if let Err(error) = ring.uninstall(socket(self.key, component).row) {
                tracing::error!(key = ?self.key, %error, "a socket cannot leave the ring");
            }
        }
    }
}

/// A leg's socket in the ring's file table.
pub(crate) const fn socket(key: LegKey, component: Component) -> SocketKey {
    SocketKey { row: key.slot as u32 * 2 + component as u32, generation: key.generation }
}

/// The inverse of [`socket`].
pub(crate) const fn leg_of(socket: SocketKey) -> (LegKey, Component) {
    let component = if socket.row.is_multiple_of(2) { Component::Rtp } else { Component::Rtcp };
    let slot = (socket.row / 2) as u16;
    (LegKey { slot, generation: socket.generation }, component)
}
