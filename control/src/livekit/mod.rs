//! LiveKit: calls that wait in a room.
//!
//! ```text
//!  LiveKit ── room, WebRTC ──► peer on the call's shard ─► engine
//!     ▲ signalling                    ▲
//!     └──────────── session ──────────┘   one task a call
//! ```
//!
//! A room's caller goes through the same door as a SIP caller, and the engine's limits, recording
//! and one close are the call's own. Start reading at `arrival` (the one door for all ways in) and
//! `call` (one call, from the room to the result), then `claims` (one call is answered once),
//! `session` (what is going on in a room), `signal` (messages to and from the server) and `token`. How
//! calls come here: `routes`, `worker`, `watcher`, `ways`. What the server does on request: `server`.
//!
//! `cli`, `setup` and `check` are the tools of `voxcore livekit`; no call needs them.
//!
//! What this module does not do: media (the shard's peer does), LiveKit's own SIP side, who may
//! send us calls (the routes' secret says so).

mod arrival;
mod call;
mod caller;
mod check;
mod claims;
mod cli;
mod counts;
mod keys;
mod routes;
mod server;
mod session;
mod setup;
mod signal;
mod token;
mod watcher;
mod ways;
mod wire;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;
use vox_webrtc::Identity;

use crate::calls::Calls;
use crate::config::LivekitConfig;

use claims::Claims;
use server::Server;

pub use cli::LivekitCommand;
pub use counts::Counts;
pub use routes::routes;

/// What calls in rooms have in common. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Livekit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    calls: Calls,
    config: LivekitConfig,
    /// Shown in every DTLS handshake of this process.
    identity: Identity,
    /// Whose caller is being answered.
    claims: Claims,
    server: Server,
    /// Calls, and what is left to do for those that ended.
    tasks: TaskTracker,
    counts: Arc<Counts>,
}

impl Livekit {
    /// Takes calls for `calls` from the rooms of one server.
    pub fn new(calls: Calls, config: LivekitConfig) -> anyhow::Result<Self> {
        let identity = Identity::new()?;
        let (claims, tasks) = (Claims::default(), TaskTracker::new());
        let server = Server::new(&config);
        let counts = Arc::default();
        let inner = Inner { calls, config, identity, claims, server, tasks, counts };
        Ok(Self(Arc::new(inner)))
    }

    /// Begins to look for callers by itself, as far as the configuration says: registers with the
    /// server as a worker, and watches its rooms. On the current runtime.
    pub fn start(&self) {
        if let Some(agent_name) = self.0.config.agent_name.clone() {
            worker::start(self.clone(), agent_name);
        }
        if let Some(watch) = self.0.config.watch.clone() {
            watcher::start(self.clone(), watch);
        }
    }

    /// What was counted.
    pub fn counts(&self) -> Arc<Counts> {
        self.0.counts.clone()
    }

    /// Resolves when all calls have left their rooms and no phone is left in one, or it takes too long.
    pub async fn left(&self) {
        self.0.tasks.close();
        if tokio::time::timeout(LEAVE_LIMIT, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("{} rooms were not left in order", self.0.tasks.len());
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(task);
    }
}

/// For the last calls to leave their rooms, once they are over.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);
