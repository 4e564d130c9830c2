//! What LiveKit stores for SIP, as the fields that `setup` cares for.

use livekit_protocol::sip_dispatch_rule::Rule;
use livekit_protocol::{
    SipDispatchRuleInfo, SipInboundTrunkInfo, SipOutboundTrunkInfo, SipTransport,
};
use serde::Serialize;

/// All that is there.
#[derive(Debug, Clone, Default)]
pub(in crate::livekit) struct Found {
    pub(in crate::livekit) inbound: Vec<SipInboundTrunkInfo>,
    pub(in crate::livekit) outbound: Vec<SipOutboundTrunkInfo>,
    pub(in crate::livekit) rules: Vec<SipDispatchRuleInfo>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    Inbound(SipInboundTrunkInfo),
    Outbound(SipOutboundTrunkInfo),
    Rule(Box<SipDispatchRuleInfo>),
}

/// A field that is, or is to be, different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    pub(super) field: &'static str,
    pub(super) from: String,
    pub(super) to: String,
}

impl Object {
    /// `inbound trunk vox-inbound`.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.kind(), self.name())
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Inbound(_) => "inbound trunk",
            Self::Outbound(_) => "outbound trunk",
            Self::Rule(_) => "dispatch rule",
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Inbound(trunk) => &trunk.name,
            Self::Outbound(trunk) => &trunk.name,
            Self::Rule(rule) => &rule.name,
        }
    }

    /// Empty as long as LiveKit has given it none.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Inbound(trunk) => &trunk.sip_trunk_id,
            Self::Outbound(trunk) => &trunk.sip_trunk_id,
            Self::Rule(rule) => &rule.sip_dispatch_rule_id,
        }
    }

    pub(super) fn is_inbound_trunk(&self) -> bool {
        matches!(self, Self::Inbound(_))
    }

    /// Puts the trunk's id where a rule was planned before there was one.
    pub(super) fn use_trunk(&mut self, id: Option<&str>) {
        if let (Self::Rule(rule), Some(id)) = (self, id) {
            for trunk in rule.trunk_ids.iter_mut().filter(|trunk| *trunk == NEW_TRUNK) {
                id.clone_into(trunk);
            }
        }
    }

    /// What differs from `before`; with `None`, what there is to say at all. Passwords are not
    /// shown.
    pub(super) fn changes(&self, before: Option<&Self>) -> Vec<Change> {
        let old = before.map_or_else(Vec::new, Self::fields);
        let new = self.fields().into_iter().enumerate();
        let changes = new.map(|(at, (field, to))| {
            let from = old.get(at).map_or_else(String::new, |(_, from)| from.clone());
            Change { field, from, to }
        });
        changes.filter(|change| change.from != change.to).map(Change::without_password).collect()
    }

    /// Always the same number of them for a kind, in the order that people read them.
    fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Inbound(trunk) => vec![
                ("numbers", trunk.numbers.join(", ")),
                ("allowed addresses", trunk.allowed_addresses.join(", ")),
                ("user", trunk.auth_username.clone()),
                (PASSWORD, trunk.auth_password.clone()),
            ],
            Self::Outbound(trunk) => vec![
                ("address", trunk.address.clone()),
                ("transport", transport(trunk.transport).into()),
                ("numbers", trunk.numbers.join(", ")),
                ("user", trunk.auth_username.clone()),
                (PASSWORD, trunk.auth_password.clone()),
            ],
            Self::Rule(rule) => {
                let agents = rule.room_config.iter().flat_map(|room| &room.agents);
                let job = agents.clone().map(|agent| agent.metadata.as_str());
                vec![
                    ("rooms", rooms(rule)),
                    ("trunks", rule.trunk_ids.join(", ")),
                    (
                        "agents",
                        agents.map(|agent| &*agent.agent_name).collect::<Vec<_>>().join(", "),
                    ),
                    ("metadata", rule.metadata.clone()),
                    ("job metadata", job.collect::<Vec<_>>().join(", ")),
                ]
            }
        }
    }
}

impl Change {
    fn without_password(mut self) -> Self {
        if self.field == PASSWORD {
            for text in [&mut self.from, &mut self.to] {
                *text = if text.is_empty() { String::new() } else { "•••".into() };
            }
        }
        self
    }
}

/// `one each, call-_…`
pub(in crate::livekit) fn rooms(rule: &SipDispatchRuleInfo) -> String {
    let pin = |pin: &str| if pin.is_empty() { "" } else { ", after a PIN" };
    match rule.rule.as_ref().and_then(|rule| rule.rule.as_ref()) {
        Some(Rule::DispatchRuleIndividual(it)) if it.no_randomness => {
            format!("one a caller, {}_<caller>{}", it.room_prefix, pin(&it.pin))
        }
        Some(Rule::DispatchRuleIndividual(it)) => {
            format!("one a call, {}_<caller>_<random>{}", it.room_prefix, pin(&it.pin))
        }
        Some(Rule::DispatchRuleDirect(it)) => format!("all in {}{}", it.room_name, pin(&it.pin)),
        Some(Rule::DispatchRuleCallee(it)) => {
            let random = if it.randomize { "_<random>" } else { "" };
            format!("one a number, {}_<number>{random}{}", it.room_prefix, pin(&it.pin))
        }
        None => "none".into(),
    }
}

fn transport(value: i32) -> &'static str {
    match SipTransport::try_from(value) {
        Ok(SipTransport::Auto) => "auto",
        Ok(SipTransport::Udp) => "udp",
        Ok(SipTransport::Tcp) => "tcp",
        Ok(SipTransport::Tls) => "tls",
        Err(_) => "another",
    }
}

/// Stands for the trunk that the same run makes.
pub(super) const NEW_TRUNK: &str = "the new trunk";
const PASSWORD: &str = "password";
