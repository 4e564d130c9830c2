//! Values of knobs, checked one by one. Each error says what was expected and what was found.

use std::ops::RangeInclusive;
use std::str::FromStr;

use reqwest::header::HeaderValue;
use vox_codecs::CodecKind;

use super::layers::Values;
use super::{ConfigError, Secret};

impl Values {
    pub(super) fn text(&self, key: &str) -> Result<String, ConfigError> {
        self.get(key).map(|found| found.text.clone()).ok_or_else(|| self.wrong(key, "a value"))
    }

    /// A secret that is sent as a header's value.
    pub(super) fn secret(&self, key: &str) -> Result<Option<Secret>, ConfigError> {
        let Some(found) = self.get(key) else { return Ok(None) };
        match HeaderValue::from_str(&found.text) {
            Ok(_) => Ok(Some(Secret::new(&found.text))),
            Err(_) => Err(self.wrong(key, "one line without control characters")),
        }
    }

    pub(super) fn parsed<T: FromStr>(&self, key: &str, expected: &str) -> Result<T, ConfigError> {
        self.text(key)?.parse().map_err(|_| self.wrong(key, expected))
    }

    pub(super) fn optional<T: FromStr>(
        &self,
        key: &str,
        expected: &str,
    ) -> Result<Option<T>, ConfigError> {
        self.get(key).map(|_| self.parsed(key, expected)).transpose()
    }

    pub(super) fn number<T: TryFrom<u64>>(
        &self,
        key: &str,
        least: u64,
        most: u64,
    ) -> Result<T, ConfigError> {
        let expected = format!("a whole number from {least} to {most}");
        let number: u64 = self.parsed(key, &expected)?;
        let inside = (least..=most).contains(&number).then(|| T::try_from(number).ok()).flatten();
        inside.ok_or_else(|| self.wrong(key, &expected))
    }

    pub(super) fn boolean(&self, key: &str) -> Result<bool, ConfigError> {
        match self.text(key)?.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(self.wrong(key, "true or false")),
        }
    }

    /// Whether it is `this`, of two words.
    pub(super) fn choice(&self, key: &str, this: &str, that: &str) -> Result<bool, ConfigError> {
        match self.text(key)? {
            text if text == this => Ok(true),
            text if text == that => Ok(false),
            _ => Err(self.wrong(key, &format!("{that} or {this}"))),
        }
    }

    pub(super) fn worker_id(&self) -> Result<String, ConfigError> {
        let id = self.text("worker.id")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        match id.len() <= 32 && id.chars().all(plain) {
            true => Ok(id),
            false => Err(self.wrong("worker.id", "up to 32 letters, digits and dashes")),
        }
    }

    pub(super) fn log(&self, key: &str) -> Result<String, ConfigError> {
        let filter = self.text(key)?;
        match tracing_subscriber::EnvFilter::builder().parse(&filter) {
            Ok(_) => Ok(filter),
            Err(_) => Err(self.wrong(key, "a log filter like info or voxcore=debug")),
        }
    }

    pub(super) fn codecs(&self, key: &str) -> Result<Vec<CodecKind>, ConfigError> {
        let all = [CodecKind::Opus, CodecKind::G722, CodecKind::Pcmu, CodecKind::Pcma];
        let expected = "a list of opus, G722, PCMU, PCMA, each at most once";
        let mut codecs = Vec::new();
        for name in self.text(key)?.split(',').map(str::trim) {
            let codec = all.into_iter().find(|codec| codec.sdp_name().eq_ignore_ascii_case(name));
            match codec {
                Some(codec) if !codecs.contains(&codec) => codecs.push(codec),
                _ => return Err(self.wrong(key, expected)),
            }
        }
        Ok(codecs)
    }

    pub(super) fn ports(&self, key: &str) -> Result<RangeInclusive<u16>, ConfigError> {
        let expected = "a range like 16384-32767, from 1024 up, with room for an even/odd pair";
        let text = self.text(key)?;
        let range = text.split_once('-').and_then(|(first, last)| {
            let range = first.trim().parse::<u16>().ok()?..=last.trim().parse::<u16>().ok()?;
            let first_even = range.start().checked_next_multiple_of(2)?;
            (*range.start() >= 1024 && first_even < *range.end()).then_some(range)
        });
        range.ok_or_else(|| self.wrong(key, expected))
    }

    pub(super) fn cores(&self, key: &str) -> Result<Vec<usize>, ConfigError> {
        let Some(found) = self.get(key) else { return Ok(Vec::new()) };
        let cores: Option<Vec<usize>> =
            found.text.split(',').map(|core| core.trim().parse().ok()).collect();
        let distinct = |cores: &Vec<usize>| {
            cores.iter().enumerate().all(|(at, core)| *core < 1024 && !cores[..at].contains(core))
        };
        cores.filter(distinct).ok_or_else(|| self.wrong(key, "a list of distinct cores like 2,3"))
    }

    pub(super) fn url(&self, key: &str, schemes: &[&str]) -> Result<String, ConfigError> {
        let text = self.text(key)?;
        let valid = reqwest::Url::parse(&text)
            .is_ok_and(|url| schemes.contains(&url.scheme()) && url.has_host());
        match valid {
            true => Ok(text),
            false => {
                Err(self
                    .wrong(key, &format!("a URL that begins with {}://", schemes.join(":// or "))))
            }
        }
    }

    pub(super) fn host_port(&self, key: &str) -> Result<String, ConfigError> {
        let text = self.text(key)?;
        let bare = !text.contains("://") && !text.contains('/') && !text.contains('@');
        let valid = bare && reqwest::Url::parse(&format!("http://{text}")).is_ok();
        match valid {
            true => Ok(text),
            false => Err(self.wrong(key, "host:port without a scheme; MINIO_SECURE chooses https")),
        }
    }

    pub(super) fn bucket(&self, key: &str) -> Result<String, ConfigError> {
        let text = self.text(key)?;
        let plain =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        match (3..=63).contains(&text.len()) && text.chars().all(plain) {
            true => Ok(text),
            false => Err(self.wrong(key, "3 to 63 lower-case letters, digits, dots and dashes")),
        }
    }

    /// Values that only make sense together.
    pub(super) fn all_or_none<const N: usize>(
        &self,
        keys: [&str; N],
    ) -> Result<Option<[String; N]>, ConfigError> {
        let set = keys.map(|key| self.get(key).is_some());
        let missing = keys.into_iter().zip(set).find(|(_, set)| !set).map(|(key, _)| key);
        let present = keys.into_iter().zip(set).find(|(_, set)| *set).map(|(key, _)| key);
        match (present, missing) {
            (None, _) => Ok(None),
            (Some(present), Some(missing)) => {
                Err(self.wrong(missing, &format!("a value, because {} is set", self.name(present))))
            }
            (Some(_), None) => Ok(Some(keys.map(|key| self.text(key).unwrap_or_default()))),
        }
    }

    /// The one line of an invalid value. Secrets are not repeated.
    pub(super) fn wrong(&self, key: &str, expected: &str) -> ConfigError {
        let secret = key.contains("secret") || key.ends_with("access_key");
        ConfigError(match self.get(key) {
            Some(found) if secret => format!("{}: expected {expected}", found.place),
            Some(found) => format!("{}: expected {expected}, found {:?}", found.place, found.text),
            None => format!("{}: expected {expected}, found nothing", self.name(key)),
        })
    }

    /// The name a value goes by where it is most often set.
    fn name(&self, key: &str) -> &'static str {
        super::KNOBS.iter().find(|knob| knob.key == key).map_or("", |knob| knob.env)
    }
}
