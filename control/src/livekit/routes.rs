//! `POST /livekit/dispatch` and its like (contract §1.3): calls that LiveKit, the Backend or the
//! dialler start.

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use vox_contracts::{CallDirection, Object};

use super::session::Who;
use super::{Livekit, call};
use crate::calls::{CallFacts, Refusal, Slot};
use crate::http::refusal;

/// The routes; the secret is asked for before them.
pub fn routes<S: Clone + Send + Sync + 'static>(livekit: Option<Livekit>) -> Router<S> {
    Router::new().route("/livekit/dispatch", post(dispatch)).with_state(livekit)
}

#[derive(Debug, Deserialize)]
struct Dispatch {
    room_name: String,
    caller_number: String,
    dialed_number: String,
    call_id: Option<String>,
}

/// A SIP call waits in a room.
async fn dispatch(
    State(livekit): State<Option<Livekit>>,
    body: Result<Json<Dispatch>, JsonRejection>,
) -> Response {
    let Some(livekit) = livekit else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "livekit_not_configured");
    };
    let Json(body) = match body {
        Ok(body) => body,
        Err(wrong) => return refusal(wrong.status(), &wrong.body_text()),
    };
    let slot = match livekit.0.calls.admit() {
        Ok(slot) => slot,
        Err(Refusal::Full) => return refusal(StatusCode::TOO_MANY_REQUESTS, "at_capacity"),
        Err(Refusal::Draining) => return refusal(StatusCode::TOO_MANY_REQUESTS, "draining"),
    };
    let call_id = body.call_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let facts = CallFacts {
        dialed: body.dialed_number,
        caller: body.caller_number,
        direction: CallDirection::Inbound,
        stream_id: call_id.clone(),
        connected_event: Object::new(),
    };
    tokio::spawn(answer(livekit, slot, facts, body.room_name));
    Json(json!({"status": "accepted", "call_id": call_id})).into_response()
}

async fn answer(livekit: Livekit, slot: Slot, facts: CallFacts, room: String) {
    let calls = livekit.0.calls.clone();
    // Why not is in the log, and counted.
    if let Ok(line) = calls.open(slot, facts).await {
        call::run(livekit, line, room, Who::Phone).await;
    }
}
