//! Those who are called: each answers, refuses, rings on, hangs up, as the scenario says.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::caller::{DIGITS_AFTER, GENERATOR_DIED, hang_up, no_leg};
use super::judge;
use super::ledger::End;
use super::stage::Stage;
use crate::generator::{Leg, LegSpec};
use crate::scenario::{Callees, PlannedAnswer, Reply, kinds};
use crate::sip::{Incoming, Listener, LiveCall, PeerEvent, Session};

/// Takes calls until the run ends, then ends them.
pub(super) async fn serve(stage: Arc<Stage>, mut listener: Listener) {
    let mut calls = JoinSet::new();
    for number in 0.. {
        let incoming = tokio::select! {
            incoming = listener.next() => incoming,
            () = stage.ending.cancelled() => None,
        };
        let Some(incoming) = incoming else { break };
        while calls.try_join_next().is_some() {}
        calls.spawn(live(stage.clone(), incoming, number));
    }
    while calls.join_next().await.is_some() {}
}

async fn live(stage: Arc<Stage>, mut incoming: Incoming, number: u64) {
    let Some(callees) = &stage.scenario.callees else { return };
    stage.ledger.placed(std::time::Duration::ZERO);
    let plan = callees.answer(stage.scenario.seed, number);
    if stage.ledger.counts().live > callees.calls_max {
        incoming.refuse(BUSY_HERE);
        return stage.ledger.over(End::Refused(BUSY_HERE));
    }
    let ringing = match plan.reply {
        Reply::Refuse(status) => {
            incoming.refuse(status);
            return stage.ledger.over(End::Well);
        }
        Reply::Ring => None,
        Reply::Accept(ringing) => Some(ringing),
    };
    incoming.ring();
    tokio::select! {
        () = incoming.given_up() => return stage.ledger.over(match ringing {
            None => End::Well,
            Some(_) => End::Failed("given up by the target".into()),
        }),
        () = stage.ending.cancelled() => return stage.ledger.over(End::Well),
        () = sleep(ringing.unwrap_or_default()), if ringing.is_some() => {}
    }
    answer(&stage, callees, &plan, incoming).await;
}

async fn answer(stage: &Stage, callees: &Callees, plan: &PlannedAnswer, incoming: Incoming) {
    let spec = LegSpec {
        speech: stage.callees_voice.clone(),
        repeat: true,
        silent: plan.silent,
        echoes: callees.echo,
        network: plan.network,
        seed: plan.seed as u32,
    };
    let leg = match stage.generator.open(spec) {
        Ok(leg) => leg,
        Err(refused) => return no_leg(stage, &refused),
    };
    let mut session = Session::new(leg.local());
    let codecs = kinds(&callees.codecs);
    let (agreed, direction, text) = match session.accept(incoming.offer(), &codecs) {
        Ok(accepted) => accepted,
        Err(error) => {
            incoming.refuse(NOT_ACCEPTABLE_HERE);
            return stage.ledger.over(End::Failed(error.to_string()));
        }
    };
    let agent = incoming.agent().map(str::to_owned);
    let Some(mut call) = incoming.accept(text) else {
        return stage.ledger.over(End::Failed("given up by the target".into()));
    };
    let answered = Instant::now();
    leg.change(agreed, direction);
    stage.ledger.taken(agent);
    let over = talk(stage, callees, plan, (&leg, &mut session, &mut call), answered).await;
    let ended = Instant::now();
    let Ok(report) = leg.stop().await else {
        return stage.ledger.over(End::Failed(GENERATOR_DIED.into()));
    };
    // Those who give back what they hear are expected to hear somebody.
    let silent = plan.silent && !callees.echo;
    stage.ledger.heard(&report, ended, judge::should_hear(callees.expect, silent));
    let fault = judge::fault(callees.expect, silent, &report);
    let end = match (over, fault) {
        (Over::Theirs, None) => End::Well,
        (Over::Theirs, Some(fault)) => End::Failed(fault.into()),
        (over, fault) => hang_up(stage, call, over == Over::Cut, fault).await,
    };
    stage.ledger.over(end);
}

#[derive(Debug, PartialEq, Eq)]
enum Over {
    Ours,
    Theirs,
    Cut,
}

async fn talk(
    stage: &Stage,
    callees: &Callees,
    plan: &PlannedAnswer,
    (leg, session, call): (&Leg, &mut Session, &mut LiveCall),
    answered: Instant,
) -> Over {
    let codecs = kinds(&callees.codecs);
    let mut digits = callees.digits.as_ref().filter(|digits| !digits.0.is_empty());
    loop {
        let hangs_up = async {
            match plan.hangs_up {
                Some(after) => sleep_until(answered + after).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = hangs_up => return Over::Ours,
            () = stage.ending.cancelled() => return Over::Cut,
            () = sleep_until(answered + DIGITS_AFTER), if digits.is_some() => {
                // A caller that takes no digits gets none.
                if let Some(digits) = digits.take() {
                    _ = leg.digits(&digits.0);
                }
            }
            event = call.event() => match event {
                PeerEvent::HungUp => return Over::Theirs,
                PeerEvent::Offer(offer) => match session.accept(&offer.body, &codecs) {
                    Ok((agreed, direction, answer)) => {
                        leg.change(agreed, direction);
                        offer.accept(answer).await;
                    }
                    Err(_) => offer.refuse().await,
                },
            },
        }
    }
}

const BUSY_HERE: u16 = 486;
const NOT_ACCEPTABLE_HERE: u16 = 488;
