//! Values with units, written as text: `"30s"`, `"5%"`, `"PCMU"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use vox_codecs::CodecKind;

use crate::network::Profile;

/// The longest time that a scenario may name: a day.
const SPAN_SECONDS_MAX: f64 = 86_400.0;

/// A length of time: `"20ms"`, `"30s"`, `"2m"`, `"1h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

/// A share of something, 0..=1, written as a percentage: `"5%"`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Share(pub f64);

/// A codec by its name in SDP: `"PCMU"`, `"PCMA"`, `"G722"`, `"opus"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codec(pub CodecKind);

/// Digits to press: `"123#"`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Digits(pub String);

/// A bad network, as written: `"loss=1%,jitter=30ms"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Net {
    text: String,
    /// What it says.
    pub profile: Profile,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
        let parsed = units.iter().find_map(|(unit, scale)| {
            let number = text.strip_suffix(unit)?.trim_end();
            number.parse::<f64>().ok().map(|number| number * scale)
        });
        parsed
            .filter(|seconds| (0.0..=SPAN_SECONDS_MAX).contains(seconds))
            .map(|seconds| Self(Duration::from_secs_f64(seconds)))
            .ok_or_else(|| format!("{text:?}: expected a time up to a day, as in 500ms, 30s or 2m"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        match micros.is_multiple_of(1_000_000) {
            true => write!(f, "{}s", micros / 1_000_000),
            false => write!(f, "{}ms", micros as f64 / 1e3),
        }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        number
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(|percent| Self(percent / 100.0))
            .ok_or_else(|| format!("{text:?}: expected a percentage, as in 5%"))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // To six digits: 0.07 * 100 is not 7.
        write!(f, "{}%", (self.0 * 1e8).round() / 1e6)
    }
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [CodecKind::Pcmu, CodecKind::Pcma, CodecKind::G722, CodecKind::Opus]
            .into_iter()
            .find(|codec| codec.sdp_name().eq_ignore_ascii_case(text))
            .map(Self)
            .ok_or_else(|| format!("{text:?}: expected one of PCMU, PCMA, G722, opus"))
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.sdp_name())
    }
}

impl FromStr for Digits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let valid = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#' | 'A'..='D');
        match text.len() <= 32 && text.chars().all(valid) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("{text:?}: expected at most 32 of 0-9 * # A-D")),
        }
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), profile: text.parse()? })
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads and writes a type as the text it is parsed from.
macro_rules! as_text {
    ($($kind:ty => $expected:literal),* $(,)?) => {$(
        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $kind;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$kind, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                from.deserialize_str(Text)
            }
        }
    )*};
}

as_text! {
    Span => "a time in quotes, as in \"30s\"",
    Share => "a percentage in quotes, as in \"5%\"",
    Codec => "a codec's name in quotes, as in \"PCMU\"",
    Digits => "digits in quotes, as in \"123#\"",
    Net => "a network in quotes, as in \"loss=1%,jitter=30ms\"",
}
