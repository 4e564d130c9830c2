//! Who answers a call: bots from the Backend or from a `bots.toml`, and the agents they run.
//!
//! [`Bots::config`] finds the bot, [`Bots::plan`] checks that its agent can be had (before the
//! call is answered), [`Bots::build`] makes it for the rate of the codec that was agreed on.

mod agent;
mod backend;
mod file;
mod prompt;
mod re_engagement;
mod speechlike;

use std::borrow::Cow;
use std::path::Path;

use uuid::Uuid;
use vox_call::pipeline::{Agent, Prompt};
use vox_contracts::BotConfig;

use crate::calls::{CallFacts, OpenError};
use crate::config::{BotsConfig, ConfigError, Secret};

pub use agent::AgentPlan;
pub use backend::OutboundTrunk;
pub(crate) use backend::explain;
pub(crate) use re_engagement::ReEngagement;

use backend::Backend;
use file::BotsFile;
use prompt::Prompts;

/// The bots this worker can run.
#[derive(Debug)]
pub struct Bots {
    source: Source,
    /// What a Backend is told that a call names, when bots come from a file otherwise.
    secret: Option<Secret>,
    prompts: Prompts,
}

#[derive(Debug)]
enum Source {
    Backend(Backend),
    File(BotsFile),
}

/// Which bot a call is for, and who knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its id; `None`: whoever answers to what was dialled.
    pub bot_id: Option<String>,
    /// `…/api/v1/config` of the Backend to ask, instead of the configured one.
    pub config_url: Option<String>,
}

impl Bots {
    /// Reads the bots' file, or prepares to ask the Backend. Prompt files of the Backend's and of
    /// the built-in bots are looked up below `data_dir`.
    pub fn load(config: &BotsConfig, data_dir: &Path) -> Result<Self, ConfigError> {
        let source = match config {
            BotsConfig::Backend { config_url, secret } => {
                Source::Backend(Backend::new(config_url, secret.clone(), data_dir)?)
            }
            BotsConfig::File(path) => Source::File(BotsFile::read(path)?),
            BotsConfig::BuiltIn => {
                speechlike::ensure(&data_dir.join("prompt.wav"))?;
                Source::File(BotsFile::built_in(data_dir)?)
            }
        };
        Ok(Self { source, secret: None, prompts: Prompts::default() })
    }

    /// Also asks Backends that calls name, with this secret.
    pub fn with_secret(self, secret: Option<Secret>) -> Self {
        Self { secret, ..self }
    }

    /// The bot for this call, as it is to be run.
    pub async fn config(&self, wanted: &Wanted, facts: &CallFacts) -> Result<BotConfig, NoConfig> {
        match (self.asked(wanted)?, &wanted.bot_id) {
            (Asked::Backend(backend), Some(bot_id)) => backend.config_of(bot_id, facts).await,
            (Asked::Backend(backend), None) => backend.config(facts).await,
            (Asked::File(file), bot_id) => {
                let name = bot_id.as_ref().unwrap_or(&facts.dialed);
                let no_such_bot = || OpenError::NoSuchBot(name.clone()).into();
                file.config(name).ok_or_else(no_such_bot)
            }
        }
    }

    /// The id of the bot that answers to `dialed`.
    pub async fn lookup(&self, wanted: &Wanted, dialed: &str) -> Result<String, OpenError> {
        match self.asked(wanted)? {
            Asked::Backend(backend) => backend.lookup(dialed).await,
            Asked::File(file) => {
                let no_such_bot = || OpenError::NoSuchBot(dialed.to_owned());
                file.name(dialed).map(str::to_owned).ok_or_else(no_such_bot)
            }
        }
    }

    /// The trunk for an outbound call from this number, or from any when it is empty; why there is
    /// none.
    pub async fn trunk(&self, wanted: &Wanted, from_number: &str) -> Result<OutboundTrunk, String> {
        match self.asked(wanted).map_err(|error| error.to_string())? {
            Asked::Backend(backend) => backend.trunk(from_number).await,
            Asked::File(_) => Err("only a Backend knows trunks: set VOXBRIDGE_CONFIG_URL".into()),
        }
    }

    /// As much of a config as a result needs, for a call whose bot cannot be had. A campaign's session
    /// is known all the same.
    pub fn stand_in(&self, wanted: &Wanted, facts: &CallFacts) -> BotConfig {
        let named = facts.connected_event.get("_campaign_session_id").and_then(|id| id.as_str());
        let own = || Uuid::new_v4().to_string();
        let session_id = named.filter(|id| !id.is_empty()).map_or_else(own, str::to_owned);
        let webhook_url = match self.asked(wanted) {
            Ok(Asked::Backend(backend)) => backend.results_url(),
            Ok(Asked::File(_)) | Err(_) => String::new(),
        };
        let bot_id = wanted.bot_id.clone().unwrap_or_default();
        BotConfig { bot_id, ..BotConfig::new(session_id, webhook_url) }
    }

    fn asked(&self, wanted: &Wanted) -> Result<Asked<'_>, OpenError> {
        match (&self.source, &wanted.config_url) {
            (Source::Backend(backend), None) => Ok(Asked::Backend(Cow::Borrowed(backend))),
            (Source::Backend(backend), Some(url)) => {
                Ok(Asked::Backend(Cow::Owned(backend.at(url))))
            }
            (Source::File(file), None) => Ok(Asked::File(file)),
            (Source::File(file), Some(url)) => {
                let wrong = |why: String| OpenError::Unavailable(format!("config_url: {why}"));
                let secret = self.secret.clone();
                let secret = secret.ok_or_else(|| wrong("VOXCORE_SECRET is not set".into()))?;
                let backend = Backend::new(url, secret, file.base_dir());
                Ok(Asked::Backend(Cow::Owned(backend.map_err(|error| wrong(error.0))?)))
            }
        }
    }

    /// What the bot's agent needs, checked: prompt files are there and can be read.
    pub async fn plan(&self, bot: &BotConfig) -> Result<AgentPlan, OpenError> {
        file::check_limits(bot).map_err(OpenError::BadBot)?;
        let plan = AgentPlan::of(bot, self.base_dir()).map_err(OpenError::BadBot)?;
        if let Some(file) = plan.file() {
            self.prompts.check(file).await.map_err(OpenError::BadBot)?;
        }
        let re_engagement = ReEngagement::of(bot).map_err(OpenError::BadBot)?;
        let mut others = re_engagement.map(|it| it.files).unwrap_or_default();
        others.extend(bot.pre_transfer_file.iter().map(Into::into));
        let usable = bot.transfer_targets.iter().filter(|target| target.enabled);
        others
            .extend(usable.filter_map(|target| target.consultation_file.as_ref()).map(Into::into));
        for file in others {
            self.prompts.check(&self.base_dir().join(file)).await.map_err(OpenError::BadBot)?;
        }
        Ok(plan)
    }

    /// An agent that plays this again and again; silence without one.
    pub fn looping(&self, file: Option<&str>) -> AgentPlan {
        let file = file.map(|file| self.base_dir().join(file));
        file.map_or(AgentPlan::Silent, |file| AgentPlan::Play { file, repeat: true })
    }

    /// A recording at `rate_hz`; relative files lie where the bots' own do.
    pub async fn prompt(&self, file: &Path, rate_hz: u32) -> Result<Prompt, String> {
        self.prompts.at(&self.base_dir().join(file), rate_hz).await
    }

    /// The agent, for audio at `rate_hz`. A brain over a WebSocket is no agent of the engine's own.
    pub async fn build(&self, plan: &AgentPlan, rate_hz: u32) -> Result<Agent, String> {
        Ok(match plan {
            AgentPlan::Silent => Agent::silent(),
            AgentPlan::Echo => Agent::echo(),
            AgentPlan::Socket(_) => Agent::silent(),
            AgentPlan::Tone { frequency_hz } => Agent::tone(rate_hz, *frequency_hz),
            AgentPlan::Play { file, repeat } => {
                Agent::play(self.prompts.at(file, rate_hz).await?, *repeat)
            }
        })
    }

    /// Names that can be called, with what answers; none when the Backend knows them.
    pub fn names(&self) -> Vec<(String, String)> {
        match &self.source {
            Source::Backend(_) => Vec::new(),
            Source::File(file) => file.names(),
        }
    }

    fn base_dir(&self) -> &Path {
        match &self.source {
            Source::Backend(backend) => backend.base_dir(),
            Source::File(file) => file.base_dir(),
        }
    }
}

/// Who is asked for a call's bot.
enum Asked<'a> {
    Backend(Cow<'a, Backend>),
    File(&'a BotsFile),
}

/// A call without a bot's config.
#[derive(Debug)]
pub struct NoConfig {
    /// Why.
    pub error: OpenError,
    /// The session that the Backend created for the call all the same: a result is due.
    pub session: Option<Box<BotConfig>>,
}

impl From<OpenError> for NoConfig {
    fn from(error: OpenError) -> Self {
        Self { error, session: None }
    }
}

/// A telephone number in the platform's form: `91` and ten digits get their `+`, everything else
/// is kept (contract §1.3). `None` for what is no number.
pub fn normalised_number(text: &str) -> Option<String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.len() < 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let national = text.len() == 12 && text.starts_with("91");
    Some(if national { format!("+{text}") } else { text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_a_bot_has_a_session_and_somewhere_for_its_result() {
        let dir = tempfile::tempdir().unwrap();
        let bots = Bots::load(&BotsConfig::BuiltIn, dir.path()).unwrap();
        let facts = |event: &str| CallFacts {
            dialed: "+1".into(),
            caller: "+2".into(),
            direction: crate::calls::CallDirection::Outbound,
            stream_id: "id".into(),
            connected_event: serde_json::from_str(event).unwrap(),
        };
        let campaign = facts(r#"{"_campaign_session_id":"s-7"}"#);
        let elsewhere = Wanted {
            bot_id: Some("b".into()),
            config_url: Some("http://api:8080/api/v1/config".into()),
        };
        let own = bots.stand_in(&Wanted::default(), &campaign);
        assert_eq!((own.session_id.as_str(), own.webhook_url.as_str()), ("s-7", ""));
        let unknown = bots.stand_in(&elsewhere, &campaign);
        assert_eq!(unknown.webhook_url, "", "without a secret nothing is posted there");
        let bots = bots.with_secret(Some(Secret::new("s")));
        let other = bots.stand_in(&elsewhere, &facts(r#"{"_campaign_session_id":""}"#));
        let results = "http://api:8080/api/v1/call-results";
        assert_eq!((other.bot_id.as_str(), other.webhook_url.as_str()), ("b", results));
        assert_eq!(other.session_id.len(), 36, "{}", other.session_id);
    }

    #[test]
    fn numbers_are_brought_into_the_platforms_form() {
        let rows = [
            ("+919876543210", Some("+919876543210")),
            ("919876543210", Some("+919876543210")),
            ("09876543210", Some("09876543210")),
            ("9198765432", Some("9198765432")),
            ("100", Some("100")),
            ("12", None),
            ("+", None),
            ("echo", None),
            ("+91x", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(normalised_number(text).as_deref(), expected, "{text}");
        }
    }
}
