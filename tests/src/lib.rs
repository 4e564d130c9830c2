//! End-to-end tests: a real Vox, started as a process, against real peers.
//!
//! - [`worker`]: starts `vox up`, asks its HTTP, reads its results, ends it.
//! - [`asterisk`]: a SIP server to compare with.
//! - [`backend`]: as much of a Backend as a worker asks.
//! - [`baresip`]: a softphone, driven over its control socket.
//! - [`brain`]: WebSocket servers that bots speak through.
//! - [`browser`]: headless Chromium in LiveKit's rooms.
//! - [`caller`]: runs `vox call`.
//! - [`capture`]: reads its packet captures.
//! - [`http`]: answers by hand, or stands before another server.
//! - [`livekit`]: LiveKit's server, and a telephone in its rooms.
//! - [`livekit_sip`]: its SIP side, where there is one.
//! - [`peers`]: SIPp, baresip, MinIO and friends: found, or loudly missed.
//! - [`redis`]: where LiveKit keeps its trunks.
//! - [`phones`]: many telephones in those rooms.
//! - [`sipp`]: SIPp, by scenarios put together from steps.
//! - [`pipecat`]: Pipecat's pipelines and serializers, from PyPI.
//! - [`churn`]: LiveKit's rooms that fill and empty all the time.
//! - [`ears`]: speech to say, and PESQ and correlation to judge what came back.
//! - [`twirp`]: LiveKit's SIP service, as far as captured answers go.
//! - [`voices`]: recorded speech in pieces that are known to the sample.
//! - [`webhooks`]: who LiveKit tells of its rooms, and who sends callers to a worker.
//! - [`wire`]: cuts connections and paths of media.
//! - [`stalls`]: when the machine held a process up.
//!
//! The tests themselves stand in `tests/`, one file a claim. They hold real-time calls, so each
//! file runs its tests one after the other ([`one_at_a_time`]).

pub mod asterisk;
pub mod backend;
pub mod baresip;
pub mod brain;
pub mod browser;
pub mod caller;
pub mod capture;
pub mod churn;
pub mod ears;
pub mod http;
pub mod livekit;
pub mod livekit_sip;
pub mod peers;
pub mod phones;
pub mod pipecat;
pub mod redis;
pub mod sipp;
pub mod stalls;
pub mod twirp;
pub mod voices;
pub mod webhooks;
pub mod wire;
pub mod worker;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static TURN: Mutex<()> = Mutex::new(());

/// Real-time calls must not compete for two cores: each test holds this while it runs.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Polls until `condition` gives something, for `limit` at most; panics with `what` otherwise.
pub fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {} s for {what}", limit.as_secs_f64());
        std::thread::sleep(Duration::from_millis(20));
    }
}
