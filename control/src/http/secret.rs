//! The secret that the services share.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use vox_contracts::SECRET_HEADER;

use super::refusal;
use crate::config::Secret;

/// Lets a request through that brings the secret; any other gets 403 before anything is looked up.
/// With none configured nobody is let through.
pub(super) async fn required(
    State(secret): State<Option<Secret>>,
    request: Request,
    next: Next,
) -> Response {
    match secret.is_some_and(|secret| brings(request.headers(), &secret)) {
        true => next.run(request).await,
        false => refusal(StatusCode::FORBIDDEN, "forbidden"),
    }
}

/// Exactly one header, and the right one.
fn brings(headers: &HeaderMap, secret: &Secret) -> bool {
    let mut offered = headers.get_all(SECRET_HEADER).iter();
    match (offered.next(), offered.next()) {
        (Some(offered), None) => secret.matches(offered.as_bytes()),
        _ => false,
    }
}
