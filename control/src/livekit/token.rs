//! Who we are in a room.

use std::time::Duration;

use livekit_api::access_token::{AccessToken, VideoGrants};

use crate::config::LivekitConfig;

/// A token to join `room` as `identity`: an agent, so that the room does not wait for us when the
/// caller has left.
pub(super) fn join(config: &LivekitConfig, room: &str, identity: &str) -> Result<String, String> {
    let grants = VideoGrants {
        room_join: true,
        room: room.to_owned(),
        agent: true,
        can_publish: Some(true),
        can_subscribe: Some(true),
        can_publish_data: Some(true),
        ..VideoGrants::default()
    };
    AccessToken::with_api_key(&config.api_key, config.api_secret.expose())
        .with_identity(identity)
        .with_name("vox")
        .with_kind("agent")
        .with_grants(grants)
        .with_ttl(VALID)
        .to_jwt()
        .map_err(|error| format!("no token: {error}"))
}

/// Longer than any call may last; the server renews it before.
const VALID: Duration = Duration::from_secs(6 * 3_600);
