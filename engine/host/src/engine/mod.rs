//! The handle that control holds, and what it sees.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use vox_call::hearing::Vad;
use vox_call::pipeline::{Agent, Prompt};
use vox_call::{Call, CallId, CallSetup, Command, Digits, MediaSession, Negotiation, Peer, Reason};
use vox_ring::sys::EventFd;

mod bell;
mod events;
mod link;
mod options;
mod stats;

use crate::ports::{Ports, Released};
use crate::recorder::{self, Recorder};
use crate::shard::{self, Bells, ShardError, ShardParts};
use crate::start::{self, StartError};
pub use bell::AgentsBell;
pub use events::Events;
use link::{Admission, Link, shard_of};
pub use options::{CallOptions, EngineConfig, EngineEvent, Opened, RecordingOptions, Refused};
pub use stats::Stats;

/// The handle that control holds: ten commands, cheap to clone, callable from any thread. When the
/// last clone goes, the engine stops.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    links: Arc<[Link]>,
    ports: Ports,
    recorder: Recorder,
    bell: AgentsBell,
    draining: AtomicBool,
    /// Shards' threads; empty once stopped.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Starts the shards and the recorder. What cannot work is said before any port is bound.
    pub fn start(config: EngineConfig) -> Result<(Self, Events), StartError> {
        start::check(&config)?;
        let ready = Arc::new(EventFd::new().map_err(StartError::Thread)?);
        let (recorded, recordings) = mpsc::channel();
        let recorder = Recorder::start(recorded, ready.clone()).map_err(StartError::Thread)?;
        let bell = AgentsBell::new().map_err(StartError::Thread)?;
        let bells = Bells { control: ready.clone(), agents: bell.rope() };
        let shards = Shards::start(&config, &bells)?;
        let ports = Ports::new(config.bind, &config.ports, config.port_quarantine, shards.returned);
        let links: Arc<[Link]> = shards.links.into();
        let events = Events::new(ready, shards.events, recordings, links.clone());
        let draining = AtomicBool::new(false);
        let threads = Mutex::new(shards.threads);
        let inner = Inner { links, ports, recorder, bell, draining, threads };
        Ok((Self { inner: Arc::new(inner) }, events))
    }

    /// Takes a slot and a port pair; on success the call exists until its `Ended` event.
    pub fn open(&self, options: CallOptions) -> Result<Opened, Refused> {
        let inner = &*self.inner;
        if inner.draining.load(Ordering::Acquire) {
            return Err(Refused::Draining);
        }
        let admission = inner.admit().ok_or(Refused::AtCapacity)?;
        let sockets = inner.ports.bind_pair(Instant::now()).map_err(|error| {
            tracing::warn!(%error, "no RTP port pair could be bound");
            Refused::NoPorts
        })?;
        let Ok(rtp) = sockets.rtp.local_addr() else {
            inner.ports.give_back(sockets);
            return Err(Refused::NoPorts);
        };
        let (tap, reader) = options.recording.as_ref().map(|_| recorder::tap()).unzip();
        let vad = options.vad.map(|options| Box::new(Vad::new(options)));
        let build = |call| {
            let (seed, cname) = identity(call);
            Call::new(CallSetup { call, limits: options.limits, seed, cname, tap, vad })
        };
        let call = admission.open(sockets, build).map_err(|(refused, sockets)| {
            inner.ports.give_back(sockets);
            refused
        })?;
        if let (Some(reader), Some(recording)) = (reader, options.recording) {
            inner.recorder.record(call, reader, recording);
        }
        Ok(Opened { call, rtp })
    }

    /// Media was agreed (first answer or re-INVITE).
    pub fn answer(&self, call: CallId, session: MediaSession) -> Result<(), Refused> {
        self.send(call, Command::Answer { call, session: Box::new(session) })
    }

    /// Puts an agent on the call.
    pub fn attach(&self, call: CallId, agent: Agent) -> Result<(), Refused> {
        self.send(call, Command::Attach { call, agent: Box::new(agent) })
    }

    /// Plays a prompt over the agent.
    pub fn play(&self, call: CallId, id: u32, prompt: Prompt) -> Result<(), Refused> {
        self.send(call, Command::Play { call, id, prompt })
    }

    /// Starts or stops recording in mid-call. A recording that is displaced or stopped is
    /// finished like any other.
    pub fn record(&self, call: CallId, recording: Option<RecordingOptions>) -> Result<(), Refused> {
        let Some(options) = recording else {
            return self.send(call, Command::Record { call, tap: None });
        };
        let (tap, reader) = recorder::tap();
        self.send(call, Command::Record { call, tap: Some(tap) })?;
        self.inner.recorder.record(call, reader, options);
        Ok(())
    }

    /// Sends digits to the caller.
    pub fn digits(&self, call: CallId, digits: Digits) -> Result<(), Refused> {
        self.send(call, Command::Digits { call, digits })
    }

    /// Ends a call; harmless (and `Ok`) when it is gone or closing. Never refused as busy.
    pub fn close(&self, call: CallId, reason: Reason) -> Result<(), Refused> {
        self.inner.link(call)?.close(call, reason);
        Ok(())
    }

    /// Refuses new calls from now on; those that live run to their end.
    pub fn drain(&self) {
        self.inner.drain();
    }

    /// Has the call's media go through `peer`, which has its answer, from now on.
    pub fn join(&self, call: CallId, peer: Peer) -> Result<(), Refused> {
        self.send(call, Command::Join { call, peer: Box::new(peer) })
    }

    /// Tells the call's peer what was signalled, or asks it for what is to be.
    pub fn negotiate(&self, call: CallId, step: Negotiation) -> Result<(), Refused> {
        self.send(call, Command::Negotiate { call, step })
    }

    /// Asks for a `Report` event.
    pub fn query(&self, call: CallId) -> Result<(), Refused> {
        self.send(call, Command::Query { call })
    }

    /// Rung when lines of agents that live elsewhere have something new; one for all shards.
    pub fn agents_bell(&self) -> AgentsBell {
        self.inner.bell.clone()
    }

    /// Counters, at most one slice (2 ms) old.
    pub fn stats(&self) -> Stats {
        let ports = self.inner.ports.counts(Instant::now());
        Stats::fold(ports, self.inner.links.iter().map(|link| link.shared().published()))
    }

    /// Slots taken now: calls whose `Ended` was not produced yet.
    pub fn taken(&self) -> usize {
        self.inner.links.iter().map(|link| link.shared().taken()).sum()
    }

    /// Ends every call that is left (as [`Reason::WorkerStopped`]), waits until their recordings
    /// are on disk, and joins the threads. Events stay readable. Harmless when repeated.
    pub fn stop(&self) {
        self.inner.stop();
    }

    fn send(&self, call: CallId, command: Command) -> Result<(), Refused> {
        self.inner.link(call)?.send(call, command)
    }
}

impl Inner {
    fn link(&self, call: CallId) -> Result<&Link, Refused> {
        self.links.get(shard_of(call)).ok_or(Refused::NoSuchCall)
    }

    /// Takes a slot on the shard with most of them free.
    fn admit(&self) -> Option<Admission<'_>> {
        let mut links: Vec<&Link> = self.links.iter().collect();
        links.sort_by_key(|link| link.shared().taken());
        links.into_iter().find_map(Link::admit)
    }

    fn drain(&self) {
        if !self.draining.swap(true, Ordering::AcqRel) {
            self.links.iter().for_each(Link::drain);
        }
    }

    fn stop(&self) {
        self.drain();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.is_empty() {
            return;
        }
        self.links.iter().for_each(Link::stop);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a shard's thread had panicked");
            }
        }
        self.recorder.stop();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Shards that run, and the ends of their rings.
#[derive(Default)]
struct Shards {
    links: Vec<Link>,
    events: Vec<rtrb::Consumer<vox_call::Event>>,
    returned: Vec<rtrb::Consumer<Released>>,
    threads: Vec<JoinHandle<()>>,
}

impl Shards {
    /// All of them, or none.
    fn start(config: &EngineConfig, bells: &Bells) -> Result<Self, StartError> {
        let mut shards = Self::default();
        for index in 0..config.shards() {
            if let Err(error) = shards.start_one(index, config, bells.clone()) {
                shards.links.iter().for_each(Link::stop);
                for thread in shards.threads {
                    // The error that is on its way out says more than a second one.
                    let _ = thread.join();
                }
                return Err(error);
            }
        }
        Ok(shards)
    }

    fn start_one(
        &mut self,
        index: usize,
        config: &EngineConfig,
        bells: Bells,
    ) -> Result<(), StartError> {
        let core = config.cores.get(index).copied();
        let (link, ends) =
            Link::new(index, config.calls_per_shard, core, bells).map_err(StartError::Thread)?;
        self.threads.push(spawn(index, ends.shard)?);
        self.links.push(link);
        self.events.push(ends.events);
        self.returned.push(ends.returned);
        Ok(())
    }
}

/// Starts a shard's thread and waits until it says that it can work.
fn spawn(index: usize, parts: ShardParts) -> Result<JoinHandle<()>, StartError> {
    let (started, answer) = mpsc::channel::<Result<(), ShardError>>();
    let thread = std::thread::Builder::new()
        .name(format!("vox-shard-{index}"))
        .spawn(move || {
            shard::run(parts, |result| {
                // The starter waits for exactly this.
                let _ = started.send(result);
            });
        })
        .map_err(StartError::Thread)?;
    match answer.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(start::explain_shard(error)),
        Err(_) => Err(StartError::Thread(std::io::Error::other("a shard's thread panicked"))),
    }
}

/// Unpredictable numbers for a call: the seed of its RTP identifiers, and a CNAME of 96 random
/// bits (RFC 7022 §4.2). Drawn from the keys that std takes from the system.
fn identity(call: CallId) -> (u64, [u8; 16]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let random = RandomState::new();
    let bits =
        u128::from(random.hash_one((call.0, 1))) << 64 | u128::from(random.hash_one((call.0, 2)));
    let cname = std::array::from_fn(|i| ALPHABET[(bits >> (i * 6)) as usize & 63]);
    (random.hash_one((call.0, 3)), cname)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vox_call::{Event, Limits};

    use super::*;

    #[test]
    fn a_shard_that_falls_over_ends_its_calls_once_and_gives_everything_back() {
        let (engine, mut events) = Engine::start(EngineConfig {
            bind: [127, 0, 0, 1].into(),
            ports: 28_000..=28_099,
            cores: vec![],
            calls_per_shard: 4,
            port_quarantine: Duration::ZERO,
        })
        .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let minute = Duration::from_secs(60);
        let limits = Limits { answer: minute, no_audio: minute, duration: minute };
        let recording = |n| {
            let path = dir.path().join(format!("{n}.wav"));
            Some(RecordingOptions { path, rate_hz: 8_000, channels: 2 })
        };
        let calls: Vec<_> = (0..3)
            .map(|n| {
                engine
                    .open(CallOptions { limits, recording: recording(n), vad: None })
                    .unwrap()
                    .call
            })
            .collect();
        engine.close(calls[2], Reason::BotHungUp).unwrap();
        engine.inner.links[0].panic();
        // Behind the panic in the queue, or after it: nobody takes this one any more.
        let late =
            engine.open(CallOptions { limits, recording: recording(3), vad: None }).map(|o| o.call);
        let all: Vec<_> = calls.iter().copied().chain(late.ok()).collect();

        let (mut ended, mut died, mut recorded) = (vec![], 0, 0);
        while ended.len() < all.len() || died == 0 || recorded < all.len() {
            assert!(events.wait(Duration::from_secs(10)), "{ended:?} {died} {recorded}");
            events.drain(|event| match event {
                EngineEvent::Call(Event::Ended { call, ending, .. }) => {
                    ended.push((call, ending.reason));
                }
                EngineEvent::ShardDied { shard: 0 } => died += 1,
                EngineEvent::Recorded { error: None, .. } => recorded += 1,
                _ => {}
            });
        }
        ended.sort_by_key(|(call, _)| *call);
        let reasons = [Reason::Fault, Reason::Fault, Reason::BotHungUp, Reason::Fault];
        assert_eq!(ended, all.into_iter().zip(reasons).collect::<Vec<_>>());
        assert_eq!((engine.taken(), engine.stats().ports_used, died), (0, 0, 1));
        let again = engine.open(CallOptions { limits, recording: None, vad: None });
        assert_eq!(again.unwrap_err(), Refused::AtCapacity);
        engine.stop();
        events.drain(|event| panic!("nothing follows: {event:?}"));
    }
}
