//! Changes to a scenario from the command line: `callers.hold=30s`.

use std::fmt;
use std::str::FromStr;

use toml::{Table, Value};

/// A change: a key with dots, and its value as TOML, or as text when it is no TOML.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    path: Vec<String>,
    value: Value,
}

impl Override {
    /// Sets the key `path` (with dots) to `value`.
    pub fn new(path: &str, value: impl Into<Value>) -> Self {
        Self { path: path.split('.').map(str::to_owned).collect(), value: value.into() }
    }
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?}: expected KEY=VALUE, as in callers.hold=30s");
        let (path, value) = text.split_once('=').ok_or_else(expected)?;
        let path = path.trim();
        if path.is_empty() || path.split('.').any(|part| part.trim().is_empty()) {
            return Err(expected());
        }
        // `30s`, `5%` and `sip:…` are no TOML without quotes: shells eat quotes, so none are asked for.
        let parsed = format!("value = {value}").parse::<Table>();
        let parsed = parsed.ok().and_then(|mut table| table.remove("value"));
        Ok(Self::new(path, parsed.unwrap_or_else(|| Value::String(value.trim().to_owned()))))
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path.join("."), self.value)
    }
}

/// `text` with `changes`; `None` without any, so that errors can point into the text as it is.
pub(super) fn apply(text: &str, changes: &[Override]) -> Result<Option<String>, String> {
    if changes.is_empty() {
        return Ok(None);
    }
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    for change in changes {
        set(&mut table, change)?;
    }
    toml::to_string(&table).map(Some).map_err(|error| error.to_string())
}

fn set(table: &mut Table, change: &Override) -> Result<(), String> {
    let Some((last, above)) = change.path.split_last() else { return Ok(()) };
    let mut place = table;
    for part in above {
        let entry = place.entry(part.clone()).or_insert_with(|| Value::Table(Table::new()));
        // `arrival = { rate = 10 }` gives way to `arrival.at_once.calls=5`.
        place = entry.as_table_mut().ok_or_else(|| format!("{change}: {part} is no table"))?;
    }
    place.insert(last.clone(), change.value.clone());
    Ok(())
}
