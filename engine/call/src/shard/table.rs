//! The table of calls: dense slots with generations.

use std::collections::HashMap;

use super::Call;
use crate::{CallId, LegKey};

/// A shard's calls by slot, and the slot of an id.
#[derive(Debug)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    free: Vec<u16>,
    /// Twice as large as it needs to be: a hash map that is never more than half full cleans up
    /// after removals in place and does not allocate.
    by_id: HashMap<CallId, u16>,
}

#[derive(Debug)]
struct Entry {
    generation: u32,
    call: Option<Box<Call>>,
}

impl Table {
    /// Room for `capacity` calls, at most 65,535.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = u16::try_from(capacity).unwrap_or(u16::MAX);
        let entry = |_| Entry { generation: 0, call: None };
        Self {
            entries: (0..capacity).map(entry).collect(),
            free: (0..capacity).rev().collect(),
            by_id: HashMap::with_capacity(2 * usize::from(capacity)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Takes a call in; gives it back when there is no room, or its id is here already.
    pub(crate) fn insert(&mut self, call: Box<Call>) -> Result<LegKey, Box<Call>> {
        if self.by_id.contains_key(&call.id()) {
            return Err(call);
        }
        let Some(slot) = self.free.pop() else { return Err(call) };
        self.by_id.insert(call.id(), slot);
        let entry = &mut self.entries[usize::from(slot)];
        entry.call = Some(call);
        Ok(LegKey { slot, generation: entry.generation })
    }

    /// Where the call of this id is.
    pub(crate) fn find(&self, id: CallId) -> Option<LegKey> {
        self.by_id.get(&id).map(|&slot| self.key(slot))
    }

    /// The present key of a slot in use.
    pub(crate) fn key(&self, slot: u16) -> LegKey {
        LegKey { slot, generation: self.entries[usize::from(slot)].generation }
    }

    /// A look at the call of a slot, while nobody has it.
    pub(crate) fn peek(&self, slot: u16) -> Option<&Call> {
        self.entries.get(usize::from(slot))?.call.as_deref()
    }

    /// Lends a call out, to be [put back](Self::put_back) or [let go](Self::forget). `None` when the
    /// key's call is over.
    pub(crate) fn lend(&mut self, key: LegKey) -> Option<Box<Call>> {
        let entry = self.entries.get_mut(usize::from(key.slot))?;
        if entry.generation == key.generation { entry.call.take() } else { None }
    }

    pub(crate) fn put_back(&mut self, slot: u16, call: Box<Call>) {
        self.entries[usize::from(slot)].call = Some(call);
    }

    /// A lent call does not come back: its slot is free, its key is void.
    pub(crate) fn forget(&mut self, slot: u16, id: CallId) {
        let entry = &mut self.entries[usize::from(slot)];
        entry.generation = entry.generation.wrapping_add(1);
        self.by_id.remove(&id);
        self.free.push(slot);
    }
}
