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
use tokio_util::sync::CancellationToken;
use vox_contracts::{CallDirection, Object};

use super::Livekit;
use super::arrival::Arrival;
use super::claims::{Known, NotTaken};
use super::session::Who;
use crate::calls::{CallFacts, Refusal};
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
    let call_id = body.call_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let place = match livekit.take(&body.room_name, Known::default(), &call_id) {
        Ok(place) => place,
        Err(NotTaken::Already(call_id)) => return accepted(&call_id),
        Err(NotTaken::Refused(Refusal::Full)) => {
            return refusal(StatusCode::TOO_MANY_REQUESTS, "at_capacity");
        }
        Err(NotTaken::Refused(Refusal::Draining)) => {
            return refusal(StatusCode::TOO_MANY_REQUESTS, "draining");
        }
    };
    let facts = CallFacts {
        dialed: body.dialed_number,
        caller: body.caller_number,
        direction: CallDirection::Inbound,
        stream_id: call_id.clone(),
        connected_event: Object::new(),
    };
    let arrival = Arrival {
        room: body.room_name,
        who: Who::Phone,
        bot_id: None,
        facts,
        ticket: None,
        stop: CancellationToken::new(),
    };
    tokio::spawn(async move { livekit.answer(place, arrival).await });
    accepted(&call_id)
}

fn accepted(call_id: &str) -> Response {
    Json(json!({"status": "accepted", "call_id": call_id})).into_response()
}
