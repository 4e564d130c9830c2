//! The doors of the telephony sockets.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::{Desk, refusal};
use crate::telephony::Peer;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

pub(super) async fn generic(
    State(desk): State<Arc<Desk>>,
    Path(bot_id): Path<String>,
    upgrade: Upgrade,
) -> Response {
    open(&desk, bot_id, Peer::Generic, upgrade)
}

pub(super) async fn exotel(
    State(desk): State<Arc<Desk>>,
    Path(bot_id): Path<String>,
    Query(parameters): Query<Vec<(String, String)>>,
    upgrade: Upgrade,
) -> Response {
    let parameters = parameters.into_iter().map(|(name, text)| (name, Value::String(text)));
    open(&desk, bot_id, Peer::Exotel(parameters.collect()), upgrade)
}

fn open(desk: &Desk, bot_id: String, peer: Peer, upgrade: Upgrade) -> Response {
    let Some(telephony) = desk.telephony.clone() else {
        return refusal(StatusCode::NOT_FOUND, "not_found");
    };
    match upgrade {
        Ok(upgrade) => telephony
            .upgrade(upgrade)
            .on_upgrade(|socket| telephony.serve(socket, peer, bot_id))
            .into_response(),
        Err(rejection) => refusal(rejection.into_response().status(), "websocket_expected"),
    }
}
