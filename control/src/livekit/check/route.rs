//! The way of a call through what the server has stored: number → trunk → rule → room → agent,
//! chosen as livekit-server 1.13 chooses.

use livekit_protocol::sip_dispatch_rule::Rule;
use livekit_protocol::{SipDispatchRuleInfo, SipInboundTrunkInfo};

use super::{NOT_ASKED, Piece};
use crate::livekit::setup::{Found, rooms};

/// `trunk`, `rule`, `rooms`, `agent`.
pub(super) fn pieces(number: &str, agent: Option<&str>, found: &Found) -> Vec<Piece> {
    let (trunk, about_trunk) = trunk(number, &found.inbound);
    let (rule, about_rule) = rule(number, trunk, &found.rules);
    let mut pieces = vec![about_trunk, about_rule];
    match rule {
        Some(rule) => pieces.extend([about_rooms(rule), about_agent(rule, agent)]),
        None => pieces.extend(["rooms", "agent"].map(|piece| Piece::unknown(piece, "no rule", ""))),
    }
    pieces
}

/// The same, of a server that cannot be asked.
pub(super) fn not_asked() -> [Piece; 4] {
    ["trunk", "rule", "rooms", "agent"].map(|piece| Piece::unknown(piece, NOT_ASKED, ""))
}

/// No number was named, and no trunk has one.
pub(super) fn without_numbers(found: &Found) -> Piece {
    let text = match found.inbound.is_empty() {
        true => "there is no inbound trunk",
        false => "no trunk has a number of its own: name one with --number",
    };
    Piece::missing("trunk", text, "voxcore livekit setup --number …")
}

/// The trunk that has the number, else the one without numbers, which takes any.
fn trunk<'a>(
    number: &str,
    trunks: &'a [SipInboundTrunkInfo],
) -> (Option<&'a SipInboundTrunkInfo>, Piece) {
    let name = "trunk";
    let has_it = |trunk: &&SipInboundTrunkInfo| trunk.numbers.iter().any(|it| same(it, number));
    let mut candidates: Vec<_> = trunks.iter().filter(has_it).collect();
    if candidates.is_empty() {
        candidates = trunks.iter().filter(|trunk| trunk.numbers.is_empty()).collect();
    }
    match candidates[..] {
        [] => {
            let others: Vec<_> = trunks.iter().flat_map(|trunk| &trunk.numbers).cloned().collect();
            let found = match others.is_empty() {
                true => format!("no trunk has {number}, there is none at all"),
                false => format!("no trunk has {number}; they have {}", shortened(&others)),
            };
            (None, Piece::missing(name, found, setup(number)))
        }
        [trunk] => (Some(trunk), Piece::ok(name, about_trunk(trunk, number))),
        [first, ..] => {
            let names: Vec<_> = candidates.iter().map(|trunk| trunk.name.clone()).collect();
            let found = format!("{number} is at several trunks: {}", shortened(&names));
            (Some(first), Piece::wrong(name, found, "LiveKit refuses the call: leave it at one"))
        }
    }
}

/// It, and whom it turns away: that shows only when a call comes.
fn about_trunk(trunk: &SipInboundTrunkInfo, number: &str) -> String {
    let mut text = format!("{} ({}) has {number}", trunk.name, trunk.sip_trunk_id);
    for (only, values) in
        [("from addresses", &trunk.allowed_addresses), ("from callers", &trunk.allowed_numbers)]
    {
        if !values.is_empty() {
            text += &format!(", takes calls only {only} {}", shortened(values));
        }
    }
    if !trunk.auth_username.is_empty() {
        text += &format!(", asks for the password of {}", trunk.auth_username);
    }
    text
}

/// Rules of this trunk go before rules of any; of several the first by [`priority`].
fn rule<'a>(
    number: &str,
    trunk: Option<&SipInboundTrunkInfo>,
    rules: &'a [SipDispatchRuleInfo],
) -> (Option<&'a SipDispatchRuleInfo>, Piece) {
    let name = "rule";
    let is_of = |rule: &SipDispatchRuleInfo| {
        trunk.is_some_and(|trunk| rule.trunk_ids.contains(&trunk.sip_trunk_id))
    };
    // Here, unlike at a trunk, LiveKit compares numbers letter by letter.
    let takes = |rule: &&SipDispatchRuleInfo| {
        rule.numbers.is_empty() || rule.numbers.iter().any(|it| it == number)
    };
    let of_trunk =
        rules.iter().filter(takes).filter(|rule| is_of(rule)).min_by_key(|it| priority(it));
    let of_any = || {
        let any = rules.iter().filter(takes).filter(|rule| rule.trunk_ids.is_empty());
        any.min_by_key(|it| priority(it))
    };
    match of_trunk.or_else(of_any) {
        Some(rule) => (Some(rule), about_rule(rule, number)),
        None => {
            let mut found = format!("no rule takes calls for {number}");
            match trunk {
                Some(trunk) => found += &format!(" from the trunk {}", trunk.name),
                None => found += ", and one that names a trunk cannot",
            }
            let others: Vec<_> = rules.iter().map(|rule| why_not(rule, number)).collect();
            if !others.is_empty() {
                found += &format!(" ({})", shortened(&others));
            }
            (None, Piece::missing(name, found, setup(number)))
        }
    }
}

fn why_not(rule: &SipDispatchRuleInfo, number: &str) -> String {
    let takes = rule.numbers.is_empty() || rule.numbers.iter().any(|it| it == number);
    match takes {
        true => format!("{} is for trunks {}", rule.name, shortened(&rule.trunk_ids)),
        false => format!("{} is for numbers {}", rule.name, shortened(&rule.numbers)),
    }
}

fn about_rule(rule: &SipDispatchRuleInfo, number: &str) -> Piece {
    let (name, title) = ("rule", format!("{} ({})", rule.name, rule.sip_dispatch_rule_id));
    if has_pin(rule) {
        let found = format!("{title} answers and asks callers for a PIN");
        return Piece::wrong(name, found, "take the PIN out of it, or remove it");
    }
    if !rule.inbound_numbers.is_empty() {
        let callers = shortened(&rule.inbound_numbers);
        let found = format!("{title} takes calls of {callers} only");
        return Piece::wrong(name, found, "take `inbound_numbers` out of it");
    }
    Piece::ok(name, format!("{title} takes calls to {number}"))
}

/// The Backend acts on rooms whose names begin with `call-`, and needs a room for each call.
fn about_rooms(rule: &SipDispatchRuleInfo) -> Piece {
    let (name, rooms) = ("rooms", rooms(rule));
    let again = "voxcore livekit setup --number … makes it one a call, call-_…";
    match rule.rule.as_ref().and_then(|rule| rule.rule.as_ref()) {
        Some(Rule::DispatchRuleIndividual(it)) if it.no_randomness => {
            Piece::wrong(name, format!("{rooms}: two calls of a caller would meet"), again)
        }
        Some(Rule::DispatchRuleIndividual(it)) if !it.room_prefix.starts_with("call-") => {
            let found = format!("{rooms}: the Backend acts on rooms call-… only");
            Piece::wrong(name, found, again)
        }
        Some(Rule::DispatchRuleIndividual(_)) if rule.hide_phone_number => {
            let found = format!("{rooms}, numbers hidden: nobody learns which number was dialled");
            Piece::wrong(name, found, "set hide_phone_number to false in the rule")
        }
        Some(Rule::DispatchRuleIndividual(_)) => Piece::ok(name, rooms),
        _ => Piece::wrong(name, format!("{rooms}: callers would meet"), again),
    }
}

fn about_agent(rule: &SipDispatchRuleInfo, ours: Option<&str>) -> Piece {
    let name = "agent";
    let agents = rule.room_config.iter().flat_map(|room| &room.agents);
    let agents: Vec<_> = agents.map(|agent| agent.agent_name.clone()).collect();
    match (ours, &agents[..]) {
        (None, []) => Piece::ok(name, "none: the webhook starts the calls"),
        (None, _) => Piece::wrong(
            name,
            format!(
                "the rule dispatches {}, and no LIVEKIT_AGENT_NAME is set here",
                shortened(&agents)
            ),
            "set it for the workers, or take it out: voxcore livekit setup --agent '' …",
        ),
        (Some(ours), []) => Piece::missing(
            name,
            format!("the rule dispatches no agent, the workers register as {ours}"),
            format!("voxcore livekit setup --agent {ours} …"),
        ),
        (Some(ours), [agent]) if agent == ours => Piece::ok(name, format!("{ours} is dispatched")),
        (Some(ours), _) => Piece::wrong(
            name,
            format!("the rule dispatches {}, the workers register as {ours}", shortened(&agents)),
            format!("voxcore livekit setup --agent {ours} …"),
        ),
    }
}

/// As livekit-server weighs them; the lowest wins. A rule for certain callers or numbers goes before
/// one for all, one with a PIN before one without, then it is the kind that decides.
fn priority(rule: &SipDispatchRuleInfo) -> u32 {
    let kind = match rule.rule.as_ref().and_then(|rule| rule.rule.as_ref()) {
        Some(Rule::DispatchRuleDirect(_)) => 0,
        Some(Rule::DispatchRuleIndividual(_)) => 1,
        Some(Rule::DispatchRuleCallee(_)) => 2,
        None => return u32::MAX,
    };
    let for_all = u32::from(rule.inbound_numbers.is_empty()) + u32::from(rule.numbers.is_empty());
    1_000 * for_all + 100 * u32::from(!has_pin(rule)) + kind
}

fn has_pin(rule: &SipDispatchRuleInfo) -> bool {
    match rule.rule.as_ref().and_then(|rule| rule.rule.as_ref()) {
        Some(Rule::DispatchRuleDirect(it)) => !it.pin.is_empty(),
        Some(Rule::DispatchRuleIndividual(it)) => !it.pin.is_empty(),
        Some(Rule::DispatchRuleCallee(it)) => !it.pin.is_empty(),
        None => false,
    }
}

/// LiveKit puts a `+` before numbers that have none, and compares then.
fn same(a: &str, b: &str) -> bool {
    a.trim_start_matches('+') == b.trim_start_matches('+')
}

fn setup(number: &str) -> String {
    format!("voxcore livekit setup --number {number}")
}

/// A few of them.
fn shortened(texts: &[String]) -> String {
    let more = texts.len().saturating_sub(SHOWN);
    let shown = texts[..texts.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

const SHOWN: usize = 5;

#[cfg(test)]
mod tests;
