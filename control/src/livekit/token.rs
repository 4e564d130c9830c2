//! Who we are in a room.

use std::fmt;
use std::time::Duration;

use livekit_api::access_token::{AccessToken, VideoGrants};

use crate::config::LivekitConfig;

/// What opens a room.
#[derive(Clone)]
pub(super) struct Ticket {
    /// The server.
    pub url: String,
    /// Who we are and which room, signed.
    pub token: String,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A ticket for `room` as `identity`: an agent, so that the room does not wait for us when the
/// caller has left.
pub(super) fn ticket(config: &LivekitConfig, room: &str, identity: &str) -> Result<Ticket, String> {
    let grants = VideoGrants {
        room_join: true,
        room: room.to_owned(),
        agent: true,
        can_publish: Some(true),
        can_subscribe: Some(true),
        can_publish_data: Some(true),
        ..VideoGrants::default()
    };
    let token = AccessToken::with_api_key(&config.api_key, config.api_secret.expose())
        .with_identity(identity)
        .with_name("vox")
        .with_kind("agent")
        .with_grants(grants)
        .with_ttl(VALID)
        .to_jwt()
        .map_err(|error| format!("no token: {error}"))?;
    Ok(Ticket { url: config.url.clone(), token })
}

/// A token to register as a worker that is given jobs.
pub(super) fn agent(config: &LivekitConfig) -> Result<String, String> {
    AccessToken::with_api_key(&config.api_key, config.api_secret.expose())
        .with_grants(VideoGrants { agent: true, ..VideoGrants::default() })
        .with_ttl(VALID)
        .to_jwt()
        .map_err(|error| format!("no token: {error}"))
}

/// Longer than any call may last; the server renews it before.
const VALID: Duration = Duration::from_secs(6 * 3_600);
