//! Scenarios: who calls whom, when, for how long, with what, as data.
//!
//! A [`Scenario`] is a TOML file. [`Scenario::load`] reads one, or one of those that come with
//! `voxload` ([`READY`]), with changes from the command line; [`Scenario::calls`] is the plan of
//! calls that follows from it: the same seed gives the same plan.

mod arrival;
mod calls;
mod overrides;
mod parties;
mod ready;
mod spread;
#[cfg(test)]
mod tests;
mod units;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use arrival::{Arrival, Moments, Step};
pub(crate) use calls::kinds;
pub use calls::{Calls, PlannedAnswer, PlannedCall, Reply};
pub use overrides::Override;
pub use parties::{
    Called, Callees, Callers, Change, Expect, GiveUp, Offer, OnHold, Refuse, Target, Window,
};
pub use ready::{READY, Ready};
pub use spread::{Drawn, Spread};
pub use units::{Codec, Digits, Net, Share, Span};

/// A load, as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called in reports.
    pub name: String,
    /// What it is for, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Seed of everything that is left to chance.
    #[serde(default = "usual_seed")]
    pub seed: u64,
    /// What is measured, and when.
    pub window: Window,
    /// Whom the callers call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Those who call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callers: Option<Callers>,
    /// Those who are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callees: Option<Callees>,
}

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// There is none of this name.
    #[error("there is no scenario {0:?}: expected a TOML file, or one of {known}", known = names())]
    Unknown(String),
    /// Its file cannot be read.
    #[error("{path}: {1}", path = .0.display())]
    File(PathBuf, std::io::Error),
    /// It is no scenario.
    #[error("{from}: {problem}")]
    Text {
        /// The file's name, or the ready one's.
        from: String,
        /// What was expected and what was found.
        problem: String,
    },
}

impl Scenario {
    /// The scenario in the file `name`, or the ready one of this name, with `changes`.
    pub fn load(name: &str, changes: &[Override]) -> Result<Self, ScenarioError> {
        let (text, base) = match READY.iter().find(|ready| ready.name == name) {
            Some(ready) => (ready.toml.to_owned(), None),
            None => {
                let path = Path::new(name);
                if !path.is_file() {
                    return Err(ScenarioError::Unknown(name.into()));
                }
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| ScenarioError::File(path.into(), error))?;
                (text, path.parent())
            }
        };
        let parsed = Self::parse(&text, changes);
        let mut scenario =
            parsed.map_err(|problem| ScenarioError::Text { from: name.into(), problem })?;
        if let Some(base) = base {
            scenario.look_beside(base);
        }
        Ok(scenario)
    }

    /// Reads a scenario with `changes`; what is wrong comes back as a text for people.
    pub fn parse(text: &str, changes: &[Override]) -> Result<Self, String> {
        let changed = overrides::apply(text, changes)?;
        let scenario: Self = toml::from_str(changed.as_deref().unwrap_or(text))
            .map_err(|error| error.to_string().trim_end().to_owned())?;
        scenario.problem().map_or(Ok(scenario), Err)
    }

    /// As text, to be read again by [`Scenario::parse`].
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_else(|error| format!("# {error}"))
    }

    /// Files that it names stand beside its own.
    fn look_beside(&mut self, base: &Path) {
        let callers = self.callers.as_mut().and_then(|callers| callers.speech.as_mut());
        let callees = self.callees.as_mut().and_then(|callees| callees.speech.as_mut());
        for speech in callers.into_iter().chain(callees) {
            *speech = base.join(&speech);
        }
    }

    /// What cannot be meant although it can be read, if anything.
    fn problem(&self) -> Option<String> {
        let key = |key: &'static str| move |problem| format!("{key}: {problem}");
        let window = self.window.measured.0.is_zero();
        let measured = window.then(|| "window.measured: expected longer than 0s".to_owned());
        let nobody = (self.callers.is_none() && self.callees.is_none())
            .then(|| "expected [callers], [callees] or both".to_owned());
        let target = match (&self.target, &self.callers) {
            (None, Some(_)) => Some("expected [target], whom the callers call".to_owned()),
            (target, _) => target.as_ref().and_then(Target::problem).map(key("target.uris")),
        };
        measured
            .or(nobody)
            .or(target)
            .or_else(|| self.callers.as_ref().and_then(Callers::problem))
            .or_else(|| self.callees.as_ref().and_then(Callees::problem))
    }
}

impl Target {
    fn problem(&self) -> Option<String> {
        if self.uris.iter().all(|called| called.weight == 0) {
            return Some("expected at least one with a weight".into());
        }
        let mut errors =
            self.uris.iter().filter_map(|called| crate::sip::host_of(&called.uri).err());
        errors.next().map(|error| error.to_string())
    }
}

impl Callers {
    fn problem(&self) -> Option<String> {
        let of = |key: &str, problem: Option<String>| {
            problem.map(|problem| format!("callers.{key}: {problem}"))
        };
        let no_codecs =
            |codecs: &[Codec]| codecs.is_empty().then(|| "expected at least one codec".to_owned());
        of("arrival", self.arrival.problem())
            .or_else(|| of("hold", self.hold.problem()))
            .or_else(|| of("codecs", no_codecs(&self.codecs)))
            .or_else(|| self.mix.iter().find_map(|offer| of("mix", no_codecs(&offer.codecs))))
            .or_else(|| {
                let nobody =
                    !self.mix.is_empty() && self.mix.iter().all(|offer| offer.share.0 == 0.0);
                of("mix", nobody.then(|| "expected a share above 0%".into()))
            })
            .or_else(|| of("give_up.after", self.give_up.as_ref().and_then(|g| g.after.problem())))
            .or_else(|| of("on_hold.after", self.on_hold.as_ref().and_then(|h| h.after.problem())))
            .or_else(|| of("on_hold.for", self.on_hold.as_ref().and_then(|h| h.length.problem())))
            .or_else(|| of("change.after", self.change.as_ref().and_then(|c| c.after.problem())))
            .or_else(|| {
                of("change.codecs", self.change.as_ref().and_then(|c| no_codecs(&c.codecs)))
            })
    }
}

impl Callees {
    fn problem(&self) -> Option<String> {
        let of = |key: &str, problem: Option<String>| {
            problem.map(|problem| format!("callees.{key}: {problem}"))
        };
        let status = self.refuse.as_ref().map(|refuse| refuse.status);
        let bad_status = status.filter(|status| !(400..700).contains(status));
        of("answer_after", self.answer_after.problem())
            .or_else(|| of("hang_up_after", self.hang_up_after.as_ref().and_then(Spread::problem)))
            .or_else(|| {
                let expected = |status| format!("{status}: expected a SIP status, 400 to 699");
                of("refuse.status", bad_status.map(expected))
            })
            .or_else(|| {
                let none = self.codecs.is_empty();
                of("codecs", none.then(|| "expected at least one codec".into()))
            })
    }
}

fn names() -> String {
    READY.map(|ready| ready.name).join(", ")
}

const fn usual_seed() -> u64 {
    1
}
