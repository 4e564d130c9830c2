use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use vox_contracts::{BotConfig, Object};

/// What is done about a conversation in which nobody says anything any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReEngagement {
    /// So long neither side has spoken.
    pub(crate) silence: Duration,
    /// In a row, without a word from the caller. In 0..=20.
    pub(crate) attempts_max: u32,
    /// For the brain to say, one for each attempt; the last one again for those that follow.
    pub(crate) messages: Vec<String>,
    /// Played by the engine instead.
    pub(crate) files: Vec<PathBuf>,
    /// The call ends after the last attempt.
    pub(crate) hang_up: bool,
}

impl ReEngagement {
    /// What `bot` wants, or what is wrong with it. The contract leaves the object's fields open: those
    /// that are not ours are passed over.
    pub(crate) fn of(bot: &BotConfig) -> Result<Option<Self>, String> {
        let Some(given) = &bot.re_engagement else { return Ok(None) };
        if !flag(given, "enabled", true)? {
            return Ok(None);
        }
        Ok(Some(Self {
            silence: Duration::from_secs(number(given, "silence_seconds", 2, 3_600, 10)?),
            attempts_max: number(given, "max_attempts", 0, 20, 2)? as u32,
            messages: texts(given, "messages")?,
            files: texts(given, "files")?.into_iter().map(PathBuf::from).collect(),
            hang_up: flag(given, "hang_up", true)?,
        }))
    }

    /// What is said at an attempt, counted from 1.
    pub(crate) fn message(&self, attempt: u32) -> Option<&str> {
        nth(&self.messages, attempt).map(String::as_str)
    }

    /// What is played at an attempt, counted from 1.
    pub(crate) fn file(&self, attempt: u32) -> Option<&PathBuf> {
        nth(&self.files, attempt)
    }
}

fn nth<T>(all: &[T], attempt: u32) -> Option<&T> {
    let index = (attempt.max(1) as usize - 1).min(all.len().checked_sub(1)?);
    all.get(index)
}

fn flag(given: &Object, key: &str, default: bool) -> Result<bool, String> {
    match given.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(value)) => Ok(*value),
        Some(found) => Err(format!("re_engagement.{key}: expected true or false, found {found}")),
    }
}

fn number(given: &Object, key: &str, low: u64, high: u64, default: u64) -> Result<u64, String> {
    let found = match given.get(key) {
        None | Some(Value::Null) => return Ok(default),
        Some(found) => found,
    };
    let whole = found.as_u64().or_else(|| found.as_f64().map(|value| value.round() as u64));
    whole
        .filter(|value| (low..=high).contains(value))
        .ok_or_else(|| format!("re_engagement.{key}: expected {low} to {high}, found {found}"))
}

fn texts(given: &Object, key: &str) -> Result<Vec<String>, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let texts = match given.get(key) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(all)) if all.len() <= TEXTS_MAX => all.iter().map(text).collect(),
        Some(one) => text(one).map(|one| vec![one]),
    };
    texts.ok_or_else(|| format!("re_engagement.{key}: expected up to {TEXTS_MAX} texts"))
}

const TEXTS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(given: Value) -> Result<Option<ReEngagement>, String> {
        let mut bot = BotConfig::new("s", "w");
        bot.re_engagement = serde_json::from_value(given).unwrap();
        ReEngagement::of(&bot)
    }

    #[test]
    fn what_is_not_said_has_its_default_and_what_is_wrong_its_name() {
        assert_eq!(of(json!(null)), Ok(None));
        assert_eq!(of(json!({"enabled": false, "silence_seconds": "x"})), Ok(None));
        let plain = of(json!({"somebody": "else's"})).unwrap().unwrap();
        assert_eq!((plain.silence.as_secs(), plain.attempts_max, plain.hang_up), (10, 2, true));
        assert_eq!((plain.message(1), plain.file(1)), (None, None));
        let full = json!({"silence_seconds": 4.6, "max_attempts": 3, "hang_up": false,
            "messages": ["still there?", "hello?"], "files": "a.wav"});
        let full = of(full).unwrap().unwrap();
        assert_eq!((full.silence.as_secs(), full.hang_up), (5, false));
        assert_eq!(
            [1, 2, 3].map(|n| full.message(n).unwrap()),
            ["still there?", "hello?", "hello?"]
        );
        assert_eq!(full.file(2), Some(&"a.wav".into()));
        for (given, wrong) in [
            (json!({"enabled": 1}), "re_engagement.enabled: expected true or false, found 1"),
            (json!({"silence_seconds": 0}), "silence_seconds: expected 2 to 3600, found 0"),
            (json!({"silence_seconds": -1e300}), "expected 2 to 3600"),
            (json!({"max_attempts": "two"}), "max_attempts: expected 0 to 20, found \"two\""),
            (json!({"messages": [1]}), "messages: expected up to 20 texts"),
        ] {
            let found = of(given).unwrap_err();
            assert!(found.contains(wrong), "{found}");
        }
    }
}
