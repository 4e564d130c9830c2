//! Who LiveKit sends webhooks to, as the Backend will: believes them, and sends callers to a worker.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::json;
use vox_webhooks::{Event, Receiver, Refusal};

use crate::http::{Reply, Request, Server};
use crate::livekit::KEYS;
use crate::wait_for;
use crate::worker::http_post;

/// Listens for as long as the process lives.
#[derive(Debug, Clone)]
pub struct Webhooks {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    receiver: Receiver,
    worker: Option<SocketAddr>,
    heard: Vec<Heard>,
}

/// A webhook that came.
#[derive(Debug, Clone)]
pub struct Heard {
    /// What it says, or why it was not believed.
    pub event: Result<Event, Refusal>,
    /// What the worker answered, when it was told of a call.
    pub dispatch: Option<(u16, String)>,
}

impl Webhooks {
    /// Starts to listen; believes the test server's key.
    pub fn start() -> Self {
        let receiver = Receiver::new([KEYS.into()]);
        let state = State { receiver, worker: None, heard: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let answering = state.clone();
        let server = Server::start(move |request| match request.path.as_str() {
            PATH => answer(&answering, request),
            _ => Reply::Json(404, json!({"detail": "not_found"})),
        });
        Self { server, state }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Where webhooks go.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.server.address)
    }

    /// Sends callers to the worker that listens there.
    pub fn send_calls_to(&self, worker: SocketAddr) {
        lock(&self.state).worker = Some(worker);
    }

    /// The webhooks that came so far.
    pub fn heard(&self) -> Vec<Heard> {
        lock(&self.state).heard.clone()
    }

    /// Waits for a believed event of this name, of which `is_it` holds.
    ///
    /// # Panics
    /// When none comes in time.
    pub fn hear(&self, name: &str, limit: Duration, is_it: impl Fn(&Event) -> bool) -> Event {
        wait_for(name, limit, || {
            let mut events = self.heard().into_iter().filter_map(|heard| heard.event.ok());
            events.find(|event| event.event == name && is_it(event))
        })
    }
}

/// As the contract says: a caller in a room `call-…` counts, everything else is heard only.
fn answer(state: &Mutex<State>, request: &Request) -> Reply {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs();
    let token = request.header("authorization");
    let event = lock(state).receiver.receive(token, &request.body, now);
    let dispatch = event.as_ref().ok().and_then(|event| dispatch(state, event));
    let status = match (&event, &dispatch) {
        (Err(refusal), _) => refusal.status(),
        (Ok(event), Some((500.., _))) => {
            lock(state).receiver.forget(event, &request.body);
            502
        }
        (Ok(_), _) => 200,
    };
    lock(state).heard.push(Heard { event, dispatch });
    Reply::Json(status, json!({"ok": status == 200}))
}

fn dispatch(state: &Mutex<State>, event: &Event) -> Option<(u16, String)> {
    let call = event.inbound_call().filter(|call| call.room.starts_with("call-"))?;
    let worker = lock(state).worker?;
    let body = json!({
        "room_name": call.room, "caller_number": call.caller, "dialed_number": call.dialed,
        "call_id": call.call_id,
    });
    let secret = "X-VoxCore-Secret: between-services\r\n";
    Some(http_post(worker, "/livekit/dispatch", secret, &body.to_string()))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The Backend's route.
pub const PATH: &str = "/api/v1/livekit/webhook";
