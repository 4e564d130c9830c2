//! What is around the server: the Backend and the fleet.

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use livekit_api::access_token::AccessToken;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Response};
use serde_json::json;
use sha2::{Digest, Sha256};
use vox_contracts::FleetHealth;

use super::Piece;
use super::server::{LIMIT, client};
use crate::bots::{Bots, Wanted, explain};
use crate::calls::OpenError;
use crate::config::{BotsConfig, Config, LivekitConfig};

/// Whether a webhook that our key signed is taken. Which ones the server is configured with cannot
/// be asked for.
pub(super) async fn webhook(url: Option<&str>, config: &LivekitConfig) -> Piece {
    let (name, key) = ("webhook", &config.api_key);
    let configured = format!(
        "livekit-server's configuration needs `webhook: {{api_key: {key}, urls: [<Backend>/api/v1/livekit/webhook]}}`"
    );
    let Some(url) = url else {
        let found = "LiveKit's API does not tell where webhooks go";
        return Piece::unknown(name, found, format!("{configured}; try it with --webhook URL"));
    };
    match post_webhook(url, config).await {
        Ok(answer) if answer.status().is_success() => Piece::ok(
            name,
            format!(
                "{url} takes what {key} signs (whether LiveKit sends there, its API does not tell: {configured})"
            ),
        ),
        Ok(answer) if matches!(answer.status().as_u16(), 401 | 403) => Piece::wrong(
            name,
            format!("{url} does not believe {key}"),
            "give the Backend this LIVEKIT_API_KEY and LIVEKIT_API_SECRET",
        ),
        Ok(answer) => {
            Piece::wrong(name, format!("{url} answers {}", answer.status()), "see the URL's path")
        }
        Err(why) => Piece::missing(name, format!("{url}: {why}"), "is the Backend running there?"),
    }
}

/// Which bot answers the number.
pub(super) async fn bot(number: &str, config: &Config) -> Piece {
    let name = "bot";
    let remedy = match &config.bots {
        BotsConfig::Backend { .. } => "give the number a bot in the Console",
        BotsConfig::File(_) => "put the number under a bot's `numbers` in VOXCORE_BOTS",
        BotsConfig::BuiltIn => {
            return Piece::missing(
                name,
                "the built-in bots answer no numbers",
                "set VOXBRIDGE_CONFIG_URL, or VOXCORE_BOTS",
            );
        }
    };
    let bots = match Bots::load(&config.bots, &config.worker.data_dir) {
        Ok(bots) => bots,
        Err(error) => return Piece::wrong(name, error.to_string(), ""),
    };
    match bots.lookup(&Wanted::default(), number).await {
        Ok(bot) => Piece::ok(name, format!("{number} is answered by {bot}")),
        Err(OpenError::NoSuchBot(_)) => {
            Piece::missing(name, format!("no bot answers {number}"), remedy)
        }
        Err(OpenError::Forbidden) => {
            Piece::wrong(name, "the Backend forbids the lookup", "see VOXCORE_SECRET")
        }
        Err(error) => Piece::wrong(name, error.to_string(), "see VOXBRIDGE_CONFIG_URL"),
    }
}

/// The workers that calls are for.
pub(super) struct Fleet {
    client: Result<Client, String>,
    /// Without a slash at its end.
    url: String,
    /// For people.
    place: String,
}

impl Fleet {
    /// The fleet at `url`; else this host's, by its worker's socket.
    pub(super) fn new(url: Option<String>, config: &Config) -> Self {
        if let Some(url) = url {
            let bare = url.trim_end_matches('/').to_owned();
            return Self { client: client(), url: bare, place: url };
        }
        let socket = config.http.socket.clone();
        let place = socket.display().to_string();
        let local = Client::builder().unix_socket(socket).timeout(LIMIT).build();
        let client = local.map_err(|error| explain(&error));
        Self { client, url: "http://voxcore".into(), place }
    }

    /// Whether workers are there, with a slot free.
    pub(super) async fn health(&self) -> Piece {
        let (name, place) = ("fleet", &self.place);
        let answer = self.get("/health/fleet").await;
        let health = answer.and_then(|text| {
            serde_json::from_str::<FleetHealth>(&text).map_err(|error| error.to_string())
        });
        match health {
            Ok(health) if health.fleet_available > 0 => {
                let (free, max) = (health.fleet_available, health.fleet_max);
                Piece::ok(name, format!("{place}: {free} of {max} slots free"))
            }
            Ok(health) => Piece::wrong(
                name,
                format!("{place}: none of {} slots is free", health.fleet_max),
                "callers get 429 until calls end: add workers, or see whether they drain",
            ),
            Err(why) => Piece::missing(
                name,
                format!("{place}: {why}"),
                "start a worker, or name another fleet with --fleet",
            ),
        }
    }

    /// Whether the worker that answers there is offered calls by LiveKit.
    pub(super) async fn registered(&self) -> Piece {
        let (name, place) = ("registered", &self.place);
        let metrics = match self.get("/metrics").await {
            Ok(metrics) => metrics,
            Err(why) => return Piece::unknown(name, format!("{place}: {why}"), "see fleet"),
        };
        match metrics.lines().any(|line| line == "vox_livekit_registered 1") {
            true => Piece::ok(name, format!("LiveKit offers calls to the worker at {place}")),
            false => Piece::wrong(
                name,
                format!("the worker at {place} has not registered with LiveKit"),
                "set LIVEKIT_URL, its key and LIVEKIT_AGENT_NAME for it, and see its log",
            ),
        }
    }

    async fn get(&self, path: &str) -> Result<String, String> {
        let request = self.client.as_ref().map_err(String::clone)?.get(self.url.clone() + path);
        let answer = request.send().await.map_err(|error| explain(&error))?;
        match answer.status().is_success() {
            true => answer.text().await.map_err(|error| explain(&error)),
            false => Err(format!("answers {}", answer.status())),
        }
    }
}

/// An event that asks for nothing, signed as LiveKit signs.
async fn post_webhook(url: &str, config: &LivekitConfig) -> Result<Response, String> {
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let id = format!("EV_check_{}", uuid::Uuid::new_v4().simple());
    let body = json!({"event": "vox_check", "id": id, "createdAt": now.to_string()}).to_string();
    let token = AccessToken::with_api_key(&config.api_key, config.api_secret.expose())
        .with_sha256(&BASE64_STANDARD.encode(Sha256::digest(&body)))
        .to_jwt()
        .map_err(|error| error.to_string())?;
    let request = client()?.post(url).header(AUTHORIZATION, token);
    let request = request.header(CONTENT_TYPE, "application/webhook+json").body(body);
    request.send().await.map_err(|error| explain(&error))
}
