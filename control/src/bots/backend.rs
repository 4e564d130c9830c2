use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use vox_contracts::{BotConfig, Object, SECRET_HEADER};

use super::{NoConfig, normalised_number};
use crate::calls::{CallFacts, OpenError};
use crate::config::{ConfigError, Secret};

/// The Backend, asked for one call's bot (contract §1.7).
#[derive(Debug, Clone)]
pub(super) struct Backend {
    client: Client,
    /// `…/api/v1/config`
    config_url: String,
    secret: Secret,
    base_dir: PathBuf,
}

#[derive(Deserialize)]
struct Lookup {
    bot_id: String,
}

/// The trunk that an outbound call goes through, as the Backend names it (contract §2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct OutboundTrunk {
    /// LiveKit's id of it; empty when it is not stored there.
    #[serde(deserialize_with = "text")]
    pub trunk_id: String,
    /// The number that the callee sees, unless the call names one.
    #[serde(deserialize_with = "text")]
    pub number: String,
    /// Host, and port, of a carrier without a stored trunk.
    #[serde(deserialize_with = "text")]
    pub sip_address: String,
    /// To it: `auto`, `udp`, `tcp` or `tls`.
    #[serde(deserialize_with = "text")]
    pub transport: String,
}

/// A text, or `null` for none.
fn text<'de, D: serde::Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    Option::<String>::deserialize(value).map(Option::unwrap_or_default)
}

impl Backend {
    pub(super) fn new(
        config_url: &str,
        secret: Secret,
        base_dir: &Path,
    ) -> Result<Self, ConfigError> {
        // A redirect would take the secret to whomever it names.
        let client = Client::builder().redirect(Policy::none()).build().map_err(|error| {
            ConfigError(format!("VOXBRIDGE_CONFIG_URL: no HTTP client: {}", explain(&error)))
        })?;
        let (config_url, base_dir) = (config_url.to_owned(), base_dir.to_owned());
        Ok(Self { client, config_url, secret, base_dir })
    }

    /// The same, but another Backend, which shares the secret.
    pub(super) fn at(&self, config_url: &str) -> Self {
        Self { config_url: config_url.to_owned(), ..self.clone() }
    }

    /// A number is looked up for its bot first, any other name is the bot's id.
    pub(super) async fn config(&self, facts: &CallFacts) -> Result<BotConfig, NoConfig> {
        let bot_id = self.lookup(&facts.dialed).await?;
        self.config_of(&bot_id, facts).await
    }

    /// The id of the bot that answers to what was dialled.
    pub(super) async fn lookup(&self, dialed: &str) -> Result<String, OpenError> {
        let Some(number) = normalised_number(dialed) else { return Ok(dialed.to_owned()) };
        let lookup: Lookup = self.sip("lookup", "number", &number).await?;
        Ok(lookup.bot_id)
    }

    /// The trunk for calls from this number, or from any when it is empty; why there is none.
    pub(super) async fn trunk(&self, from_number: &str) -> Result<OutboundTrunk, String> {
        let asked = self.sip("outbound-trunk", "from_number", from_number).await;
        asked.map_err(|error| match error {
            OpenError::NoSuchBot(_) => format!("the Backend has none for \"{from_number}\""),
            OpenError::Unavailable(why) => why,
            error => error.to_string(),
        })
    }

    /// Where results go of which the config says nothing; empty when it is no URL.
    pub(super) fn results_url(&self) -> String {
        let joined = Url::parse(&self.config_url).and_then(|url| url.join(RESULTS_PATH));
        joined.map_or_else(|_| String::new(), Into::into)
    }

    pub(super) async fn config_of(
        &self,
        bot_id: &str,
        facts: &CallFacts,
    ) -> Result<BotConfig, NoConfig> {
        let event = serde_json::to_string(&facts.connected_event).unwrap_or_default();
        let config_url = parse(&self.config_url)?;
        let mut url = config_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(bot_id);
        }
        url.query_pairs_mut()
            .append_pair("caller_id", facts.customer())
            .append_pair("stream_id", &facts.stream_id)
            .append_pair("connected_event", &event);
        let (status, body) = self.fetch(url).await?;
        match status {
            StatusCode::OK => read_config(&config_url, &body),
            StatusCode::FORBIDDEN => Err(OpenError::Forbidden.into()),
            StatusCode::NOT_FOUND => Err(OpenError::NoSuchBot(bot_id.to_owned()).into()),
            _ => Err(refusal("config fetch", status, &body).into()),
        }
    }

    pub(super) fn base_dir(&self) -> &Path {
        &self.base_dir
    }

    /// `GET {api}/sip/{what}?{key}={number}`
    async fn sip<T: DeserializeOwned>(
        &self,
        what: &str,
        key: &str,
        number: &str,
    ) -> Result<T, OpenError> {
        let api = self.config_url.strip_suffix("/config").unwrap_or(&self.config_url);
        let mut url = parse(&format!("{api}/sip/{what}"))?;
        url.query_pairs_mut().append_pair(key, number);
        let (status, body) = self.fetch(url).await?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body)
                .map_err(|error| OpenError::Unavailable(format!("{what} of {number}: {error}"))),
            StatusCode::NOT_FOUND => Err(OpenError::NoSuchBot(number.to_owned())),
            StatusCode::FORBIDDEN => Err(OpenError::Forbidden),
            _ => Err(refusal(what, status, &body)),
        }
    }

    async fn fetch(&self, url: Url) -> Result<(StatusCode, Vec<u8>), OpenError> {
        let exchange = async {
            let request = self.client.get(url).header(SECRET_HEADER, self.secret.expose());
            let response = request.send().await.map_err(|error| explain(&error))?;
            Ok((response.status(), body(response).await?))
        };
        match tokio::time::timeout(FETCH_LIMIT, exchange).await {
            Ok(outcome) => outcome.map_err(OpenError::Unavailable),
            Err(_) => Err(OpenError::Unavailable(format!(
                "the Backend did not answer within {} s",
                FETCH_LIMIT.as_secs()
            ))),
        }
    }
}

fn parse(url: &str) -> Result<Url, OpenError> {
    Url::parse(url).map_err(|error| OpenError::Unavailable(format!("{url}: {error}")))
}

async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| explain(&error))? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(format!("the Backend's answer is larger than {BODY_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A config that cannot be read still names the session the Backend created with it.
fn read_config(config_url: &Url, body: &[u8]) -> Result<BotConfig, NoConfig> {
    let unavailable = |why: String| OpenError::Unavailable(format!("the Backend's config: {why}"));
    match serde_json::from_slice::<BotConfig>(body) {
        Ok(bot) if bot.session_id.is_empty() => {
            Err(unavailable("session_id is empty".into()).into())
        }
        Ok(bot) => Ok(reachable(config_url, bot)),
        Err(error) => Err(NoConfig {
            error: unavailable(error.to_string()),
            session: read_session(body).map(|bot| Box::new(reachable(config_url, bot))),
        }),
    }
}

/// What a result needs.
fn read_session(body: &[u8]) -> Option<BotConfig> {
    let fields: Object = serde_json::from_slice(body).ok()?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let session_id = text("session_id");
    let bot = BotConfig {
        bot_id: text("bot_id").into(),
        ..BotConfig::new(session_id, text("webhook_url"))
    };
    (!session_id.is_empty()).then_some(bot)
}

/// With an absolute address for the result: a path belongs to the Backend's origin, and instead of
/// what nothing can be posted to comes its results route (contract §1.8).
fn reachable(config_url: &Url, mut bot: BotConfig) -> BotConfig {
    let join = |path: &str| config_url.join("/")?.join(path);
    let given = bot.webhook_url.trim();
    let usable = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let joined = join(given).ok().filter(|url| !given.is_empty() && usable(url));
    let url = joined.or_else(|| {
        let (given, session_id) = (&bot.webhook_url, &bot.session_id);
        tracing::warn!(session_id, "webhook_url {given:?}: the result goes to {RESULTS_PATH}");
        join(RESULTS_PATH).ok()
    });
    bot.webhook_url = url.map_or_else(String::new, Into::into);
    bot
}

fn refusal(what: &str, status: StatusCode, body: &[u8]) -> OpenError {
    let text = String::from_utf8_lossy(&body[..body.len().min(1_024)]).into_owned();
    let detail = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|body| Some(body.get("detail")?.as_str()?.to_owned()))
        .unwrap_or(text);
    if status == StatusCode::SERVICE_UNAVAILABLE
        && let Some(hours) = detail.trim().strip_prefix("outside_active_hours:")
    {
        return OpenError::OutsideHours(hours.trim().to_owned());
    }
    OpenError::Unavailable(format!("{what}: status {}: {}", status.as_u16(), detail.trim()))
}

/// The innermost cause says what a person can act on ("connection refused").
pub(crate) fn explain(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The contract's literal `webhook_url`.
const RESULTS_PATH: &str = "/api/v1/call-results";

/// A caller hears ringing meanwhile; five seconds is what callers bear.
const FETCH_LIMIT: Duration = Duration::from_secs(5);

/// Configs are a few kB; prompts of 100 kB have been seen.
const BODY_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests;
