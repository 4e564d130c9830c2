//! A worker's life: built from its configuration, run, drained.

use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};
use vox_call::Reason;
use vox_engine::{Engine, EngineConfig};

use crate::bots::Bots;
use crate::calls::{CLOSE_LIMIT, Calls, Parts, Slots};
use crate::config::Config;
use crate::delivery::{Backoff, CutCalls, OpenCalls, Outbox, Spool, Store};
use crate::http::{Desk, HttpServer};
use crate::livekit::Livekit;
use crate::metrics::{Counters, Metrics};
use crate::sip::sdp::{MediaPolicy, Prefer};
use crate::sip::{SipConfig, SipServer};
use crate::telephony::Telephony;

/// A worker that takes calls.
pub struct Worker {
    calls: Calls,
    sip: SipServer,
    http: HttpServer,
    livekit: Option<Livekit>,
    outbox: Outbox,
    spool: Spool,
    names: Vec<(String, String)>,
    /// Held for as long as the worker lives: nobody else writes to its directory.
    _lock: File,
}

impl Worker {
    /// Builds everything in the order of what it needs. Nothing is bound before the files and the
    /// engine are there.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let data_dir = &config.worker.data_dir;
        let lock = lock(data_dir)?;
        let bots = Bots::load(&config.bots, data_dir)?.with_secret(config.worker.secret.clone());
        let names = bots.names();
        let store = Store::new(&config.storage)?;
        let open_calls = OpenCalls::open(data_dir.join("outbox/open"))
            .with_context(|| format!("the notes of open calls in {}", data_dir.display()))?;
        let cut = CutCalls::find(data_dir, &open_calls, &store)
            .await
            .with_context(|| format!("what a crash left in {}", data_dir.display()))?;
        let spool = Spool::open(data_dir.join("spool"), store, Backoff::default())
            .with_context(|| format!("the spool in {}", data_dir.display()))?;
        let secret = config.worker.secret.clone();
        let results = data_dir.join("results");
        let outbox = Outbox::open(data_dir.join("outbox"), results, secret, Backoff::default())
            .with_context(|| format!("the outbox in {}", data_dir.display()))?;
        let counters = Arc::new(Counters::default());
        for _ in 0..cut.file(&outbox, &spool).await {
            counters.ended("failed", "worker_crashed");
        }
        let slots = Slots::new(config.worker.max_calls);
        let (engine, events) = Engine::start(engine_config(config))?;
        let parts = Parts {
            slots: slots.clone(),
            engine: engine.clone(),
            bots,
            spool: spool.clone(),
            outbox: outbox.clone(),
            open_calls,
            counters: counters.clone(),
            answer_limit: config.media.answer,
        };
        let calls = Calls::start(parts, events)?;
        let sip = SipServer::start(sip_config(config), calls.clone()).await.with_context(|| {
            format!("SIP cannot listen on {}:{}", config.sip.bind, config.sip.port)
        })?;
        let livekit = config.livekit.clone().map(|config| Livekit::new(calls.clone(), config));
        let livekit = livekit.transpose()?;
        let mut metrics = Metrics::new(
            &counters,
            slots.clone(),
            engine,
            outbox.clone(),
            spool.clone(),
            sip.counter(),
            calls.agent_counts(),
        );
        if let Some(livekit) = &livekit {
            metrics = metrics.with_livekit(livekit.counts());
        }
        let telephony = Telephony::new(calls.clone(), (*counters).clone());
        let desk = Desk::new(&config.worker, &config.http, slots, metrics)
            .with_telephony(telephony)
            .with_livekit(livekit.clone());
        let http = HttpServer::start(&config.http, desk).await?;
        if let Some(livekit) = &livekit {
            livekit.start();
        }
        Ok(Self { calls, sip, http, livekit, outbox, spool, names, _lock: lock })
    }

    /// Where SIP listens.
    pub fn sip_addr(&self) -> SocketAddr {
        self.sip.local_addr()
    }

    /// Where HTTP listens on TCP.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http.local_addr()
    }

    /// Bots that can be called, with what they do; none when the Backend knows them.
    pub fn names(&self) -> &[(String, String)] {
        &self.names
    }

    /// Refuses new calls; resolves when the present ones have run to their end.
    pub async fn drain(&self) {
        self.calls.drain();
        self.calls.idle().await;
    }

    /// Ends what is left and everything else. Recordings and results are on disk afterwards.
    pub async fn stop(self) {
        self.calls.drain();
        self.calls.close_all(Reason::WorkerStopped);
        if tokio::time::timeout(CLOSE_LIMIT, self.calls.idle()).await.is_err() {
            tracing::error!("calls did not end within {} s", CLOSE_LIMIT.as_secs());
            self.calls.give_up().await;
        }
        if let Some(livekit) = &self.livekit {
            livekit.left().await;
        }
        self.calls.leave_brains().await;
        self.sip.stop().await;
        let delivered = async { tokio::join!(self.outbox.idle(), self.spool.idle()) };
        if tokio::time::timeout(DELIVER_LIMIT, delivered).await.is_err() {
            let (results, recordings) = (self.outbox.counts().pending, self.spool.counts().pending);
            tracing::warn!("{results} results and {recordings} recordings wait for the next start");
        }
        self.http.stop().await;
        let engine = self.calls.engine().clone();
        if let Err(error) = tokio::task::spawn_blocking(move || engine.stop()).await {
            tracing::error!("the engine did not stop in order: {error}");
        }
    }
}

/// Runs a worker until it is told to end: the first SIGTERM or Ctrl-C drains, the second stops. A
/// worker whose media engine fell over drains by itself and ends with an error, to be started again.
/// `started` sees the worker once it takes calls.
pub async fn run(config: Config, started: impl FnOnce(&Worker)) -> anyhow::Result<()> {
    let mut stops = Stops::new().context("signals")?;
    let worker = Worker::start(&config).await?;
    tracing::info!(
        worker_id = config.worker.id,
        sip = %worker.sip_addr(),
        socket = %config.http.socket.display(),
        max_calls = config.worker.max_calls,
        "taking calls"
    );
    started(&worker);
    let crippled = tokio::select! {
        () = stops.next() => false,
        () = worker.calls.crippled() => true,
    };
    match crippled {
        true => tracing::error!("draining: this process takes no more calls, and ends with them"),
        false => tracing::info!(
            calls = worker.calls.slots().taken(),
            "draining; once more to stop at once"
        ),
    }
    tokio::select! {
        () = worker.drain() => tracing::info!("drained"),
        () = stops.next() => tracing::warn!("stopping with {} calls", worker.calls.slots().taken()),
    }
    worker.stop().await;
    anyhow::ensure!(!crippled, "a media shard fell over: start this worker again");
    Ok(())
}

struct Stops {
    term: Signal,
    interrupt: Signal,
}

impl Stops {
    fn new() -> io::Result<Self> {
        let (term, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { term: signal(term)?, interrupt: signal(interrupt)? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn lock(data_dir: &Path) -> anyhow::Result<File> {
    let name = data_dir.display();
    std::fs::create_dir_all(data_dir).with_context(|| format!("{name} cannot be created"))?;
    let file = File::create(data_dir.join("lock"))
        .with_context(|| format!("{name} cannot be written to"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let own = "give this one its own (vox up: --dir, --sip-port, --http-port)";
            Err(anyhow!("{name} is in use by another worker: {own}"))
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{name} cannot be locked"))
        }
    }
}

fn engine_config(config: &Config) -> EngineConfig {
    let shards = config.media.cores.len().max(1);
    EngineConfig {
        bind: config.media.bind,
        ports: config.media.ports.clone(),
        cores: config.media.cores.clone(),
        calls_per_shard: config.worker.max_calls.div_ceil(shards),
        port_quarantine: config.media.port_quarantine,
    }
}

fn sip_config(config: &Config) -> SipConfig {
    let sip = &config.sip;
    let prefer = if sip.prefer_ours { Prefer::Ours } else { Prefer::Theirs };
    SipConfig {
        advertised: sip.advertise,
        ring_after: sip.ring_after,
        provisional: sip.provisional,
        media: MediaPolicy { codecs: sip.codecs.clone(), prefer },
        ..SipConfig::new(SocketAddr::new(sip.bind, sip.port))
    }
}

/// What is not delivered by then is delivered after the next start.
const DELIVER_LIMIT: Duration = Duration::from_secs(5);
