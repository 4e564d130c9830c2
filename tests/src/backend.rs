//! A Backend, as far as a worker asks one: configs, lookups, trunks, results (contract §1.7, §1.8, §2).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Reply, Request, Server};
use crate::wait_for;

/// The number that this Backend knows a bot for, and calls go out from.
pub const DID: &str = "+15105550100";

/// A running Backend. It knows one DID, whose bot is `front-desk`, and one trunk, `ST_1`.
#[derive(Debug, Clone)]
pub struct Backend {
    server: Server,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    asked: Vec<String>,
    results: Vec<Value>,
}

impl Backend {
    /// Starts one; `config` answers for a bot's id.
    pub fn start(config: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let notes = seen.clone();
        let server = Server::start(move |request| {
            let mut seen = notes.lock().unwrap_or_else(PoisonError::into_inner);
            seen.asked.push(format!("{} {}", request.method, request.path));
            if request.method == "POST" {
                seen.results.push(serde_json::from_slice(&request.body).expect("a result"));
            }
            drop(seen);
            answer(request, &config)
        });
        Self { server, seen }
    }

    /// One whose bots all have this agent.
    pub fn of(agent: Value) -> Self {
        let sessions = AtomicUsize::new(0);
        Self::start(move |bot| {
            let session = format!("session-{}", sessions.fetch_add(1, Ordering::Relaxed));
            let config = json!({
                "session_id": session, "webhook_url": "/api/v1/call-results", "bot_id": bot,
                "agent": agent,
            });
            Reply::Json(200, config)
        })
    }

    /// `VOXBRIDGE_CONFIG_URL`.
    pub fn config_url(&self) -> String {
        format!("http://{}/api/v1/config", self.server.address)
    }

    /// What was asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    /// Waits for `count` results.
    pub fn results(&self, count: usize, limit: Duration) -> Vec<Value> {
        wait_for(&format!("{count} results"), limit, || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            (seen.results.len() >= count).then(|| seen.results.clone())
        })
    }
}

fn answer(request: &Request, config: &impl Fn(&str) -> Reply) -> Reply {
    let secret = request.header("x-voxcore-secret");
    if secret != Some("between-services") {
        return Reply::Json(403, json!({"detail": "forbidden"}));
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let known = query.ends_with("%2B15105550100");
    match path.strip_prefix("/api/v1/").unwrap_or_default() {
        "call-results" => Reply::Json(200, json!({})),
        "sip/lookup" if known => Reply::Json(200, json!({"bot_id": "front-desk"})),
        "sip/outbound-trunk" if known || query == "from_number=" => {
            Reply::Json(200, json!({"trunk_id": "ST_1", "number": DID}))
        }
        other => match other.strip_prefix("config/") {
            Some(bot) => config(bot),
            None => Reply::Json(404, json!({"detail": "not_found"})),
        },
    }
}
