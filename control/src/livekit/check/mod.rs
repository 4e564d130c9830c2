//! `voxcore livekit check`: every piece between a number that is dialled and a bot that answers.
//!
//! ```text
//!  server ─ clock ─ key ─ sip ─ sip-process │ trunk ─ rule ─ rooms ─ agent │ webhook ─ bot ─ fleet ─ registered
//!            the server itself              │     what it has stored       │   what is around it
//! ```
//!
//! One line a piece, in the order in which a call meets them. Nothing is changed anywhere.

mod around;
mod route;
mod server;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::setup;
use crate::bots::normalised_number;
use crate::config::{Config, LivekitConfig};

use around::Fleet;

/// What to look at.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLE)]
pub struct CheckArgs {
    /// The number that rings, as it is dialled (+15105550100) [default: those of all trunks]
    #[arg(long, value_parser = number)]
    number: Option<String>,
    /// The agent that LiveKit is to dispatch [default: LIVEKIT_AGENT_NAME]; without one, calls come
    /// by webhook
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Where LiveKit sends webhooks (the Backend's /api/v1/livekit/webhook): tried with a signed one
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// The fleet, e.g. https://fleet1.example [default: this host's workers]
    #[arg(long, value_name = "URL")]
    fleet: Option<String>,
    /// livekit-sip's health_port, e.g. http://10.0.0.5:8085
    #[arg(long, value_name = "URL")]
    sip_health: Option<String>,
    /// One JSON object instead of lines for people
    #[arg(long)]
    json: bool,
}

/// A piece of the set-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Piece {
    piece: &'static str,
    state: State,
    /// What was found, or expected.
    found: String,
    /// What to do about it; empty when nothing is.
    remedy: String,
}

/// How it stands with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    /// Nobody can tell from here.
    Unknown,
    Missing,
    Wrong,
}

/// Looks at everything; 0 when nothing is missing or wrong.
pub(super) async fn run(args: CheckArgs, config: &Config, livekit: &LivekitConfig) -> ExitCode {
    let agent = args.agent.or_else(|| livekit.agent_name.clone()).filter(|name| !name.is_empty());
    let mut pieces = server::pieces(livekit).await;
    // Nothing of what is stored can be asked for there, or with a key that is refused.
    let can_ask = pieces.iter().all(|piece| piece.piece == "clock" || piece.state == State::Ok);
    let (sip, found) = stored(livekit, can_ask).await;
    pieces.extend([sip, server::sip_process(args.sip_health.as_deref()).await]);
    let numbers = numbers(args.number, found.as_ref());
    match &found {
        Some(found) if numbers.is_empty() => pieces.push(route::without_numbers(found)),
        Some(found) => {
            let pieces_of = |number: &String| route::pieces(number, agent.as_deref(), found);
            pieces.extend(numbers.iter().flat_map(pieces_of));
        }
        None => pieces.extend(route::not_asked()),
    }
    pieces.push(around::webhook(args.webhook.as_deref(), livekit).await);
    for number in &numbers {
        pieces.push(around::bot(number, config).await);
    }
    let fleet = Fleet::new(args.fleet, config);
    pieces.push(fleet.health().await);
    if agent.is_some() {
        pieces.push(fleet.registered().await);
    }
    report(args.json, &pieces)
}

async fn stored(livekit: &LivekitConfig, can_ask: bool) -> (Piece, Option<setup::Found>) {
    let name = "sip";
    if !can_ask {
        return (Piece::unknown(name, NOT_ASKED, ""), None);
    }
    match setup::found(&setup::client(livekit)).await {
        Ok(found) => {
            let (trunks, rules) = (found.inbound.len(), found.rules.len());
            let text = format!("connected to Redis; inbound trunks: {trunks}, rules: {rules}");
            (Piece::ok(name, text), Some(found))
        }
        Err(why) => {
            let piece = match why.split_once(": ") {
                Some((found, remedy)) if why == setup::NO_REDIS => {
                    Piece::missing(name, found, remedy)
                }
                _ => Piece::wrong(name, why, ""),
            };
            (piece, None)
        }
    }
}

/// The one asked about; else those that the trunks have.
fn numbers(asked: Option<String>, found: Option<&setup::Found>) -> Vec<String> {
    let stored = found.iter().flat_map(|found| &found.inbound).flat_map(|trunk| &trunk.numbers);
    match asked {
        Some(number) => vec![number],
        None => stored.take(NUMBERS_MAX).cloned().collect(),
    }
}

impl Piece {
    fn ok(piece: &'static str, found: impl Into<String>) -> Self {
        Self { piece, state: State::Ok, found: found.into(), remedy: String::new() }
    }

    fn unknown(piece: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { piece, state: State::Unknown, found: found.into(), remedy: remedy.into() }
    }

    fn missing(piece: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { piece, state: State::Missing, found: found.into(), remedy: remedy.into() }
    }

    fn wrong(piece: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { piece, state: State::Wrong, found: found.into(), remedy: remedy.into() }
    }

    fn print(&self) {
        let state = match self.state {
            State::Ok => "ok",
            State::Unknown => "unknown",
            State::Missing => "MISSING",
            State::Wrong => "WRONG",
        };
        let to_do = if self.remedy.is_empty() { "" } else { ": " };
        println!("{state:<8} {:<12} {}{to_do}{}", self.piece, self.found, self.remedy);
    }
}

fn report(json: bool, pieces: &[Piece]) -> ExitCode {
    let faults = pieces.iter().filter(|piece| piece.state > State::Unknown).count();
    if json {
        println!("{}", json!({"ok": faults == 0, "pieces": pieces}));
    } else {
        pieces.iter().for_each(Piece::print);
    }
    ExitCode::from(u8::from(faults > 0))
}

fn number(text: &str) -> Result<String, String> {
    let expected = "expected digits, with or without a + before them (+15105550100)";
    normalised_number(text).ok_or_else(|| expected.into())
}

const NOT_ASKED: &str = "not asked";
/// A person reads the lines, and the Backend is asked about each.
const NUMBERS_MAX: usize = 20;

const EXAMPLE: &str = "\
Example, on a fleet host with the workers' environment (set -a; . /opt/voxcore/.env):
  voxcore livekit check --number +15105550100 --webhook http://app1:8080/api/v1/livekit/webhook

One line a piece: ok, unknown (nobody can tell from here), MISSING or WRONG, what was found, and what
to do. Nothing is changed anywhere.

Exit status: 0 nothing is missing or wrong; 1 something is; 2 wrong options; 64 wrong configuration.";
