//! One call is answered once: within this process by a claim on its room, between processes by who
//! is in the room.
//!
//! ```text
//!            ┌── an offer's deadline, another way comes first ──┐
//! offered ───┤                                                  ▼
//!            └─► taken ─► over ── [`LINGER`] ─────────────► forgotten
//! ```
//!
//! LiveKit's dispatch, the Backend's and our own watcher may all bring the same call. Whichever
//! comes first holds the room's claim; the others learn who has it. Other processes cannot see a
//! claim: they see that somebody of ours is in the room ([`is_ours`]), and when two have joined at
//! the same time, each knows which of them stays ([`is_rival`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use livekit_protocol::{ParticipantInfo, participant_info};

use crate::calls::{Refusal, Slot};

/// Rooms whose caller is answered here, or will be. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims(Arc<Mutex<Rooms>>);

#[derive(Debug, Default)]
struct Rooms {
    held: HashMap<String, Vec<Held>>,
    next: u64,
}

/// A claim, as far as others can see it.
#[derive(Debug)]
struct Held {
    id: u64,
    call_id: String,
    known: Known,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Until LiveKit assigns the job, or does not.
    Offered(Slot),
    Taken,
    /// Late news of the same call may still come.
    Over(Instant),
}

/// What tells two calls in rooms of one name apart, where it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The room's sid: `RM_…`.
    pub(super) room_sid: Option<String>,
    /// The telephone call's id: `SCL_…`.
    pub(super) sip_call: Option<String>,
}

/// Why a call is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It is being answered already, as this call.
    Already(String),
    /// There is no place for it.
    Refused(Refusal),
}

/// The right to answer a room's caller. The room is free again a while after it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    claims: Claims,
    room: String,
    id: u64,
}

/// A place kept for a caller whom LiveKit may or may not assign to us. Dropping it gives the place
/// back; another way that brings the same caller takes it over.
#[derive(Debug)]
pub(super) struct Offer(Option<Claim>);

impl Claims {
    /// The right to answer `room`'s caller, as `call_id`, and a place for it. A place is asked for
    /// (`admit`) only when nobody has that right.
    pub(super) fn take(
        &self,
        room: &str,
        known: Known,
        call_id: &str,
        admit: impl FnOnce() -> Result<Slot, Refusal>,
    ) -> Result<(Claim, Slot), NotTaken> {
        let mut rooms = self.lock();
        rooms.sweep(Instant::now());
        if let Some(held) = rooms.find(room, &known) {
            let slot = match std::mem::replace(&mut held.state, State::Taken) {
                State::Offered(slot) => slot,
                other => {
                    held.state = other;
                    return Err(NotTaken::Already(held.call_id.clone()));
                }
            };
            held.known.learn(known);
            call_id.clone_into(&mut held.call_id);
            let (id, next) = (held.id, rooms.next);
            rooms.renumber(room, id, next);
            return Ok((self.claim(room, next), slot));
        }
        let slot = admit().map_err(NotTaken::Refused)?;
        let id = rooms.add(room, known, call_id, State::Taken);
        Ok((self.claim(room, id), slot))
    }

    /// Keeps a place for `room`'s caller, whom LiveKit offers.
    pub(super) fn offer(
        &self,
        room: &str,
        known: Known,
        call_id: &str,
        admit: impl FnOnce() -> Result<Slot, Refusal>,
    ) -> Result<Offer, NotTaken> {
        let mut rooms = self.lock();
        rooms.sweep(Instant::now());
        if let Some(held) = rooms.find(room, &known) {
            return Err(NotTaken::Already(held.call_id.clone()));
        }
        let slot = admit().map_err(NotTaken::Refused)?;
        let id = rooms.add(room, known, call_id, State::Offered(slot));
        Ok(Offer(Some(self.claim(room, id))))
    }

    /// Whether somebody here answers this call, or has just done so.
    pub(super) fn has(&self, room: &str, known: &Known) -> bool {
        let mut rooms = self.lock();
        rooms.sweep(Instant::now());
        rooms.find(room, known).is_some()
    }

    fn claim(&self, room: &str, id: u64) -> Claim {
        Claim { claims: self.clone(), room: room.to_owned(), id }
    }

    fn lock(&self) -> MutexGuard<'_, Rooms> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// More is known about the call than when it was claimed.
    pub(super) fn learn(&self, known: Known) {
        if let Some(held) = self.claims.lock().of(&self.room, self.id) {
            held.known.learn(known);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(held) = self.claims.lock().of(&self.room, self.id) {
            held.state = State::Over(Instant::now() + LINGER);
        }
    }
}

impl Offer {
    /// The offer holds; `None` when another way has brought the same caller meanwhile.
    pub(super) fn take(mut self) -> Option<(Claim, Slot)> {
        let claim = self.0.take()?;
        let taken = {
            let mut rooms = claim.claims.lock();
            let held = rooms.of(&claim.room, claim.id)?;
            std::mem::replace(&mut held.state, State::Taken)
        };
        match taken {
            State::Offered(slot) => Some((claim, slot)),
            State::Taken | State::Over(_) => None,
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        let Some(claim) = self.0.take() else { return };
        // Freed after the lock is.
        let _offered = claim.claims.lock().remove(&claim.room, claim.id);
    }
}

impl Known {
    /// Nothing that both know says otherwise.
    fn may_be(&self, other: &Self) -> bool {
        let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        agree(&self.room_sid, &other.room_sid) && agree(&self.sip_call, &other.sip_call)
    }

    fn learn(&mut self, more: Self) {
        self.room_sid = more.room_sid.or(self.room_sid.take());
        self.sip_call = more.sip_call.or(self.sip_call.take());
    }

    /// What a participant tells about its call.
    pub(super) fn of(caller: &ParticipantInfo) -> Self {
        Self { room_sid: None, sip_call: caller.attributes.get("sip.callID").cloned() }
    }
}

impl Rooms {
    fn add(&mut self, room: &str, known: Known, call_id: &str, state: State) -> u64 {
        let id = self.next;
        self.next += 1;
        let held = Held { id, call_id: call_id.to_owned(), known, state };
        self.held.entry(room.to_owned()).or_default().push(held);
        id
    }

    fn find(&mut self, room: &str, known: &Known) -> Option<&mut Held> {
        self.held.get_mut(room)?.iter_mut().find(|held| held.known.may_be(known))
    }

    fn of(&mut self, room: &str, id: u64) -> Option<&mut Held> {
        self.held.get_mut(room)?.iter_mut().find(|held| held.id == id)
    }

    /// What an offer held is another way's now: the offer finds nothing of its own any more.
    fn renumber(&mut self, room: &str, id: u64, to: u64) {
        self.next = to + 1;
        if let Some(held) = self.of(room, id) {
            held.id = to;
        }
    }

    fn remove(&mut self, room: &str, id: u64) -> Option<Held> {
        let all = self.held.get_mut(room)?;
        let at = all.iter().position(|held| held.id == id)?;
        let held = all.swap_remove(at);
        if all.is_empty() {
            self.held.remove(room);
        }
        Some(held)
    }

    /// As many as calls that live or ended within [`LINGER`] are looked at.
    fn sweep(&mut self, now: Instant) {
        self.held.retain(|_, all| {
            all.retain(|held| !matches!(held.state, State::Over(until) if until <= now));
            !all.is_empty()
        });
    }
}

/// Whether a participant is one of ours, of whatever process or host.
pub(super) fn is_ours(them: &ParticipantInfo) -> bool {
    them.kind() == participant_info::Kind::Agent
        && them.identity.starts_with(IDENTITY)
        && them.state() != participant_info::State::Disconnected
}

/// Whether `them` is another process of ours, to whom `us` leaves the room. Of two the one that came
/// first stays: when they joined by the server's clock, and their sids, are the same for both.
pub(super) fn is_rival(them: &ParticipantInfo, us: &ParticipantInfo) -> bool {
    is_ours(them)
        && them.identity != us.identity
        && (them.joined_at_ms, &them.sid) < (us.joined_at_ms, &us.sid)
}

/// An identity of ours, never used before.
pub(super) fn identity() -> String {
    format!("{IDENTITY}{}", uuid::Uuid::new_v4().simple())
}

/// What all our identities begin with.
const IDENTITY: &str = "vox-";

/// For news of a call that is over: a webhook tried again, a job that was slow.
const LINGER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
