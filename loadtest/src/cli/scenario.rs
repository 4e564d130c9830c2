//! Which scenario, with which changes: the part of the command line that loads share.

use clap::Args;
use toml::{Table, Value};
use voxload::scenario::{Override, Scenario};

use super::Failure;

/// A scenario, and what is to be different in it.
#[derive(Debug, Args)]
pub(crate) struct ScenarioArgs {
    /// A TOML file, or the name of a scenario that comes with voxload
    scenario: String,
    /// Whom to call: sip:user@host[:port]; repeat for a fleet, which is called in turn
    #[arg(long, value_name = "URI", help_heading = "Changes to the scenario")]
    target: Vec<String>,
    /// SIP over TCP instead of UDP
    #[arg(long, help_heading = "Changes to the scenario")]
    tcp: bool,
    /// So many calls at once; each that ends is replaced
    #[arg(long, value_name = "N", help_heading = "Changes to the scenario")]
    calls: Option<u64>,
    /// Calls placed a second; with --calls, until they are there
    #[arg(long, value_name = "R", help_heading = "Changes to the scenario")]
    rate: Option<f64>,
    /// Measure for so long
    #[arg(long, value_name = "S", help_heading = "Changes to the scenario")]
    seconds: Option<f64>,
    /// Let the load settle for so long before anything is measured, seconds
    #[arg(long, value_name = "S", help_heading = "Changes to the scenario")]
    settle: Option<f64>,
    /// How long callers stay, as in 90s
    #[arg(long, value_name = "TIME", help_heading = "Changes to the scenario")]
    hold: Option<String>,
    /// Codec to offer: PCMU, PCMA, G722, opus; repeat for several, best first
    #[arg(long, value_name = "NAME", help_heading = "Changes to the scenario")]
    codec: Vec<String>,
    /// What should be heard: echo, speech, silence
    #[arg(long, value_name = "WHAT", help_heading = "Changes to the scenario")]
    expect: Option<String>,
    /// Seed of everything that is left to chance
    #[arg(long, value_name = "N", help_heading = "Changes to the scenario")]
    seed: Option<i64>,
    /// Any key of the scenario, as in callers.silent=5%; repeat for several
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Changes to the scenario")]
    set: Vec<Override>,
}

impl ScenarioArgs {
    /// The scenario with its changes.
    pub(crate) fn load(&self) -> Result<Scenario, Failure> {
        let mut changes = self.changes()?;
        changes.extend(self.set.iter().cloned());
        Scenario::load(&self.scenario, &changes).map_err(Failure::usage)
    }

    /// Whether it says how many calls there shall be.
    pub(crate) const fn sets_the_load(&self) -> bool {
        self.calls.is_some() || self.rate.is_some()
    }

    fn changes(&self) -> Result<Vec<Override>, Failure> {
        let mut changes = Vec::new();
        let mut set = |key: &str, value: Option<Value>| {
            changes.extend(value.map(|value| Override::new(key, value)));
        };
        let list = |texts: &[String]| {
            let values = texts.iter().cloned().map(Value::String).collect();
            (!texts.is_empty()).then_some(Value::Array(values))
        };
        let seconds = |seconds: f64| Value::String(format!("{seconds}s"));
        set("target.uris", list(&self.target));
        set("target.transport", self.tcp.then(|| "tcp".into()));
        set("window.measured", self.seconds.map(seconds));
        set("window.settle", self.settle.map(seconds));
        set("callers.hold", self.hold.clone().map(Value::String));
        set("callers.codecs", list(&self.codec));
        set("callers.expect", self.expect.clone().map(Value::String));
        set("seed", self.seed.map(Value::Integer));
        set("callers.arrival", self.arrival()?);
        Ok(changes)
    }

    fn arrival(&self) -> Result<Option<Value>, Failure> {
        let mut arrival = Table::new();
        match (self.calls, self.rate) {
            (None, None) => return Ok(None),
            (None, Some(rate)) => _ = arrival.insert("rate".into(), Value::Float(rate)),
            (Some(calls), rate) => {
                let calls = i64::try_from(calls).map_err(Failure::usage)?;
                let mut at_once = Table::new();
                at_once.insert("calls".into(), Value::Integer(calls));
                if let Some(rate) = rate {
                    at_once.insert("rate".into(), Value::Float(rate));
                }
                arrival.insert("at_once".into(), Value::Table(at_once));
            }
        }
        Ok(Some(Value::Table(arrival)))
    }
}
