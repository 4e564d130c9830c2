//! Where a caller may be sent: the bot's transfer targets, checked. Pure.

use std::fmt;

use rsipstack::sip::Uri;
use vox_contracts::TransferTarget;

/// Where a caller is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A `sip:`, `sips:` or `tel:` URI without header fields.
    Uri(String),
    /// A telephone number or an extension: the caller's side knows where it leads.
    Number(String),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Uri(text) | Self::Number(text)) = self;
        f.write_str(text)
    }
}

/// A destination, and the target it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) destination: Destination,
    /// Id of the target, its label when it has none; `None` for a number of the brain's own.
    pub(super) target: Option<String>,
    pub(super) mode: TransferMode,
    /// What the target hears when it is called first.
    pub(super) consultation_file: Option<String>,
}

/// How a caller is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransferMode {
    /// Whoever is there, or not (RFC 5589 §6).
    #[default]
    Blind,
    /// Once we have called the target and it has answered (RFC 5589 §7).
    Attended,
}

impl TransferMode {
    /// As configs and brains write it; `None` is for them to leave open.
    pub(super) fn read(text: Option<&str>) -> Result<Option<Self>, String> {
        match text.map(str::trim) {
            None | Some("") => Ok(None),
            Some("blind") => Ok(Some(Self::Blind)),
            Some("attended") => Ok(Some(Self::Attended)),
            Some(found) => {
                Err(format!("mode: expected blind or attended, found \"{}\"", short(found)))
            }
        }
    }
}

/// What `wanted` means for a bot with these targets; `None` is the default target. A bot that lists
/// targets is held to them: whatever a caller talks the brain into, it reaches no other number.
pub(super) fn choose(targets: &[TransferTarget], wanted: Option<&str>) -> Result<Chosen, String> {
    let Some(wanted) = wanted.map(str::trim).filter(|wanted| !wanted.is_empty()) else {
        let usable = || targets.iter().filter(|target| target.enabled);
        let default = usable().find(|target| target.is_default).or_else(|| {
            // One target needs no mark to be the default.
            usable().next().filter(|_| usable().count() == 1)
        });
        return of(default.ok_or("the bot has no default transfer target")?);
    };
    let named = |target: &&TransferTarget| {
        [&target.id, &target.label, &target.value]
            .into_iter()
            .any(|name| !name.is_empty() && name.eq_ignore_ascii_case(wanted))
    };
    let mut all = targets.iter().filter(named).peekable();
    if all.peek().is_some() {
        let target = all.find(|target| target.enabled);
        return of(target
            .ok_or_else(|| format!("transfer target \"{}\" is not enabled", short(wanted)))?);
    }
    if !targets.is_empty() {
        return Err(format!("the bot has no transfer target \"{}\"", short(wanted)));
    }
    let scheme = wanted.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    let destination = match scheme.as_deref() {
        Some("sip" | "sips") => sip_uri(wanted),
        Some("tel") => tel_uri(wanted),
        _ => number(wanted),
    };
    let mode = TransferMode::default();
    Ok(Chosen { destination: destination?, target: None, mode, consultation_file: None })
}

fn of(target: &TransferTarget) -> Result<Chosen, String> {
    let value = target.value.trim();
    let destination = match target.kind.as_str() {
        "extension" => extension(value),
        "phone_number" => number(value),
        "sip_uri" => sip_uri(value),
        "tel_uri" => tel_uri(value),
        found => Err(format!(
            "type: expected extension, sip_uri, tel_uri or phone_number, found \"{}\"",
            short(found)
        )),
    };
    let name = if target.id.is_empty() { &target.label } else { &target.id };
    let wrong = |why| format!("transfer target \"{}\": {why}", short(name));
    let mode = TransferMode::read(Some(&target.mode)).map_err(wrong)?.unwrap_or_default();
    Ok(Chosen {
        destination: destination.map_err(wrong)?,
        target: Some(name.clone()),
        mode,
        consultation_file: target.consultation_file.clone(),
    })
}

/// A user part that needs no escaping, and `#`.
fn extension(text: &str) -> Result<Destination, String> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b"+*#-_.".contains(&b);
    match (1..=EXTENSION_MAX).contains(&text.len()) && text.bytes().all(valid) {
        true => Ok(Destination::Number(text.to_owned())),
        false => Err(format!("expected an extension, found \"{}\"", short(text))),
    }
}

/// ITU-T E.164 numbers have 15 digits at most; prefixes of trunks come before them.
fn number(text: &str) -> Result<Destination, String> {
    let number: String = text.chars().filter(|c| !SEPARATORS.contains(c)).collect();
    let digits = number.strip_prefix('+').unwrap_or(&number);
    match (2..=24).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(Destination::Number(number)),
        false => Err(format!("expected a telephone number, found \"{}\"", short(text))),
    }
}

/// RFC 3966: a global number, or a local one with its context; parameters are kept.
fn tel_uri(text: &str) -> Result<Destination, String> {
    let wrong = || format!("expected a tel: URI, found \"{}\"", short(text));
    let rest =
        text.get(4..).filter(|_| text[..4].eq_ignore_ascii_case("tel:")).ok_or_else(wrong)?;
    let (number, parameters) = rest.split_once(';').unwrap_or((rest, ""));
    let digits = number.strip_prefix('+').unwrap_or(number);
    let dialled = |b: u8| b.is_ascii_digit() || b"*#-.()".contains(&b);
    let spelt = |b: u8| b.is_ascii_alphanumeric() || b";=+-._".contains(&b);
    let valid = text.len() <= URI_MAX
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(dialled)
        && parameters.bytes().all(spelt);
    valid.then(|| Destination::Uri(text.to_owned())).ok_or_else(wrong)
}

/// Without header fields: they could carry anything into the call that the caller's side makes.
fn sip_uri(text: &str) -> Result<Destination, String> {
    let wrong = || format!("expected a sip: URI without header fields, found \"{}\"", short(text));
    let plain = |b: u8| b.is_ascii_graphic() && !b"<>\"?,\\^`{|}".contains(&b);
    if text.len() > URI_MAX || !text.bytes().all(plain) {
        return Err(wrong());
    }
    let (scheme, rest) = text.split_once(':').ok_or_else(wrong)?;
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let is_sip = ["sip", "sips"].iter().any(|it| scheme.eq_ignore_ascii_case(it));
    let named = host.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'[');
    let valid = is_sip && named && Uri::try_from(text).is_ok();
    valid.then(|| Destination::Uri(text.to_owned())).ok_or_else(wrong)
}

/// For messages: what came from outside, bounded and without control characters.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

const EXTENSION_MAX: usize = 32;
const URI_MAX: usize = 256;
/// What people write between digits.
const SEPARATORS: [char; 5] = [' ', '-', '.', '(', ')'];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn targets() -> Vec<TransferTarget> {
        let rows = json!([
            {"id": "sales", "label": "Sales desk", "type": "extension", "value": "600", "enabled": true},
            {"id": "boss", "type": "sip_uri", "value": "sip:boss@pbx.example;transport=tcp",
             "enabled": true, "is_default": true},
            {"id": "night", "type": "phone_number", "value": "+49 (30) 123-456", "enabled": true},
            {"id": "tel", "type": "tel_uri", "value": "tel:+49-30-123;ext=7", "enabled": true},
            {"id": "off", "type": "extension", "value": "666", "enabled": false},
            {"id": "odd", "type": "pigeon", "value": "1", "enabled": true},
            {"id": "bad", "type": "sip_uri", "value": "sip:a@b?Replaces=x", "enabled": true},
            {"id": "asked", "type": "extension", "value": "7", "enabled": true, "mode": "attended"},
            {"id": "how", "type": "extension", "value": "8", "enabled": true, "mode": "loudly"},
        ]);
        serde_json::from_value(rows).unwrap()
    }

    #[test]
    fn only_enabled_targets_are_reached_and_each_by_its_names() {
        use Destination::{Number, Uri};
        let boss = || Uri("sip:boss@pbx.example;transport=tcp".into());
        let rows: &[(Option<&str>, Result<Destination, &str>)] = &[
            (None, Ok(boss())),
            (Some(" "), Ok(boss())),
            (Some("sales"), Ok(Number("600".into()))),
            (Some("sales DESK"), Ok(Number("600".into()))),
            (Some("600"), Ok(Number("600".into()))),
            (Some("night"), Ok(Number("+4930123456".into()))),
            (Some("tel"), Ok(Uri("tel:+49-30-123;ext=7".into()))),
            (Some("off"), Err("\"off\" is not enabled")),
            (Some("666"), Err("is not enabled")),
            (Some("odd"), Err("found \"pigeon\"")),
            (Some("bad"), Err("without header fields")),
            (Some("asked"), Ok(Number("7".into()))),
            (Some("how"), Err("expected blind or attended, found \"loudly\"")),
            (Some("+900666"), Err("no transfer target")),
            (Some("sip:evil@h"), Err("no transfer target")),
        ];
        for (wanted, expected) in rows {
            match (choose(&targets(), *wanted), expected) {
                (Ok(found), Ok(expected)) => {
                    assert_eq!(found.destination, *expected);
                    let attended = found.mode == TransferMode::Attended;
                    assert_eq!(attended, *wanted == Some("asked"), "{wanted:?}");
                }
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{wanted:?}: {why}"),
                (found, _) => panic!("{wanted:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_bot_without_targets_takes_numbers_and_uris_that_are_well_formed() {
        let rows = [
            ("+91 98765-43210", Some("+919876543210")),
            ("100", Some("100")),
            ("sip:a@127.0.0.1:5080", Some("sip:a@127.0.0.1:5080")),
            ("sips:a@[::1]", Some("sips:a@[::1]")),
            ("TEL:+1;phone-context=x.example", Some("TEL:+1;phone-context=x.example")),
            ("1", None),
            ("sales", None),
            ("+", None),
            ("http://h", None),
            ("sip:", None),
            ("sip:@", None),
            ("sip:a@h>\r\nX: y", None),
            ("sip:a b@h", None),
            ("sip:a@h?Subject=x", None),
            ("tel:", None),
            ("tel:abc", None),
            ("tel:+1>;x", None),
            ("té", None),
        ];
        for (wanted, expected) in rows {
            let found = choose(&[], Some(wanted)).ok().map(|chosen| chosen.destination.to_string());
            assert_eq!(found.as_deref(), expected, "{wanted}");
        }
        assert!(choose(&[], None).unwrap_err().contains("no default"));
        assert!(choose(&[], Some(&"9".repeat(5_000))).unwrap_err().len() < 200, "bounded");
    }
}
