//! The brains of all calls, and whose turn it is.

use std::collections::HashMap;

use vox_call::pipeline::Stirs;

use super::session::Session;

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    all: Vec<Session>,
    /// What is looked at in every batch, of each of them, close together: all that a call costs
    /// while nothing happens.
    looks: Vec<Look>,
    /// Where they are, by their id.
    places: HashMap<u64, usize>,
}

#[derive(Debug)]
struct Look {
    /// Something happened besides what its line has.
    due: bool,
    /// Whether its line has something.
    stirs: Option<Stirs>,
}

impl Sessions {
    pub(super) fn insert(&mut self, session: Session) {
        self.places.insert(session.id(), self.all.len());
        self.looks.push(Look { due: true, stirs: session.stirs() });
        self.all.push(session);
    }

    /// Whoever asks for it has something for it: it has a turn in this batch.
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Session> {
        let place = *self.places.get(&id)?;
        self.looks[place].due = true;
        Some(&mut self.all[place])
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Session> {
        let place = self.places.remove(&id)?;
        self.looks.swap_remove(place);
        let session = self.all.swap_remove(place);
        if let Some(moved) = self.all.get(place) {
            self.places.insert(moved.id(), place);
        }
        Some(session)
    }

    /// Its call is answered: from now on there is a line to look at.
    pub(super) fn watch(&mut self, id: u64) {
        if let Some(&place) = self.places.get(&id) {
            self.looks[place].stirs = self.all[place].stirs();
        }
    }

    /// Writes down the places of those whose turn it is.
    pub(super) fn due(&mut self, all: bool, places: &mut Vec<usize>) {
        places.clear();
        for (place, look) in self.looks.iter_mut().enumerate() {
            let stirred = look.stirs.as_mut().is_some_and(Stirs::take);
            if std::mem::take(&mut look.due) || stirred || all {
                places.push(place);
            }
        }
    }

    /// After a turn: whether it wants another one, whatever happens.
    pub(super) fn had_turn(&mut self, place: usize) {
        self.looks[place].due |= self.all[place].take_due();
    }

    /// The one at a place of [`due`](Self::due)'s.
    pub(super) fn at(&mut self, place: usize) -> &mut Session {
        &mut self.all[place]
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.all.iter_mut()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}
