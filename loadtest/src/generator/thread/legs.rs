use std::os::fd::AsFd;
use std::sync::mpsc::SyncSender;

use vox_ring::{Ring, SocketKey, sys};

use super::state::{LegState, Media};

/// The legs of a thread, by their row of the ring's file table.
///
/// ```text
///          open            close             last completion of the receive
///  Vacant ─────► Open ──────────────► Closing ─────────────────────────────► Vacant
/// ```
#[derive(Debug)]
pub(super) struct Legs {
    rows: Vec<Row>,
    open: usize,
    freed: SyncSender<u32>,
}

#[derive(Debug)]
enum Row {
    Vacant,
    Open(LegState),
    /// It is kept for its socket, which must outlive the receive.
    Closing(LegState),
}

impl Legs {
    pub(super) fn new(rows: usize, freed: SyncSender<u32>) -> Self {
        Self { rows: (0..rows).map(|_| Row::Vacant).collect(), open: 0, freed }
    }

    /// Listens on a leg's socket.
    pub(super) fn open(&mut self, mut leg: LegState, ring: &mut Ring) {
        let row = &mut self.rows[leg.key.row as usize];
        // A leg that cannot join stays silent and deaf, which its report says.
        if ring.install(leg.key.row, leg.socket.as_fd()).is_ok() {
            leg.receiving = true;
            ring.receive(leg.key);
        }
        self.open += 1;
        *row = Row::Open(leg);
    }

    /// A leg that is open.
    pub(super) fn get(&mut self, key: SocketKey) -> Option<&mut LegState> {
        match self.rows.get_mut(key.row as usize) {
            Some(Row::Open(leg)) if leg.key == key => Some(leg),
            _ => None,
        }
    }

    /// Has what the next packet of a leg needs brought into the cache.
    pub(super) fn expect(&self, key: SocketKey) {
        if let Some(Row::Open(LegState { media: Some(media), .. })) =
            self.rows.get(key.row as usize)
        {
            sys::prefetch(&**media);
        }
    }

    /// Takes a leg's media, and closes its socket once nothing is received on it any more. Its state
    /// before.
    pub(super) fn close(&mut self, key: SocketKey, ring: &mut Ring) -> Option<Box<Media>> {
        let media = self.get(key)?.media.take();
        let row = &mut self.rows[key.row as usize];
        if let Row::Open(leg) = std::mem::replace(row, Row::Vacant) {
            self.open -= 1;
            if leg.receiving {
                ring.stop_receiving(key);
            }
            *row = Row::Closing(leg);
        }
        self.free_when_done(key, ring);
        media
    }

    /// The receive on a socket has ended. Whether to receive again.
    pub(super) fn ended(&mut self, key: SocketKey, ring: &mut Ring) -> bool {
        match &mut self.rows[key.row as usize] {
            Row::Open(leg) if leg.key == key => {
                leg.receiving = false;
                !leg.vanished
            }
            Row::Closing(leg) if leg.key == key => {
                leg.receiving = false;
                self.free_when_done(key, ring);
                false
            }
            _ => false,
        }
    }

    /// Receives again.
    pub(super) fn rearm(&mut self, key: SocketKey, ring: &mut Ring) {
        if let Some(leg) = self.get(key).filter(|leg| !leg.receiving && !leg.vanished) {
            leg.receiving = true;
            ring.receive(key);
        }
    }

    /// Legs that are open.
    pub(super) const fn open_legs(&self) -> usize {
        self.open
    }

    fn free_when_done(&mut self, key: SocketKey, ring: &mut Ring) {
        let row = &mut self.rows[key.row as usize];
        if matches!(row, Row::Closing(leg) if leg.key == key && !leg.receiving) {
            // What is queued names the row, not the socket.
            ring.flush();
            let _ = ring.uninstall(key.row);
            *row = Row::Vacant;
            // There is a place for every row.
            let _ = self.freed.try_send(key.row);
        }
    }
}
