//! Callers whom nobody was given, found by looking.
//!
//! LiveKit offers a call once. When every worker is full at that instant, or none is connected, the
//! caller rings for minutes and nobody comes; a lost webhook is the same. So a worker with room
//! looks through the server's rooms by itself, and answers who has rung for [`WAIT`] with nobody of
//! ours there. Many workers may look at once: they wait for different times, look again, and whoever
//! joins a room second leaves it ([`claims`](super::claims)).

use std::collections::HashMap;
use std::time::Duration;

use livekit_protocol::{ParticipantInfo, Room, participant_info};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Livekit;
use super::arrival::{Arrival, facts};
use super::caller::Who;
use super::claims::{Known, is_ours};
use super::counts::count;
use super::server::ServerError;
use super::worker::random;
use crate::calls::CallDirection;
use crate::config::WatchConfig;

/// Looks for as long as the runtime lives.
pub(super) fn start(livekit: Livekit, config: WatchConfig) {
    let slots = livekit.0.calls.slots().changes();
    let watcher = Watcher { livekit, config, slots, rooms: HashMap::new(), failures: 0 };
    tokio::spawn(watcher.run());
}

#[derive(Debug)]
struct Watcher {
    livekit: Livekit,
    config: WatchConfig,
    slots: watch::Receiver<usize>,
    /// By name, as long as the server has them.
    rooms: HashMap<String, Look>,
    failures: u32,
}

/// What is known about a room.
#[derive(Debug, Clone)]
struct Look {
    sid: String,
    /// When to look again; [`Look::tries`] have been made to answer there.
    next: Instant,
    tries: u32,
    /// Since when this caller rings, by what we saw.
    ringing: Option<(String, Instant)>,
}

/// A caller whom nobody was given.
#[derive(Debug)]
struct Waiting {
    room: Room,
    caller: ParticipantInfo,
    waited: Duration,
}

impl Watcher {
    async fn run(mut self) {
        loop {
            self.pause().await;
            match self.round().await {
                Ok(()) => {
                    if self.failures > 0 {
                        tracing::info!("LiveKit's rooms can be looked at again");
                    }
                    self.failures = 0;
                }
                Err(why) => {
                    count(&self.livekit.0.counts.watch_failures);
                    if self.failures == 0 {
                        tracing::warn!("callers whom nobody was given are not found: {why}");
                    }
                    self.failures = self.failures.saturating_add(1);
                }
            }
        }
    }

    /// Until the next round. A worker without room does not look; it does so once it has.
    async fn pause(&mut self) {
        let most = self.config.period.saturating_mul(1 << self.failures.min(4)).max(PERIOD_MIN);
        let period = most.min(self.config.period.max(BACKOFF_MAX));
        sleep(period.mul_f64(0.9 + random() / 5.0)).await;
        let slots = self.livekit.0.calls.slots().clone();
        let has_room = |taken: &usize| *taken < slots.capacity() && !slots.is_draining();
        // The slots live as long as we do.
        let _ = self.slots.wait_for(has_room).await;
    }

    /// Looks at the rooms that are due, one after the other.
    async fn round(&mut self) -> Result<(), ServerError> {
        let livekit = self.livekit.clone();
        let prefix = &self.config.room_prefix;
        let rooms = livekit.0.server.rooms().await?.into_iter();
        let rooms = rooms.filter(|room| room.name.starts_with(prefix)).take(ROOMS_MAX);
        let rooms: Vec<_> = rooms.collect();
        self.remember(&rooms);
        for room in self.due(rooms) {
            let people = livekit.0.server.people(&room.name).await?;
            if let Some(waiting) = self.judge(room, &people) {
                livekit.spawn(answer(livekit.clone(), waiting));
            }
        }
        Ok(())
    }

    /// Forgets rooms that are gone; those of the same name are others.
    fn remember(&mut self, rooms: &[Room]) {
        let mut known = std::mem::take(&mut self.rooms);
        let now = Instant::now();
        for room in rooms {
            let look = known.remove(&room.name).filter(|look| look.sid == room.sid);
            let new = || Look { sid: room.sid.clone(), next: now, tries: 0, ringing: None };
            self.rooms.insert(room.name.clone(), look.unwrap_or_else(new));
        }
    }

    /// The rooms to look at now, those that have waited longest first.
    fn due(&self, rooms: Vec<Room>) -> Vec<Room> {
        let now = Instant::now();
        let known = |room: &Room| Known { room_sid: Some(room.sid.clone()), sip_call: None };
        let mut due: Vec<_> = rooms
            .into_iter()
            .filter(|room| !self.livekit.0.claims.has(&room.name, &known(room)))
            .filter_map(|room| Some((self.rooms.get(&room.name)?.next, room)))
            .filter(|(next, _)| *next <= now)
            .collect();
        due.sort_by_key(|(next, _)| *next);
        due.into_iter().take(LOOKS_MAX).map(|(_, room)| room).collect()
    }

    /// Whether somebody in a room waits in vain, and when to look there again.
    fn judge(&mut self, room: Room, people: &[ParticipantInfo]) -> Option<Waiting> {
        let look = self.rooms.get_mut(&room.name)?;
        let now = Instant::now();
        let caller = people.iter().find(|them| is_ringing(them));
        let Some(caller) = caller.filter(|_| !people.iter().any(is_agent)) else {
            (look.ringing, look.next) = (None, now + SETTLED);
            return None;
        };
        if look.ringing.as_ref().is_none_or(|(sid, _)| *sid != caller.sid) {
            (look.ringing, look.tries) = (Some((caller.sid.clone(), now)), 0);
        }
        let seen = look.ringing.as_ref().map_or(Duration::ZERO, |(_, since)| now - *since);
        let waited = seen.max(age(caller, OffsetDateTime::now_utc()));
        if waited < WAIT {
            return None;
        }
        if look.tries >= TRIES {
            look.next = now + SETTLED;
            return None;
        }
        (look.tries, look.next) = (look.tries + 1, now + RETRY);
        Some(Waiting { room, caller: caller.clone(), waited })
    }
}

/// Answers a caller whom nobody was given, unless somebody is faster.
async fn answer(livekit: Livekit, waiting: Waiting) {
    let Waiting { room, caller, waited } = waiting;
    let began = Instant::now();
    let slots = livekit.0.calls.slots();
    let load = slots.taken() as f64 / slots.capacity() as f64;
    // Whoever has more room is faster.
    sleep(STAGGER.mul_f64((load + random()) / 2.0)).await;
    let Ok(people) = livekit.0.server.people(&room.name).await else { return };
    let still = people.iter().any(|them| them.sid == caller.sid && is_ringing(them));
    if !still || people.iter().any(is_agent) {
        return;
    }
    let known = Known { room_sid: Some(room.sid), ..Known::of(&caller) };
    let call_id = uuid::Uuid::new_v4().to_string();
    let Ok(place) = livekit.take(&room.name, known, &call_id) else { return };
    count(&livekit.0.counts.rescues);
    let waited_ms = (waited + began.elapsed()).as_millis() as u64;
    tracing::warn!(
        room = room.name,
        call_id,
        waited_ms,
        "nobody was given this caller: answered by the watcher"
    );
    let facts = facts(&caller, CallDirection::Inbound, call_id);
    let arrival = Arrival::new(room.name, Who::Identity(caller.identity), facts);
    livekit.answer(place, arrival).await;
}

/// Whether it is a caller by telephone whom nobody has answered: one that a dispatch rule has let
/// in. Whom LiveKit has called has no rule.
fn is_ringing(them: &ParticipantInfo) -> bool {
    let is = |name: &str, value: &str| them.attributes.get(name).is_some_and(|is| is == value);
    them.kind() == participant_info::Kind::Sip
        && them.state() != participant_info::State::Disconnected
        && is("sip.callStatus", "ringing")
        && them.attributes.get("sip.ruleID").is_some_and(|rule| !rule.is_empty())
}

/// Whether somebody is there for the caller, of us or not.
fn is_agent(them: &ParticipantInfo) -> bool {
    let gone = them.state() == participant_info::State::Disconnected;
    is_ours(them) || (them.kind() == participant_info::Kind::Agent && !gone)
}

/// How long somebody has been there by the server's clock. Where ours is ahead of it we are only
/// earlier than others, and where it is behind, [`Look::ringing`] counts.
fn age(them: &ParticipantInfo, now: OffsetDateTime) -> Duration {
    let now_ms = now.unix_timestamp_nanos() / 1_000_000;
    let ms = now_ms - i128::from(them.joined_at_ms);
    match them.joined_at_ms {
        0 => Duration::ZERO,
        _ => Duration::from_millis(ms.clamp(0, AGE_MAX_MS) as u64),
    }
}

/// Nobody has come to a caller for so long: LiveKit's own dispatch takes a quarter of a second.
const WAIT: Duration = Duration::from_secs(2);
/// Between the fastest and the slowest worker that finds the same caller.
const STAGGER: Duration = Duration::from_millis(400);
/// A room with nobody to answer is looked at again after this,
const SETTLED: Duration = Duration::from_secs(5);
/// one where answering failed after this,
const RETRY: Duration = Duration::from_secs(8);
/// so often at most.
const TRIES: u32 = 3;
/// Rooms of one list that are considered, and looked at in one round.
const ROOMS_MAX: usize = 8_192;
const LOOKS_MAX: usize = 32;
/// From round to round while looking fails; the configured period, when that is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(15);
const PERIOD_MIN: Duration = Duration::from_millis(500);
/// Clocks that are further apart than this agree on nothing.
const AGE_MAX_MS: i128 = 600_000;

#[cfg(test)]
mod tests;
