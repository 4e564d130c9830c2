//! One registered connection to a server's `/agent`.

use std::time::Duration;

use bytes::Bytes;
use livekit_protocol::{
    JobType, RegisterWorkerRequest, ServerMessage, UpdateJobStatus, WorkerMessage, WorkerPing,
    server_message, worker_message,
};
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::jobs::Jobs;
use super::status;
use crate::livekit::Livekit;
use crate::livekit::counts::count;
use crate::livekit::signal::SignalError;
use crate::livekit::token;
use crate::livekit::wire::{Frame, Wire};

/// A connection over which jobs come.
#[derive(Debug)]
pub(super) struct Line {
    livekit: Livekit,
    wire: Wire,
    jobs: Jobs,
    /// What becomes of jobs.
    updates: mpsc::Receiver<UpdateJobStatus>,
    /// Slots taken.
    taken: watch::Receiver<usize>,
    /// When the server was heard, told of our load, and asked for a sign of life last.
    heard: Instant,
    told: Instant,
    asked: Instant,
    /// Our load has changed since the server was told.
    is_stale: bool,
    /// Unreadable messages are logged once a connection, and counted.
    has_complained: bool,
    /// The server has no more jobs for us here.
    is_leaving: bool,
}

/// Why a connection is not used for new jobs any more.
#[derive(Debug)]
pub(super) enum End {
    /// It is gone.
    Lost(SignalError),
    /// The server sends us elsewhere; jobs that run go on here.
    GoAway,
}

/// What happened.
enum Coming {
    Frame(Result<Frame, SignalError>),
    Update(UpdateJobStatus),
    Load,
    Time,
}

impl Line {
    /// Connects and registers as `agent_name`, which is what dispatches name.
    pub(super) async fn register(livekit: &Livekit, agent_name: &str) -> Result<Self, SignalError> {
        let config = &livekit.0.config;
        let token = token::agent(config).map_err(SignalError::Unreadable)?;
        let mut wire = Wire::connect(&config.url, "/agent", &token).await?;
        let request = RegisterWorkerRequest {
            r#type: JobType::JtParticipant.into(),
            agent_name: agent_name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..RegisterWorkerRequest::default()
        };
        send(&mut wire, worker_message::Message::Register(request)).await?;
        let late = |_| SignalError::Late(REGISTER_LIMIT);
        let worker_id = timeout(REGISTER_LIMIT, registered(&mut wire)).await.map_err(late)??;
        tracing::info!(agent_name, worker_id, "registered: LiveKit offers this worker calls");
        let (tell, updates) = mpsc::channel(UPDATES);
        let now = Instant::now();
        Ok(Self {
            livekit: livekit.clone(),
            wire,
            jobs: Jobs::new(livekit.clone(), tell),
            updates,
            taken: livekit.0.calls.slots().changes(),
            heard: now,
            told: now,
            asked: now,
            is_stale: true,
            has_complained: false,
            is_leaving: false,
        })
    }

    /// Takes jobs until the connection is lost or the server sends us elsewhere.
    pub(super) async fn serve(&mut self) -> End {
        loop {
            let coming = self.next().await;
            match self.take(coming).await {
                Ok(()) if self.is_leaving => return End::GoAway,
                Ok(()) => {}
                Err(error) => return End::Lost(error),
            }
        }
    }

    /// Sees the jobs that run to their end, and takes no more.
    pub(super) async fn see_out(mut self) {
        self.is_stale = true;
        while !self.jobs.is_idle() {
            let coming = self.next().await;
            if let Err(error) = self.take(coming).await {
                tracing::debug!("a connection that was being left is lost: {error}");
                return;
            }
        }
    }

    async fn next(&mut self) -> Coming {
        let wake = self.wake();
        tokio::select! {
            frame = self.wire.next() => Coming::Frame(frame),
            Some(update) = self.updates.recv() => Coming::Update(update),
            Ok(()) = self.taken.changed() => Coming::Load,
            () = sleep_until(wake) => Coming::Time,
        }
    }

    /// When something is due even if nothing happens.
    fn wake(&self) -> Instant {
        let tell = self.told + if self.is_stale { COALESCE } else { TELL };
        let own = tell.min(self.asked + ASK).min(self.heard + SILENCE);
        self.jobs.deadline().map_or(own, |lapse| lapse.min(own))
    }

    async fn take(&mut self, coming: Coming) -> Result<(), SignalError> {
        match coming {
            Coming::Frame(frame) => self.frame(frame?).await?,
            Coming::Update(update) => {
                self.jobs.update(&update);
                self.send(worker_message::Message::UpdateJob(update)).await?;
            }
            Coming::Load => self.is_stale = true,
            Coming::Time => {}
        }
        self.due().await
    }

    /// Does what is due.
    async fn due(&mut self) -> Result<(), SignalError> {
        let now = Instant::now();
        if now >= self.heard + SILENCE {
            return Err(SignalError::Late(SILENCE));
        }
        self.jobs.lapse();
        if now >= self.asked + ASK {
            self.asked = now;
            let timestamp = time::OffsetDateTime::now_utc().unix_timestamp() * 1_000;
            self.send(worker_message::Message::Ping(WorkerPing { timestamp })).await?;
        }
        if now >= self.told + if self.is_stale { COALESCE } else { TELL } {
            (self.told, self.is_stale) = (now, false);
            let slots = self.livekit.0.calls.slots();
            let draining = self.is_leaving || slots.is_draining();
            let load = status(slots.taken(), slots.capacity(), draining, self.jobs.running());
            self.send(worker_message::Message::UpdateWorker(load)).await?;
        }
        Ok(())
    }

    async fn frame(&mut self, frame: Frame) -> Result<(), SignalError> {
        self.heard = Instant::now();
        let read = match frame {
            Frame::Binary(bytes) => read(bytes),
            Frame::Text => Err("expected bytes, found text".into()),
            Frame::Ping => return Ok(()),
        };
        match read {
            Ok(Some(message)) => self.message(message).await,
            // Of a kind that we do not know.
            Ok(None) => Ok(()),
            Err(why) => {
                count(&self.livekit.0.counts.unreadable);
                if !std::mem::replace(&mut self.has_complained, true) {
                    tracing::warn!("a message of LiveKit's cannot be read: {why}");
                }
                Ok(())
            }
        }
    }

    async fn message(&mut self, message: server_message::Message) -> Result<(), SignalError> {
        use server_message::Message;
        match message {
            Message::Availability(request) => {
                let answer = match self.is_leaving {
                    true => self.jobs.refuse(request),
                    false => self.jobs.offered(request),
                };
                if let Some(answer) = answer {
                    self.send(worker_message::Message::Availability(answer)).await?;
                }
            }
            Message::Assignment(assignment) => self.jobs.assigned(assignment),
            Message::Termination(termination) => self.jobs.terminated(&termination.job_id),
            Message::GoAway(_) => self.is_leaving = true,
            Message::Register(_) | Message::Pong(_) => {}
        }
        Ok(())
    }

    async fn send(&mut self, message: worker_message::Message) -> Result<(), SignalError> {
        send(&mut self.wire, message).await
    }
}

/// Waits until the server knows us; our id there.
async fn registered(wire: &mut Wire) -> Result<String, SignalError> {
    loop {
        let Frame::Binary(bytes) = wire.next().await? else { continue };
        if let Some(server_message::Message::Register(registered)) =
            read(bytes).map_err(SignalError::Unreadable)?
        {
            return Ok(registered.worker_id);
        }
    }
}

fn read(bytes: Bytes) -> Result<Option<server_message::Message>, String> {
    ServerMessage::decode(bytes).map(|said| said.message).map_err(|error| error.to_string())
}

async fn send(wire: &mut Wire, message: worker_message::Message) -> Result<(), SignalError> {
    wire.send(WorkerMessage { message: Some(message) }.encode_to_vec()).await
}

/// For the server to know us, which it allows itself to take.
const REGISTER_LIMIT: Duration = Duration::from_secs(10);
/// A server is told of our load this often when nothing changes,
const TELL: Duration = Duration::from_millis(2_500);
/// and not more often than this when it does.
const COALESCE: Duration = Duration::from_millis(20);
/// A server is asked for a sign of life this often,
const ASK: Duration = Duration::from_secs(10);
/// and is gone when none came for so long.
const SILENCE: Duration = Duration::from_secs(30);
/// States of jobs that wait to be told: two a call, while the server does not read.
const UPDATES: usize = 4_096;
