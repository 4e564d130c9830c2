//! A job of LiveKit's: whom it is about, and what becomes of it.

use std::collections::HashMap;

use livekit_protocol::{
    AvailabilityRequest, AvailabilityResponse, Job, JobAssignment, JobStatus, ParticipantInfo,
    UpdateJobStatus, participant_info,
};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::OFFER_LIMIT;
use crate::calls::{CallDirection, Refusal};
use crate::livekit::Livekit;
use crate::livekit::arrival::{Arrival, Outcome, Place, facts};
use crate::livekit::caller::Who;
use crate::livekit::claims::{self, Known, NotTaken, Offer};
use crate::livekit::counts::{ANSWERED, AT_CAPACITY, DRAINING, LAPSED, NO_CALLER, count};
use crate::livekit::token::Ticket;

/// The jobs of one connection.
#[derive(Debug)]
pub(super) struct Jobs {
    livekit: Livekit,
    offered: HashMap<String, Offered>,
    running: HashMap<String, Running>,
    /// What becomes of them.
    tell: mpsc::Sender<UpdateJobStatus>,
}

/// One that we have said yes to.
#[derive(Debug)]
struct Offered {
    offer: Offer,
    wanted: Wanted,
    until: Instant,
}

/// One whose call goes on.
#[derive(Debug)]
struct Running {
    room: String,
    dispatch_id: String,
    stop: CancellationToken,
}

/// What a job wants answered.
#[derive(Debug, Clone)]
struct Wanted {
    room: String,
    call_id: String,
    bot_id: Option<String>,
    caller: ParticipantInfo,
    direction: CallDirection,
}

/// What a dispatch may say in its metadata, in JSON. Anything else is passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    call_id: Option<String>,
    bot_id: Option<String>,
}

impl Jobs {
    pub(super) fn new(livekit: Livekit, tell: mpsc::Sender<UpdateJobStatus>) -> Self {
        Self { livekit, offered: HashMap::new(), running: HashMap::new(), tell }
    }

    /// A job is offered. A slot is taken before the answer.
    pub(super) fn offered(&mut self, request: AvailabilityRequest) -> Option<AvailabilityResponse> {
        let counts = &self.livekit.0.counts;
        count(&counts.offered);
        let job = request.job?;
        let no = |reason: &'static str, terminate: bool| {
            counts.refused(reason);
            let (job_id, room) = (&job.id, job.room.as_ref().map(|room| room.name.as_str()));
            tracing::info!(job_id, room, reason, "a job of LiveKit's is not taken");
            AvailabilityResponse { job_id: job.id.clone(), terminate, ..Default::default() }
        };
        // Nobody else of us has anything to do for it either.
        let Some((wanted, known)) = Wanted::of(&job) else { return Some(no(NO_CALLER, true)) };
        let admit = || self.livekit.0.calls.admit();
        let offer = self.livekit.0.claims.offer(&wanted.room, known, &wanted.call_id, admit);
        let offer = match offer {
            Ok(offer) => offer,
            Err(NotTaken::Already(_)) => return Some(no(ANSWERED, true)),
            Err(NotTaken::Refused(Refusal::Full)) => return Some(no(AT_CAPACITY, false)),
            Err(NotTaken::Refused(Refusal::Draining)) => return Some(no(DRAINING, false)),
        };
        let until = Instant::now() + OFFER_LIMIT;
        self.offered.insert(job.id.clone(), Offered { offer, wanted, until });
        Some(AvailabilityResponse {
            job_id: job.id,
            available: true,
            participant_name: "vox".into(),
            participant_identity: claims::identity(),
            ..AvailabilityResponse::default()
        })
    }

    /// No more of them: a job that is offered now is somebody else's.
    pub(super) fn refuse(&self, request: AvailabilityRequest) -> Option<AvailabilityResponse> {
        count(&self.livekit.0.counts.offered);
        self.livekit.0.counts.refused(DRAINING);
        Some(AvailabilityResponse { job_id: request.job?.id, ..AvailabilityResponse::default() })
    }

    /// A job is ours.
    pub(super) fn assigned(&mut self, assignment: JobAssignment) {
        let Some(job) = assignment.job else { return };
        let Some(offered) = self.offered.remove(&job.id) else {
            tracing::warn!(job_id = job.id, "LiveKit assigns a job that we did not wait for");
            return self.say(job.id, JobStatus::JsFailed, "the offer has lapsed");
        };
        let Some((claim, slot)) = offered.offer.take() else {
            // Another way has brought the call meanwhile, and has the place.
            self.livekit.0.counts.refused(ANSWERED);
            return self.say(job.id, JobStatus::JsSuccess, "");
        };
        count(&self.livekit.0.counts.taken);
        let url = assignment.url.filter(|url| !url.is_empty());
        let url = url.unwrap_or_else(|| self.livekit.0.config.url.clone());
        let stop = CancellationToken::new();
        let arrival = offered.wanted.arrival(Ticket { url, token: assignment.token }, stop.clone());
        tracing::info!(
            job_id = job.id,
            room = arrival.room,
            call_id = arrival.facts.stream_id,
            caller = arrival.facts.caller,
            dialed = arrival.facts.dialed,
            "a job of LiveKit's is taken"
        );
        let (room, dispatch_id) = (arrival.room.clone(), job.dispatch_id);
        self.running.insert(job.id.clone(), Running { room, dispatch_id, stop });
        self.say(job.id.clone(), JobStatus::JsRunning, "");
        let (livekit, tell) = (self.livekit.clone(), self.tell.clone());
        let place = Place { slot, claim: Some(claim) };
        self.livekit.spawn(async move {
            let outcome = livekit.answer(place, arrival).await;
            let (status, error) = match outcome {
                Outcome::Answered | Outcome::Elsewhere => (JobStatus::JsSuccess, String::new()),
                Outcome::Failed(why) => (JobStatus::JsFailed, why),
            };
            let update = UpdateJobStatus { job_id: job.id, status: status.into(), error };
            // A connection that is gone has no jobs any more.
            let _ = tell.send(update).await;
        });
    }

    /// LiveKit has ended a job: because its dispatch is no more, which ends the call; or because we
    /// have left the room, which a call also does that comes back into it.
    pub(super) fn terminated(&mut self, job_id: &str) {
        self.offered.remove(job_id);
        let Some(Running { room, dispatch_id, stop }) = self.running.remove(job_id) else { return };
        let livekit = self.livekit.clone();
        self.livekit.spawn(async move {
            match livekit.0.server.is_dispatched(&room, &dispatch_id).await {
                Ok(false) => stop.cancel(),
                Ok(true) => {}
                // If it is no more we are put out of the room in a moment.
                Err(error) => tracing::warn!(room, "is a dispatch still there: {error}"),
            }
        });
    }

    /// A job has come to its end, when `update` says so.
    pub(super) fn update(&mut self, update: &UpdateJobStatus) {
        if matches!(update.status(), JobStatus::JsSuccess | JobStatus::JsFailed) {
            self.running.remove(&update.job_id);
        }
    }

    /// When the next offer lapses.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.offered.values().map(|offered| offered.until).min()
    }

    /// Gives back the places of offers that came to nothing.
    pub(super) fn lapse(&mut self) {
        let now = Instant::now();
        let counts = &self.livekit.0.counts;
        self.offered.retain(|job_id, offered| {
            let lapsed = offered.until <= now;
            if lapsed {
                counts.refused(LAPSED);
                tracing::warn!(job_id, "LiveKit offered a job and never assigned it");
            }
            !lapsed
        });
    }

    /// Jobs that run.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// Nothing runs, and nothing was promised.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.offered.is_empty()
    }

    fn say(&self, job_id: String, status: JobStatus, error: &str) {
        let update = UpdateJobStatus { job_id, status: status.into(), error: error.to_owned() };
        if self.tell.try_send(update).is_err() {
            tracing::warn!("a job's state is not told to LiveKit: too many wait");
        }
    }
}

impl Wanted {
    /// `None` when nobody calls us: a job is made for everybody who joins.
    fn of(job: &Job) -> Option<(Self, Known)> {
        let room = job.room.as_ref()?;
        let caller = job.participant.clone()?;
        let metadata: Metadata = serde_json::from_str(&job.metadata).unwrap_or_default();
        let is =
            |status: &str| caller.attributes.get("sip.callStatus").is_some_and(|is| is == status);
        if caller.kind() != participant_info::Kind::Sip || is("hangup") {
            return None;
        }
        // Somebody whom LiveKit has called is no caller: only a bot that is named has business here.
        let inbound = caller.attributes.contains_key("sip.ruleID");
        if !inbound && metadata.bot_id.is_none() {
            return None;
        }
        let known = Known { room_sid: Some(room.sid.clone()), ..Known::of(&caller) };
        let wanted = Self {
            room: room.name.clone(),
            call_id: metadata.call_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
            bot_id: metadata.bot_id,
            caller,
            direction: if inbound { CallDirection::Inbound } else { CallDirection::Outbound },
        };
        Some((wanted, known))
    }

    fn arrival(self, ticket: Ticket, stop: CancellationToken) -> Arrival {
        let facts = facts(&self.caller, self.direction, self.call_id);
        let mut arrival = Arrival::new(self.room, Who::Identity(self.caller.identity), facts);
        arrival.opening.wanted.bot_id = self.bot_id;
        (arrival.ticket, arrival.stop) = (Some(ticket), stop);
        arrival
    }
}

#[cfg(test)]
pub(super) mod tests;
