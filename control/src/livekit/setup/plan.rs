//! What there is to do, decided before anything is done.

use livekit_protocol::sip_dispatch_rule::Rule;
use livekit_protocol::{
    RoomAgentDispatch, SipDispatchRule, SipDispatchRuleIndividual, SipDispatchRuleInfo,
    SipInboundTrunkInfo, SipOutboundTrunkInfo,
};
use serde::Serialize;

use super::object::{Change, Found, NEW_TRUNK, Object};
use super::options::{Inbound, Login, Outbound, Wish};

/// An object, as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) object: Object,
    pub(super) action: Action,
    pub(super) changes: Vec<Change>,
}

/// How it comes to be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    /// It is so.
    Keep,
    Change,
    Create,
}

/// The steps in the order in which they can be done.
pub(super) fn plan(wish: &Wish, found: &Found) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(inbound) = &wish.inbound {
        let name = format!("{}-inbound", wish.name);
        let before = found.inbound.iter().find(|trunk| trunk.name == name);
        let trunk = inbound_trunk(inbound, &name, before);
        let trunk_id = before.map_or(NEW_TRUNK, |trunk| &trunk.sip_trunk_id);
        steps.push(step(Object::Inbound(trunk), before.cloned().map(Object::Inbound)));

        let name = format!("{}-calls", wish.name);
        let before = found.rules.iter().find(|rule| rule.name == name);
        let rule = dispatch_rule(inbound, &name, before, trunk_id, found);
        let as_it_is = before.cloned().map(|rule| Object::Rule(Box::new(rule)));
        steps.push(step(Object::Rule(Box::new(rule)), as_it_is));
    }
    if let Some(outbound) = &wish.outbound {
        let name = format!("{}-outbound", wish.name);
        let before = found.outbound.iter().find(|trunk| trunk.name == name);
        let trunk = outbound_trunk(outbound, &name, before);
        steps.push(step(Object::Outbound(trunk), before.cloned().map(Object::Outbound)));
    }
    steps
}

/// Why LiveKit would refuse the steps, or not know whom a call is for: a number can be at one
/// inbound trunk only, and names must be of one object each.
pub(super) fn conflicts(steps: &[Step], found: &Found) -> Vec<String> {
    let mut conflicts = Vec::new();
    for step in steps {
        let name = step.object.name();
        let namesakes = match step.object {
            Object::Inbound(_) => found.inbound.iter().filter(|it| it.name == name).count(),
            Object::Outbound(_) => found.outbound.iter().filter(|it| it.name == name).count(),
            Object::Rule(_) => found.rules.iter().filter(|it| it.name == name).count(),
        };
        if namesakes > 1 {
            let kind = step.object.kind();
            conflicts.push(format!("{namesakes} {kind}s are called {name}: remove all but one"));
        }
        if let Object::Inbound(ours) = &step.object {
            let others = found.inbound.iter().filter(|it| it.sip_trunk_id != ours.sip_trunk_id);
            conflicts.extend(others.filter_map(|other| shared_number(ours, other)));
        }
    }
    conflicts
}

fn shared_number(ours: &SipInboundTrunkInfo, other: &SipInboundTrunkInfo) -> Option<String> {
    let same = |a: &str, b: &str| a.trim_start_matches('+') == b.trim_start_matches('+');
    let number = ours.numbers.iter().find(|ours| other.numbers.iter().any(|it| same(it, ours)))?;
    Some(format!(
        "{number} is at the inbound trunk {:?} ({}) already, which is not ours to change: take it out there",
        other.name, other.sip_trunk_id
    ))
}

fn step(object: Object, before: Option<Object>) -> Step {
    let changes = object.changes(before.as_ref());
    let action = match before {
        None => Action::Create,
        Some(before) if before == object => Action::Keep,
        Some(_) => Action::Change,
    };
    Step { object, action, changes }
}

fn inbound_trunk(
    wish: &Inbound,
    name: &str,
    before: Option<&SipInboundTrunkInfo>,
) -> SipInboundTrunkInfo {
    let mut trunk = before.cloned().unwrap_or_default();
    name.clone_into(&mut trunk.name);
    trunk.numbers.clone_from(&wish.numbers);
    if let Some(addresses) = &wish.allow_addresses {
        trunk.allowed_addresses.clone_from(addresses);
    }
    log_in(&wish.auth, &mut trunk.auth_username, &mut trunk.auth_password);
    trunk
}

fn outbound_trunk(
    wish: &Outbound,
    name: &str,
    before: Option<&SipOutboundTrunkInfo>,
) -> SipOutboundTrunkInfo {
    let mut trunk = before.cloned().unwrap_or_default();
    name.clone_into(&mut trunk.name);
    trunk.address.clone_from(&wish.address);
    trunk.numbers.clone_from(&wish.numbers);
    if let Some(transport) = wish.transport {
        trunk.transport = transport.into();
    }
    log_in(&wish.auth, &mut trunk.auth_username, &mut trunk.auth_password);
    trunk
}

fn log_in(wish: &Option<Login>, user: &mut String, password: &mut String) {
    if let Some(login) = wish {
        user.clone_from(&login.user);
        login.password.expose().clone_into(password);
    }
}

fn dispatch_rule(
    wish: &Inbound,
    name: &str,
    before: Option<&SipDispatchRuleInfo>,
    trunk_id: &str,
    found: &Found,
) -> SipDispatchRuleInfo {
    let mut rule = before.cloned().unwrap_or_default();
    name.clone_into(&mut rule.name);
    // A trunk that was deleted leaves its id behind.
    let is_there = |id: &str| found.inbound.iter().any(|trunk| trunk.sip_trunk_id == id);
    rule.trunk_ids.retain(|id| is_there(id));
    if !rule.trunk_ids.iter().any(|id| id == trunk_id) {
        rule.trunk_ids.push(trunk_id.into());
    }
    if room_prefix(&rule) != Some(&wish.room_prefix) {
        let individual = SipDispatchRuleIndividual {
            room_prefix: wish.room_prefix.clone(),
            ..SipDispatchRuleIndividual::default()
        };
        let individual = Rule::DispatchRuleIndividual(individual);
        rule.rule = Some(SipDispatchRule { rule: Some(individual) });
    }
    if let Some(metadata) = &wish.metadata {
        rule.metadata.clone_from(metadata);
    }
    dispatch_agent(wish, &mut rule);
    rule
}

/// Of a rule that gives each call a room of its own without asking for a PIN.
fn room_prefix(rule: &SipDispatchRuleInfo) -> Option<&str> {
    match rule.rule.as_ref()?.rule.as_ref()? {
        Rule::DispatchRuleIndividual(it) if it.pin.is_empty() && !it.no_randomness => {
            Some(&it.room_prefix)
        }
        _ => None,
    }
}

/// Exactly one agent, or none: two would both answer.
fn dispatch_agent(wish: &Inbound, rule: &mut SipDispatchRuleInfo) {
    match wish.agent.as_deref() {
        Some("") => {
            if let Some(room) = &mut rule.room_config {
                room.agents.clear();
            }
        }
        Some(name) => {
            let agents = &mut rule.room_config.get_or_insert_default().agents;
            agents.retain(|agent| agent.agent_name == name);
            agents.truncate(1);
            if agents.is_empty() {
                let agent_name = name.to_owned();
                agents.push(RoomAgentDispatch { agent_name, ..RoomAgentDispatch::default() });
            }
        }
        None => {}
    }
    let agents = rule.room_config.iter_mut().flat_map(|room| &mut room.agents);
    for (agent, metadata) in agents.zip(wish.metadata.iter().cycle()) {
        agent.metadata.clone_from(metadata);
    }
}

#[cfg(test)]
mod tests;
