use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use uuid::Uuid;
use vox_call::Digits;
use vox_contracts::{AgentConfig, BotConfig, Object, RecordingConfig, TransferTarget};

use super::{AgentPlan, normalised_number};
use crate::config::{ConfigError, first_line};

/// A `bots.toml`.
#[derive(Debug)]
pub(super) struct BotsFile {
    base_dir: PathBuf,
    bots: BTreeMap<String, BotConfig>,
    /// DIDs in the platform's form.
    numbers: HashMap<String, String>,
}

impl BotsFile {
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("{name}: cannot be read: {error}")))?;
        let base_dir = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&name, &text, base_dir)
    }

    pub(super) fn built_in(base_dir: &Path) -> Result<Self, ConfigError> {
        Self::parse("built-in.toml", include_str!("built-in.toml"), base_dir.to_owned())
    }

    fn parse(name: &str, text: &str, base_dir: PathBuf) -> Result<Self, ConfigError> {
        let source = Text { name, text };
        let file: FileRow = toml::from_str(text)
            .map_err(|error| source.wrong(error.span(), first_line(error.message())))?;
        if file.bots.is_empty() {
            return Err(source.wrong(None, "expected at least one [bots.NAME], found none"));
        }
        let mut this = Self { base_dir, bots: BTreeMap::new(), numbers: HashMap::new() };
        for (bot, row) in file.bots {
            this.add(&source, bot, row)?;
        }
        Ok(this)
    }

    /// The bot of this name, or the one that has this number.
    pub(super) fn config(&self, dialed: &str) -> Option<BotConfig> {
        let mut bot = self.bots.get(self.name(dialed)?)?.clone();
        bot.session_id = Uuid::new_v4().to_string();
        Some(bot)
    }

    /// The name of that bot.
    pub(super) fn name(&self, dialed: &str) -> Option<&str> {
        let by_number = || self.numbers.get(&normalised_number(dialed)?);
        self.bots.get_key_value(dialed).map(|(name, _)| name).or_else(by_number).map(String::as_str)
    }

    pub(super) fn names(&self) -> Vec<(String, String)> {
        let kind = |bot: &BotConfig| match &bot.agent {
            Some(AgentConfig::Echo {}) => "gives back what you say".to_owned(),
            Some(AgentConfig::Tone { frequency_hz }) => format!("a tone of {frequency_hz} Hz"),
            Some(AgentConfig::Play { file, .. }) => {
                format!("plays {}", file.as_deref().unwrap_or_default())
            }
            Some(AgentConfig::Websocket(_)) => "a brain over a WebSocket".to_owned(),
            None => String::new(),
        };
        self.bots.iter().map(|(name, bot)| (name.clone(), kind(bot))).collect()
    }

    pub(super) fn base_dir(&self) -> &Path {
        &self.base_dir
    }

    fn add(
        &mut self,
        source: &Text<'_>,
        name: String,
        row: Spanned<BotRow>,
    ) -> Result<(), ConfigError> {
        let span = row.span();
        let wrong = |what: &str| source.wrong(Some(span.clone()), &format!("bots.{name}: {what}"));
        let row = row.into_inner();
        for number in &row.numbers {
            let text = number.get_ref();
            let wrong = |what: String| {
                source.wrong(Some(number.span()), &format!("bots.{name}.numbers: {what}"))
            };
            let number = normalised_number(text)
                .ok_or_else(|| wrong(format!("expected telephone numbers, found {text:?}")))?;
            if let Some(other) = self.numbers.insert(number, name.clone()) {
                return Err(wrong(format!("{text} belongs to bots.{other} already")));
            }
        }
        let bot = row.into_config(&name).map_err(|what| wrong(&what))?;
        let plan = AgentPlan::of(&bot, &self.base_dir).map_err(|what| wrong(&what))?;
        if let AgentPlan::Play { file, .. } = plan
            && !file.is_file()
        {
            return Err(wrong(&format!("agent.file: {} is no file", file.display())));
        }
        self.bots.insert(name, bot);
        Ok(())
    }
}

struct Text<'a> {
    name: &'a str,
    text: &'a str,
}

impl Text<'_> {
    fn wrong(&self, span: Option<Range<usize>>, what: &str) -> ConfigError {
        let at = span.map_or(0, |span| span.start.min(self.text.len()));
        let line = self.text[..at].matches('\n').count() + 1;
        ConfigError(format!("{} line {line}: {what}", self.name))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRow {
    #[serde(default)]
    bots: BTreeMap<String, Spanned<BotRow>>,
}

/// A bot's config as people write it: the contract's fields, of which a misspelt one is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BotRow {
    #[serde(default)]
    numbers: Vec<Spanned<String>>,
    #[serde(default)]
    webhook_url: String,
    bot_id: Option<String>,
    system_prompt: Option<String>,
    opening_message: Option<String>,
    timezone: Option<String>,
    max_call_duration_seconds: Option<u32>,
    min_words_interruption: Option<u32>,
    voicemail_message: Option<String>,
    pre_transfer_message: Option<String>,
    re_engagement: Option<Object>,
    #[serde(default)]
    transfer_targets: Vec<TransferTarget>,
    auto_dispositions: Option<serde_json::Value>,
    stt: Option<Object>,
    llm: Option<Object>,
    tts: Option<Object>,
    vad: Option<Object>,
    agent: AgentConfig,
    #[serde(default)]
    recording: RecordingRow,
    no_audio_seconds: Option<u32>,
    rnr_seconds: Option<u32>,
    warning_seconds: Option<u32>,
    pre_transfer_file: Option<String>,
    digits_on_answer: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RecordingRow {
    enabled: Option<bool>,
    channels: Option<u16>,
    sample_rate: Option<u32>,
}

impl BotRow {
    fn into_config(self, name: &str) -> Result<BotConfig, String> {
        let default = BotConfig::new("", self.webhook_url);
        let bot = BotConfig {
            bot_id: self.bot_id.unwrap_or_else(|| name.to_owned()),
            system_prompt: self.system_prompt,
            opening_message: self.opening_message,
            timezone: self.timezone.unwrap_or(default.timezone),
            max_call_duration_seconds: self
                .max_call_duration_seconds
                .unwrap_or(default.max_call_duration_seconds),
            min_words_interruption: self
                .min_words_interruption
                .unwrap_or(default.min_words_interruption),
            voicemail_message: self.voicemail_message,
            pre_transfer_message: self.pre_transfer_message,
            re_engagement: self.re_engagement,
            transfer_targets: self.transfer_targets,
            auto_dispositions: self.auto_dispositions,
            stt: self.stt,
            llm: self.llm,
            tts: self.tts,
            vad: self.vad,
            agent: Some(self.agent),
            recording: self.recording.into_config(),
            no_audio_seconds: self.no_audio_seconds.unwrap_or(default.no_audio_seconds),
            rnr_seconds: self.rnr_seconds.unwrap_or(default.rnr_seconds),
            warning_seconds: self.warning_seconds.unwrap_or(default.warning_seconds),
            pre_transfer_file: self.pre_transfer_file,
            digits_on_answer: self.digits_on_answer,
            session_id: default.session_id,
            webhook_url: default.webhook_url,
            extra: default.extra,
        };
        check_limits(&bot)?;
        Ok(bot)
    }
}

impl RecordingRow {
    fn into_config(self) -> RecordingConfig {
        let default = RecordingConfig::default();
        RecordingConfig {
            enabled: self.enabled.unwrap_or(default.enabled),
            channels: self.channels.unwrap_or(default.channels),
            sample_rate: self.sample_rate,
            extra: default.extra,
        }
    }
}

/// Values that the engine would not understand.
pub(super) fn check_limits(bot: &BotConfig) -> Result<(), String> {
    let day = 1..=86_400;
    let wrong = |key: &str, expected: &str, found: u32| {
        Err(format!("{key}: expected {expected}, found {found}"))
    };
    if !day.contains(&bot.max_call_duration_seconds) {
        return wrong("max_call_duration_seconds", "1 to 86400", bot.max_call_duration_seconds);
    }
    if !day.contains(&bot.no_audio_seconds) {
        return wrong("no_audio_seconds", "1 to 86400", bot.no_audio_seconds);
    }
    if !(1..=2).contains(&bot.recording.channels) {
        return wrong("recording.channels", "1 or 2", bot.recording.channels.into());
    }
    if let Some(digits) = &bot.digits_on_answer
        && Digits::new(digits).is_none()
    {
        return Err(format!("digits_on_answer: expected 1 to 32 of 0-9 * # A-D, found {digits:?}"));
    }
    super::ReEngagement::of(bot)?;
    match bot.recording.sample_rate {
        None | Some(8_000 | 16_000) => Ok(()),
        Some(found) => wrong("recording.sample_rate", "8000 or 16000", found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BotsFile, String> {
        BotsFile::parse("bots.toml", text, "/nowhere".into()).map_err(|error| error.0)
    }

    #[test]
    fn a_bot_answers_to_its_name_and_its_numbers() {
        let file = parse(
            "[bots.front]\nnumbers = [\"919876543210\", \"100\"]\nagent = { kind = \"echo\" }\n\
             max_call_duration_seconds = 60\nrecording = { enabled = false }\n",
        )
        .unwrap();
        for dialed in ["front", "+919876543210", "919876543210", "100"] {
            let bot = file.config(dialed).unwrap();
            assert_eq!((bot.bot_id.as_str(), bot.max_call_duration_seconds), ("front", 60));
            assert!(!bot.recording.enabled && bot.webhook_url.is_empty());
        }
        for dialed in ["Front", "101", "", "0919876543210"] {
            assert!(file.config(dialed).is_none(), "{dialed}");
        }
        let session = || file.config("front").unwrap().session_id;
        assert_ne!(session(), session());
    }

    #[test]
    fn a_bad_row_is_named_with_file_line_and_key() {
        let check = |text: &str, expected: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "expected {expected:?}\n   found {error:?}");
            assert_eq!(error.lines().count(), 1);
        };
        let echo = "agent = { kind = \"echo\" }\n";
        check("", "bots.toml line 1: expected at least one [bots.NAME], found none");
        check("[bots.a\n", "bots.toml line 1: ");
        check("[bot.a]\n", "bots.toml line 1: unknown field `bot`, expected `bots`");
        check("[bots.a]\n", "bots.toml line 1: missing field `agent`");
        check(
            "[bots.a]\nagent = { kind = \"ecco\" }\n",
            "bots.toml line 2: unknown variant `ecco`, expected one of `echo`, `tone`, `play`, `websocket`",
        );
        check(
            "[bots.a]\nagent = { kind = \"play\" }\n",
            "bots.toml line 1: bots.a: agent.file is missing",
        );
        check(
            "[bots.a]\nagent = { kind = \"play\", file = \"no.wav\" }\n",
            "bots.toml line 1: bots.a: agent.file: /nowhere/no.wav is no file",
        );
        check(
            "[bots.a]\nagent = { kind = \"websocket\", url = \"h\" }\n",
            "bots.toml line 1: bots.a: agent.url: expected ws://host[:port]/path or wss://…",
        );
        check(
            &format!("[bots.a]\n{echo}max_call_duration = 1\n"),
            "bots.toml line 3: unknown field `max_call_duration`",
        );
        check(
            &format!("[bots.a]\n{echo}no_audio_seconds = \"x\"\n"),
            "bots.toml line 3: invalid type: string \"x\", expected u32",
        );
        check(
            &format!("[bots.a]\n{echo}no_audio_seconds = 0\n"),
            "bots.toml line 1: bots.a: no_audio_seconds: expected 1 to 86400, found 0",
        );
        check(
            &format!("[bots.a]\n{echo}recording = {{ channels = 3 }}\n"),
            "bots.toml line 1: bots.a: recording.channels: expected 1 or 2, found 3",
        );
        check(
            &format!("[bots.a]\n{echo}recording = {{ sample_rate = 44100 }}\n"),
            "bots.toml line 1: bots.a: recording.sample_rate: expected 8000 or 16000, found 44100",
        );
        check(
            &format!("[bots.a]\n{echo}digits_on_answer = \"12x\"\n"),
            "bots.toml line 1: bots.a: digits_on_answer: expected 1 to 32 of 0-9 * # A-D, found \"12x\"",
        );
        check(
            &format!("[bots.a]\n{echo}numbers = [\"abc\"]\n"),
            "bots.toml line 3: bots.a.numbers: expected telephone numbers, found \"abc\"",
        );
        check(
            &format!("[bots.a]\n{echo}numbers = [\"100\"]\n[bots.b]\n{echo}numbers = [\"100\"]\n"),
            "bots.toml line 6: bots.b.numbers: 100 belongs to bots.a already",
        );
    }

    #[test]
    fn the_built_in_bots_are_echo_tone_and_play() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("prompt.wav"), b"").unwrap();
        let file = BotsFile::built_in(dir.path()).unwrap();
        let names: Vec<String> = file.names().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["echo", "play", "tone"]);
    }

    #[test]
    fn a_missing_file_says_so() {
        let error = BotsFile::read(Path::new("/nowhere/bots.toml")).unwrap_err().0;
        assert!(error.starts_with("/nowhere/bots.toml: cannot be read: "), "{error}");
    }
}
