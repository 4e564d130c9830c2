//! `POST /livekit/dispatch`, `/livekit/dialout`, `/livekit/widget` and `/attach` (contract §1.3): calls
//! that LiveKit, the Backend, the dialler or a web page start.
//!
//! Each reads its body, takes a slot, answers and lets the call run ([`ways`](super::ways)). Nothing
//! else happens before there is a slot.

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;
use vox_contracts::{CallDirection, Object};

use super::arrival::{Arrival, Place};
use super::caller::Who;
use super::claims::{Known, NotTaken};
use super::ways::LOOKUP_LIMIT;
use super::{Livekit, ways};
use crate::bots::{Wanted, normalised_number};
use crate::calls::{CallFacts, Refusal, Slot};
use crate::http::refusal;

/// The routes; the secret is asked for before them.
pub fn routes<S: Clone + Send + Sync + 'static>(livekit: Option<Livekit>) -> Router<S> {
    Router::new()
        .route("/livekit/dispatch", post(dispatch))
        .route("/livekit/dialout", post(dialout))
        .route("/livekit/widget", post(widget))
        .route("/attach", post(attach))
        .with_state(livekit)
}

#[derive(Debug, Deserialize)]
struct DispatchBody {
    room_name: String,
    caller_number: String,
    dialed_number: String,
    call_id: Option<String>,
    config_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct DialOutBody {
    bot_id: String,
    to_number: String,
    from_number: Option<String>,
    connected_event: Option<Object>,
    config_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct AttachBody {
    room_name: String,
    bot_id: String,
    to_number: Option<String>,
    from_number: Option<String>,
    connected_event: Option<Object>,
    campaign_call_id: Option<Value>,
    config_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct WidgetBody {
    bot_id: String,
    room_name: String,
    caller_id: Option<String>,
    config_url: Option<String>,
}

type Read<T> = Result<Json<T>, JsonRejection>;

/// A SIP call waits in a room. Who is refused is hung up: nobody else takes the call.
async fn dispatch(
    State(livekit): State<Option<Livekit>>,
    body: Read<DispatchBody>,
) -> Result<Response, Response> {
    let (livekit, body) = read(livekit, body)?;
    let config_url = config_url(body.config_url)?;
    let call_id = body.call_id.filter(|id| !id.is_empty()).unwrap_or_else(new_id);
    let facts = CallFacts {
        dialed: platform_number(body.dialed_number),
        caller: platform_number(body.caller_number),
        direction: CallDirection::Inbound,
        stream_id: call_id.clone(),
        connected_event: Object::new(),
    };
    let mut arrival = Arrival::new(body.room_name, Who::Phone, facts);
    arrival.opening.wanted.config_url = config_url;
    let place = match livekit.take(&arrival.room, Known::default(), &call_id) {
        Ok(place) => place,
        Err(NotTaken::Already(call_id)) => return Ok(accepted(json!({"call_id": call_id}))),
        Err(NotTaken::Refused(refused)) => {
            let livekit = livekit.clone();
            livekit.clone().spawn(async move { livekit.let_go(&arrival).await });
            return Err(full(refused));
        }
    };
    let (tell, told) = oneshot::channel();
    livekit.spawn(ways::inbound(livekit.clone(), place, arrival, tell));
    match timeout(LOOKUP_LIMIT, told).await {
        Ok(Ok(false)) => Err(refusal(StatusCode::NOT_FOUND, "no_such_bot")),
        _ => Ok(accepted(json!({"call_id": call_id}))),
    }
}

/// Somebody is to be called.
async fn dialout(
    State(livekit): State<Option<Livekit>>,
    body: Read<DialOutBody>,
) -> Result<Response, Response> {
    let (livekit, body) = read(livekit, body)?;
    let config_url = config_url(body.config_url)?;
    let to = dialable(&body.to_number).ok_or_else(|| wrong("to_number: expected a number"))?;
    let slot = admit(&livekit)?;
    let call_id = new_id();
    let room = format!("dialout-{call_id}");
    let facts = CallFacts {
        dialed: to,
        caller: body.from_number.map(platform_number).unwrap_or_default(),
        direction: CallDirection::Outbound,
        stream_id: call_id.clone(),
        connected_event: body.connected_event.unwrap_or_default(),
    };
    let who = Who::Identity(format!("sip-{}", facts.dialed));
    let mut arrival = Arrival::new(room.clone(), who, facts);
    arrival.opening.wanted = Wanted { bot_id: Some(body.bot_id), config_url };
    livekit.spawn(ways::dial_out(livekit.clone(), slot, arrival));
    Ok(accepted(json!({"call_id": call_id, "room_name": room})))
}

/// Whom the dialler called is in a room, and has answered.
async fn attach(
    State(livekit): State<Option<Livekit>>,
    body: Read<AttachBody>,
) -> Result<Response, Response> {
    let (livekit, body) = read(livekit, body)?;
    let config_url = config_url(body.config_url)?;
    let call_id = new_id();
    let mut connected_event = body.connected_event.unwrap_or_default();
    if let Some(id) = body.campaign_call_id.filter(|id| !id.is_null()) {
        connected_event.entry(CAMPAIGN_CALL_ID).or_insert(id);
    }
    // As the dialler wrote it, for it named the participant by it.
    let identity = body.to_number.as_ref().map(|number| format!("sip-{number}"));
    let facts = CallFacts {
        dialed: body.to_number.map(platform_number).unwrap_or_default(),
        caller: body.from_number.map(platform_number).unwrap_or_default(),
        direction: CallDirection::Outbound,
        stream_id: call_id.clone(),
        connected_event,
    };
    let who = identity.map_or(Who::Phone, Who::Identity);
    let mut arrival = Arrival::new(body.room_name, who, facts);
    arrival.opening.wanted = Wanted { bot_id: Some(body.bot_id), config_url };
    arrival.opening.owes_result = true;
    let place = match livekit.take(&arrival.room, Known::default(), &call_id) {
        Ok(place) => place,
        Err(NotTaken::Already(call_id)) => return Ok(accepted(json!({"call_id": call_id}))),
        Err(NotTaken::Refused(refused)) => return Err(full(refused)),
    };
    livekit.spawn(ways::answer(livekit.clone(), place, arrival));
    Ok(accepted(json!({"call_id": call_id})))
}

/// A visitor of a web page is in a room, or about to be.
async fn widget(
    State(livekit): State<Option<Livekit>>,
    body: Read<WidgetBody>,
) -> Result<Response, Response> {
    let (livekit, body) = read(livekit, body)?;
    let config_url = config_url(body.config_url)?;
    let slot = admit(&livekit)?;
    let call_id = new_id();
    let facts = CallFacts {
        dialed: body.bot_id.clone(),
        caller: body.caller_id.unwrap_or_else(|| "widget-user".into()),
        direction: CallDirection::Inbound,
        stream_id: call_id.clone(),
        connected_event: Object::new(),
    };
    let mut arrival = Arrival::new(body.room_name, Who::Visitor, facts);
    arrival.opening.wanted = Wanted { bot_id: Some(body.bot_id), config_url };
    livekit.spawn(ways::answer(livekit.clone(), Place { slot, claim: None }, arrival));
    Ok(accepted(json!({"call_id": call_id})))
}

#[expect(clippy::result_large_err, reason = "the answer is made here, and sent")]
fn read<T: DeserializeOwned>(
    livekit: Option<Livekit>,
    body: Read<T>,
) -> Result<(Livekit, T), Response> {
    let unconfigured = || refusal(StatusCode::SERVICE_UNAVAILABLE, "livekit_not_configured");
    let livekit = livekit.ok_or_else(unconfigured)?;
    let Json(body) = body.map_err(|wrong| refusal(wrong.status(), &wrong.body_text()))?;
    Ok((livekit, body))
}

#[expect(clippy::result_large_err, reason = "the answer is made here, and sent")]
fn admit(livekit: &Livekit) -> Result<Slot, Response> {
    livekit.0.calls.admit().map_err(full)
}

fn full(refused: Refusal) -> Response {
    let detail = match refused {
        Refusal::Full => "at_capacity",
        Refusal::Draining => "draining",
    };
    refusal(StatusCode::TOO_MANY_REQUESTS, detail)
}

#[expect(clippy::result_large_err, reason = "the answer is made here, and sent")]
fn config_url(given: Option<String>) -> Result<Option<String>, Response> {
    let Some(url) = given.map(|url| url.trim().trim_end_matches('/').to_owned()) else {
        return Ok(None);
    };
    if url.is_empty() {
        return Ok(None);
    }
    let usable = reqwest::Url::parse(&url)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    usable.then_some(Some(url)).ok_or_else(|| wrong("config_url: expected http://…/api/v1/config"))
}

fn wrong(what: &str) -> Response {
    refusal(StatusCode::UNPROCESSABLE_ENTITY, what)
}

fn accepted(mut answer: Value) -> Response {
    answer["status"] = "accepted".into();
    Json(answer).into_response()
}

fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// In the platform's form, when it is a number at all: who hides theirs is `anonymous`.
fn platform_number(text: String) -> String {
    normalised_number(&text).unwrap_or(text)
}

/// A number in the platform's form, or a user part that needs no escaping.
fn dialable(text: &str) -> Option<String> {
    let user = |b: u8| b.is_ascii_alphanumeric() || b"+*#-_.".contains(&b);
    let valid = (1..=USER_MAX).contains(&text.len()) && text.bytes().all(user);
    valid.then(|| platform_number(text.to_owned()))
}

/// The Backend's reserved key for it (contract §2).
const CAMPAIGN_CALL_ID: &str = "_campaign_call_id";
/// Of whom is called.
const USER_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_be_called_is_a_number_or_a_plain_user_part() {
        let long = "1".repeat(USER_MAX + 1);
        let rows = [
            ("+919876543210", Some("+919876543210")),
            ("919876543210", Some("+919876543210")),
            ("09876543210", Some("09876543210")),
            ("+15105550222", Some("+15105550222")),
            ("600", Some("600")),
            ("front-desk", Some("front-desk")),
            ("", None),
            ("a b", None),
            ("a@b", None),
            ("1\r\nX: y", None),
            ("1;phone-context=x", None),
            (&long, None),
        ];
        for (text, expected) in rows {
            assert_eq!(dialable(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn another_backend_is_an_http_url_with_a_host() {
        let rows = [
            (None, Ok(None)),
            (Some(""), Ok(None)),
            (Some("http://api:8080/api/v1/config/"), Ok(Some("http://api:8080/api/v1/config"))),
            (Some("https://api/api/v1/config"), Ok(Some("https://api/api/v1/config"))),
            (Some("ftp://api/api/v1/config"), Err(())),
            (Some("/api/v1/config"), Err(())),
            (Some("api:8080/api/v1/config"), Err(())),
        ];
        for (given, expected) in rows {
            let found = config_url(given.map(str::to_owned)).map_err(|_| ());
            let expected = expected.map(|url| url.map(str::to_owned));
            assert_eq!(found, expected, "{given:?}");
        }
    }
}
