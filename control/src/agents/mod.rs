//! Brains on the other end of calls: one WebSocket a call, all of them on one thread.
//!
//! ```text
//!  shard ── AgentPort ══ rings ══ AgentLine ── session ── dialect ── WebSocket ── brain
//!            (vox-call)              └────────── hub's thread ──────────┘
//! ```
//!
//! Read in this order: `dialect` (the languages, sans-IO) → `session` (one call's brain, and what
//! becomes of it when it is gone) → `live` (its answered call) and `up` (its open socket: audio,
//! news, messages) → `hub` (the thread: one look at the sockets every 2 ms at most, however many
//! there are) → `names`, `connect`, `stream` and `upgrade` (DNS, TCP, TLS, the way to a WebSocket) →
//! `socket` and `websocket` (its messages) → `leaving` (the last words, and the end).
//!
//! What this module does not do: decide what a wish of the brain means for the call (`Asked` goes
//! to [`Calls`](crate::calls::Calls)), sockets that are opened towards us.

mod connect;
mod counts;
pub(crate) mod dialect;
mod hub;
mod leaving;
mod live;
mod names;
mod session;
mod sessions;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod up;
mod upgrade;
pub mod websocket;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use vox_call::CallId;
use vox_call::pipeline::AgentLine;
use vox_contracts::{AgentProtocol, Object};
use vox_engine::AgentsBell;

pub use connect::Address;
pub use counts::Counts;
pub(crate) use dialect::{Act, StartFacts, Stop};

use hub::{Hub, Order};
use session::Session;

/// How a bot's brain is reached, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct SocketPlan {
    pub(crate) address: Address,
    pub(crate) protocol: AgentProtocol,
    /// Rate of the audio, where the protocol leaves it open.
    pub(crate) sample_rate: Option<u32>,
    /// The caller's speech stops the agent's audio: after so much of it what was queued is dropped.
    pub(crate) barge_in: Option<Duration>,
    /// Passed on in the start message.
    pub(crate) custom_parameters: Object,
    /// Settings of the session (OpenAI's `session` object).
    pub(crate) session: Object,
    pub(crate) limits: SocketLimits,
    /// What becomes of the call when the brain is gone for good.
    pub(crate) on_gone: OnGone,
}

/// Limits on a brain's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketLimits {
    /// From the first packet of the connection to the end of the upgrade.
    pub(crate) connect: Duration,
    /// Connections after the first, in a row.
    pub(crate) reconnects: u32,
    /// Without a word (a pong, too) from the brain.
    pub(crate) idle: Duration,
    /// Audio that the brain may be ahead of the caller's ear. Then its socket is not read.
    pub(crate) ahead: Duration,
}

/// What becomes of a call whose brain is gone for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OnGone {
    /// It ends.
    HangUp,
    /// A recording says sorry, then it ends.
    Apologise(PathBuf),
    /// It goes on in silence.
    GoOn,
}

/// What a brain asks of its call, or what is told of the brain.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) call: CallId,
    pub(crate) what: Ask,
}

/// See [`Asked`].
#[derive(Debug)]
pub(crate) enum Ask {
    /// The brain wants this.
    Act(Act),
    /// For the call's events.
    Note(&'static str, serde_json::Value),
    /// The brain is gone for good.
    Gone {
        /// In words, without secrets.
        why: String,
    },
    /// The brain has said what was to be said before a transfer, or does not want to.
    Announced,
    /// Audio of the brain was dropped unheard.
    Cut,
    /// The brain ended the conversation, as its protocol has it.
    Left,
}

/// What is told to a brain besides what its line says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AgentNews {
    /// The caller pressed a key.
    Digit(char),
    /// The call ends soon.
    Warning {
        /// Until then.
        seconds_left: u32,
    },
    /// Neither side has spoken for a while.
    ReEngage {
        /// 1 for the first time.
        attempt: u32,
        /// To be said.
        message: String,
    },
    /// A transfer comes, once what the brain says is heard ([`Ask::Announced`]).
    PreTransfer {
        /// To be said before.
        message: Option<String>,
    },
    /// What became of a transfer.
    Transfer {
        /// `None`: it worked.
        failed: Option<String>,
    },
    /// What the brain asked for cannot be done.
    Refused {
        /// Which act.
        act: &'static str,
        /// In words.
        why: String,
    },
}

/// All brains of a worker. Cheap to clone; the thread ends with the last clone.
#[derive(Debug, Clone)]
pub struct Agents(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    orders: std::sync::mpsc::Sender<Order>,
    waker: Arc<mio::Waker>,
    ids: AtomicU64,
    counts: Arc<Counts>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Agents {
    /// Starts the thread. What brains ask for goes to `asked`.
    pub(crate) fn start(
        bell: AgentsBell,
        asked: mpsc::Sender<Asked>,
        runtime: tokio::runtime::Handle,
    ) -> std::io::Result<Self> {
        let counts = Arc::new(Counts::default());
        let (orders, taken) = std::sync::mpsc::channel();
        let hub = Hub::new(bell, taken, orders.clone(), asked, runtime, counts.clone())?;
        let waker = hub.waker();
        let thread = std::thread::Builder::new().name("vox-agents".into());
        let thread = Mutex::new(Some(thread.spawn(move || hub.run())?));
        let ids = AtomicU64::new(0);
        Ok(Self(Arc::new(Inner { orders, waker, ids, counts, thread })))
    }

    /// Says goodbye to brains that are left and ends the thread. Blocks until all of them, those of
    /// calls that ended just now among them, have heard the last words, for 2 s at most.
    pub(crate) fn stop(&self) {
        self.order(Order::Stop);
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the brains' thread fell over");
        }
    }

    /// Opens a brain's socket for `call`, which may still ring.
    pub(crate) fn open(&self, call: CallId, plan: &SocketPlan, facts: StartFacts) -> AgentHandle {
        let id = self.0.ids.fetch_add(1, Ordering::Relaxed);
        let session = Session::new(id, call, plan.clone(), facts, self.0.counts.clone());
        let said = session.said();
        self.order(Order::Open(Box::new(session)));
        AgentHandle { id, agents: self.clone(), said, why: Stop::CallEnded }
    }

    /// What all of them counted.
    pub fn counts(&self) -> Arc<Counts> {
        self.0.counts.clone()
    }

    fn order(&self, order: Order) {
        // Only a thread that fell over is not there: its lines are closed then, and calls end.
        if self.0.orders.send(order).is_ok() {
            let _ = self.0.waker.wake();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Stop);
        let _ = self.waker.wake();
    }
}

/// One call's brain. Dropping it says goodbye and closes its socket.
#[derive(Debug)]
pub(crate) struct AgentHandle {
    id: u64,
    agents: Agents,
    said: Arc<AtomicU64>,
    why: Stop,
}

impl AgentHandle {
    /// Says goodbye, and why.
    pub(crate) fn leave(mut self, why: Stop) {
        self.why = why;
    }

    /// The call is answered with this codec.
    pub(crate) fn answered(&self, line: AgentLine, codec: &'static str) {
        self.agents.order(Order::Live(self.id, Box::new(line), codec));
    }

    /// Samples of the brain's audio that were played, in all.
    pub(crate) fn said(&self) -> u64 {
        self.said.load(Ordering::Relaxed)
    }

    /// Tells the brain.
    pub(crate) fn tell(&self, news: AgentNews) {
        self.agents.order(Order::Tell(self.id, news));
    }
}

impl Drop for AgentHandle {
    fn drop(&mut self) {
        self.agents.order(Order::Leave(self.id, self.why));
    }
}
