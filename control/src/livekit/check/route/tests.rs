use livekit_protocol::{
    RoomAgentDispatch, RoomConfiguration, SipDispatchRule, SipDispatchRuleCallee,
    SipDispatchRuleDirect, SipDispatchRuleIndividual,
};

use super::super::State;
use super::*;

const NUMBER: &str = "+15105550100";

fn trunk(name: &str, numbers: &[&str]) -> SipInboundTrunkInfo {
    SipInboundTrunkInfo {
        sip_trunk_id: format!("ST_{name}"),
        name: name.into(),
        numbers: numbers.iter().map(|&number| number.into()).collect(),
        ..SipInboundTrunkInfo::default()
    }
}

fn rule_of(name: &str, trunks: &[&str], kind: Rule) -> SipDispatchRuleInfo {
    SipDispatchRuleInfo {
        sip_dispatch_rule_id: format!("SDR_{name}"),
        name: name.into(),
        trunk_ids: trunks.iter().map(|&id| id.into()).collect(),
        rule: Some(SipDispatchRule { rule: Some(kind) }),
        ..SipDispatchRuleInfo::default()
    }
}

fn individual(prefix: &str) -> Rule {
    Rule::DispatchRuleIndividual(SipDispatchRuleIndividual {
        room_prefix: prefix.into(),
        ..SipDispatchRuleIndividual::default()
    })
}

fn good() -> Found {
    Found {
        inbound: vec![trunk("in", &[NUMBER])],
        rules: vec![rule_of("calls", &["ST_in"], individual("call-"))],
        ..Found::default()
    }
}

fn with_agents(mut found: Found, names: &[&str]) -> Found {
    let agents = names
        .iter()
        .map(|&name| RoomAgentDispatch { agent_name: name.into(), ..RoomAgentDispatch::default() });
    found.rules[0].room_config =
        Some(RoomConfiguration { agents: agents.collect(), ..RoomConfiguration::default() });
    found
}

/// Changes a good set-up; the piece named is then in this state, and says this.
fn check(agent: Option<&str>, found: &Found, piece: &str, state: State, says: &str) {
    let pieces = pieces(NUMBER, agent, found);
    let it = pieces.iter().find(|it| it.piece == piece).expect("a piece");
    assert_eq!(it.state, state, "{it:?}");
    assert!(it.found.contains(says), "{it:?} does not say {says:?}");
    assert!(state < State::Missing || !it.remedy.is_empty(), "{it:?}");
}

#[test]
fn nothing_is_wrong_with_a_set_up_that_works() {
    for found in [good(), {
        let mut any = good();
        any.inbound = vec![trunk("in", &[])];
        any.rules = vec![rule_of("calls", &[], individual("call-"))];
        any
    }] {
        assert!(pieces(NUMBER, None, &found).iter().all(|it| it.state == State::Ok), "{found:?}");
    }
    let found = with_agents(good(), &["vox"]);
    assert!(pieces(NUMBER, Some("vox"), &found).iter().all(|it| it.state == State::Ok));
}

#[test]
fn a_missing_or_ambiguous_trunk_is_told() {
    let with = |trunks: Vec<SipInboundTrunkInfo>| Found { inbound: trunks, ..good() };
    let rows = [
        (with(vec![]), State::Missing, "there is none at all"),
        (with(vec![trunk("in", &["+15105550199"])]), State::Missing, "they have +15105550199"),
        (with(vec![trunk("in", &["15105550100"])]), State::Ok, "has +15105550100"),
        (with(vec![trunk("in", &[NUMBER]), trunk("all", &[])]), State::Ok, "in (ST_in)"),
        (with(vec![trunk("in", &[NUMBER]), trunk("b", &[NUMBER])]), State::Wrong, "in, b"),
        (with(vec![trunk("in", &[]), trunk("b", &[])]), State::Wrong, "several trunks"),
    ];
    for (found, state, says) in rows {
        check(None, &found, "trunk", state, says);
    }
    let mut picky = good();
    picky.inbound[0].allowed_addresses = vec!["203.0.113.0/24".into()];
    picky.inbound[0].auth_username = "acme".into();
    check(
        None,
        &picky,
        "trunk",
        State::Ok,
        "only from addresses 203.0.113.0/24, asks for the password",
    );
}

#[test]
fn the_rule_that_livekit_would_choose_is_the_one_judged() {
    let with = |rules: Vec<SipDispatchRuleInfo>| Found { rules, ..good() };
    let own = || rule_of("calls", &["ST_in"], individual("call-"));
    let pin = |trunks: &[&str]| {
        let it = SipDispatchRuleDirect { room_name: "r".into(), pin: "1".into() };
        rule_of("pin", trunks, Rule::DispatchRuleDirect(it))
    };
    let mut one_caller = own();
    one_caller.inbound_numbers = vec!["+1999".into()];
    let mut other_number = own();
    other_number.numbers = vec!["15105550100".into()];
    let rows = [
        (with(vec![]), State::Missing, "no rule takes"),
        (
            with(vec![rule_of("b", &["ST_b"], individual("call-"))]),
            State::Missing,
            "b is for trunks ST_b",
        ),
        (with(vec![other_number]), State::Missing, "is for numbers 15105550100"),
        (with(vec![pin(&[]), own()]), State::Ok, "calls (SDR_calls)"),
        (with(vec![own(), pin(&["ST_in"])]), State::Wrong, "asks callers for a PIN"),
        (with(vec![one_caller]), State::Wrong, "takes calls of +1999 only"),
        (Found { inbound: vec![], ..good() }, State::Missing, "one that names a trunk cannot"),
    ];
    for (found, state, says) in rows {
        check(None, &found, "rule", state, says);
    }
}

#[test]
fn rooms_that_the_backend_passes_over_or_callers_share_are_told() {
    let direct = SipDispatchRuleDirect { room_name: "lobby".into(), ..Default::default() };
    let callee = SipDispatchRuleCallee { room_prefix: "call-".into(), ..Default::default() };
    let alone = SipDispatchRuleIndividual {
        room_prefix: "call-".into(),
        no_randomness: true,
        ..Default::default()
    };
    let rows = [
        (individual("call-"), State::Ok, "call-_<caller>_<random>"),
        (individual("call"), State::Wrong, "call_<caller>_<random>: the Backend acts on"),
        (Rule::DispatchRuleDirect(direct), State::Wrong, "all in lobby: callers would meet"),
        (Rule::DispatchRuleCallee(callee), State::Wrong, "call-_<number>: callers would meet"),
        (Rule::DispatchRuleIndividual(alone), State::Wrong, "two calls of a caller would meet"),
    ];
    for (kind, state, says) in rows {
        let found = Found { rules: vec![rule_of("calls", &[], kind)], ..good() };
        check(None, &found, "rooms", state, says);
    }
    let mut hidden = good();
    hidden.rules[0].hide_phone_number = true;
    check(None, &hidden, "rooms", State::Wrong, "numbers hidden");
}

#[test]
fn an_agent_that_does_not_fit_the_rule_is_told() {
    let rows = [
        (None, with_agents(good(), &["vox"]), State::Wrong, "no LIVEKIT_AGENT_NAME is set"),
        (Some("vox"), good(), State::Missing, "dispatches no agent"),
        (Some("vox"), with_agents(good(), &["box"]), State::Wrong, "the rule dispatches box"),
        (Some("vox"), with_agents(good(), &["vox", "box"]), State::Wrong, "vox, box"),
        (Some("vox"), with_agents(good(), &["vox"]), State::Ok, "vox is dispatched"),
    ];
    for (agent, found, state, says) in rows {
        check(agent, &found, "agent", state, says);
    }
}
