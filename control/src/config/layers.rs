use std::collections::HashMap;
use std::path::Path;

use super::ConfigError;
use super::knobs::{KNOBS, Knob};

/// Where values come from, weakest first.
#[derive(Debug, Default)]
pub struct Layers<'a> {
    /// In place of the knobs' own defaults: `(key, value)`.
    pub defaults: &'a [(&'a str, String)],
    /// A TOML file.
    pub file: Option<&'a Path>,
    /// Environment variables.
    pub env: HashMap<String, String>,
    /// From the command line: `(key, value)`.
    pub flags: &'a [(&'a str, String)],
}

/// A value and where it was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) text: String,
    /// For error messages: `VOXCORE_SIP_PORT`, `voxcore.toml line 3: sip.port`.
    pub(super) place: String,
}

/// The winning value of each knob that is set.
#[derive(Debug)]
pub(super) struct Values(HashMap<&'static str, Found>);

impl Values {
    pub(super) fn gather(layers: &Layers<'_>) -> Result<Self, ConfigError> {
        let mut values = HashMap::new();
        for knob in KNOBS {
            insert(&mut values, knob, knob.default, knob.key.to_owned());
        }
        overlay(&mut values, layers.defaults);
        if let Some(path) = layers.file {
            read_file(&mut values, path)?;
        }
        for knob in KNOBS {
            if let Some(text) = layers.env.get(knob.env) {
                insert(&mut values, knob, text, knob.env.to_owned());
            }
        }
        overlay(&mut values, layers.flags);
        Ok(Self(values))
    }

    /// `None` when the knob is unset or empty.
    pub(super) fn get(&self, key: &str) -> Option<&Found> {
        debug_assert!(KNOBS.iter().any(|knob| knob.key == key), "{key}");
        self.0.get(key)
    }
}

/// An empty value is no value: an `EnvironmentFile` lists variables that are not used that way.
fn insert(
    values: &mut HashMap<&'static str, Found>,
    knob: &'static Knob,
    text: &str,
    place: String,
) {
    let text = text.trim();
    if !text.is_empty() {
        values.insert(knob.key, Found { text: text.to_owned(), place });
    }
}

fn overlay(values: &mut HashMap<&'static str, Found>, layer: &[(&str, String)]) {
    for (key, text) in layer {
        let knob = KNOBS.iter().find(|knob| knob.key == *key);
        debug_assert!(knob.is_some(), "{key}");
        if let Some(knob) = knob {
            insert(values, knob, text, (*key).to_owned());
        }
    }
}

fn read_file(values: &mut HashMap<&'static str, Found>, path: &Path) -> Result<(), ConfigError> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("{name}: cannot be read: {error}")))?;
    let line_of = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let table = toml::de::DeTable::parse(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        ConfigError(format!("{name} line {line}: {}", first_line(error.message())))
    })?;
    for (section, content) in table.get_ref() {
        let toml::de::DeValue::Table(keys) = content.get_ref() else {
            let line = line_of(section.span().start);
            return Err(ConfigError(format!(
                "{name} line {line}: expected a section like [worker] or [sip], found the key \"{}\"",
                section.get_ref()
            )));
        };
        for (key, value) in keys {
            let line = line_of(key.span().start);
            let full = format!("{}.{}", section.get_ref(), key.get_ref());
            let knob = KNOBS.iter().find(|knob| knob.key == full).ok_or_else(|| {
                ConfigError(format!(
                    "{name} line {line}: \"{full}\" is no knob; `voxcore --help` lists them"
                ))
            })?;
            let place = format!("{name} line {line}: {full}");
            let text = scalar(value.get_ref()).ok_or_else(|| {
                ConfigError(format!("{place}: expected a string, number, boolean or list of these"))
            })?;
            insert(values, knob, &text, place);
        }
    }
    Ok(())
}

fn scalar(value: &toml::de::DeValue<'_>) -> Option<String> {
    use toml::de::DeValue;
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(|v| scalar(v.get_ref())).collect();
            items.map(|items| items.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

pub(crate) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
