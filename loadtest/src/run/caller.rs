//! One caller: places its call, lives it, ends it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::judge;
use super::ledger::End;
use super::stage::Stage;
use crate::generator::{Leg, LegSpec, Refused};
use crate::media::Direction;
use crate::scenario::{Callers, PlannedCall};
use crate::sip::{Answer, Invite, LiveCall, Outgoing, PeerEvent, Session, SipError};

/// How long the answer to a BYE, or to a CANCEL's INVITE, may take.
pub(super) const GOOD_BYE_MAX: Duration = Duration::from_secs(5);
/// How long the answer to a re-INVITE may take.
const CHANGE_MAX: Duration = Duration::from_secs(10);
/// How long a caller who is gone keeps its port closed to the world instead of unreachable.
const GONE_FOR: Duration = Duration::from_secs(60);
/// After the answer, digits are pressed.
pub(super) const DIGITS_AFTER: Duration = Duration::from_secs(1);

/// What happens to an answered call, and when.
#[derive(Debug)]
enum Step {
    Digits,
    Hold,
    Resume,
    Change,
    End,
}

/// Why a conversation is over.
#[derive(Debug, PartialEq)]
enum Over {
    /// Its time has come.
    Ours,
    /// The other side hung up.
    Theirs,
    /// The run is over.
    Cut,
    /// Something went wrong.
    Wrong(String),
}

/// A call from its INVITE to its end.
pub(super) async fn live(stage: Arc<Stage>, plan: PlannedCall) {
    let Some(callers) = &stage.scenario.callers else { return };
    let spec = LegSpec {
        speech: stage.callers_voice.clone(),
        repeat: true,
        silent: plan.silent,
        echoes: false,
        network: plan.network,
        seed: plan.seed as u32,
    };
    let leg = match stage.generator.open(spec) {
        Ok(leg) => leg,
        Err(refused) => return no_leg(&stage, &refused),
    };
    let mut session = Session::new(leg.local());
    match connect(&stage, callers, &plan, &leg, &mut session).await {
        Ok(call) => converse(&stage, callers, &plan, (leg, session, call)).await,
        Err(end) => stage.ledger.over(end),
    }
}

/// Our own fault, and counted as such.
pub(super) fn no_leg(stage: &Stage, refused: &Refused) {
    stage.ledger.no_leg();
    stage.ledger.over(End::Failed(format!("the generator has no room: {refused}")));
}

async fn connect(
    stage: &Stage,
    callers: &Callers,
    plan: &PlannedCall,
    leg: &Leg,
    session: &mut Session,
) -> Result<LiveCall, End> {
    let failed = |error: SipError| End::Failed(reason_of(&error));
    let agent = stage.agent(plan.number).ok_or_else(|| End::Failed("no endpoint".into()))?;
    let placed = Instant::now();
    let outgoing = agent.place(Invite {
        uri: stage.uri(plan.target).to_owned(),
        caller: callers.user.clone(),
        call_id: format!("{:016x}-{}@{}", plan.seed, plan.number, leg.local()),
        offer: session.offer(&plan.codecs, Direction::SendRecv),
    });
    let mut outgoing = outgoing.map_err(failed)?;
    let answer = ring(stage, callers, plan, &mut outgoing).await?;
    stage.ledger.answered(placed.elapsed(), answer.agent);
    let call = outgoing.live();
    match session.answered(&answer.body, &plan.codecs) {
        Ok((agreed, direction)) => {
            leg.change(agreed, direction);
            Ok(call)
        }
        Err(error) => {
            _ = call.hang_up(GOOD_BYE_MAX).await;
            Err(End::Failed(error.to_string()))
        }
    }
}

/// Waits for the answer, as long as the caller has patience, or gives up on purpose.
async fn ring(
    stage: &Stage,
    callers: &Callers,
    plan: &PlannedCall,
    outgoing: &mut Outgoing,
) -> Result<Answer, End> {
    let gives_up = plan.gives_up.unwrap_or(callers.patience.0);
    let wanted = tokio::select! {
        answered = outgoing.answered() => return answered.map_err(end_of),
        () = sleep(gives_up) => plan.gives_up.is_some(),
        () = stage.ending.cancelled() => true,
    };
    outgoing.cancel().await;
    let last = timeout(GOOD_BYE_MAX, outgoing.answered()).await;
    match last.unwrap_or(Err(SipError::NoAnswer)).map_err(end_of) {
        // Answered in this moment all the same: the stack has hung up.
        Ok(_) | Err(End::Refused(REQUEST_TERMINATED)) if wanted => Err(End::Well),
        Err(End::Refused(status)) if wanted => Err(End::Refused(status)),
        _ => Err(End::Failed(reason_of(&SipError::NoAnswer))),
    }
}

async fn converse(
    stage: &Stage,
    callers: &Callers,
    plan: &PlannedCall,
    (leg, mut session, mut call): (Leg, Session, LiveCall),
) {
    let over = talk(stage, callers, plan, &leg, &mut session, &mut call).await;
    let ended = Instant::now();
    let should = judge::should_hear(callers.expect, plan.silent);
    if over == Over::Ours && plan.vanishes {
        return vanish(stage, (leg, call), ended, should).await;
    }
    let Ok(report) = leg.stop().await else {
        return stage.ledger.over(End::Failed(GENERATOR_DIED.into()));
    };
    stage.ledger.heard(&report, ended, should);
    let fault = judge::fault(callers.expect, plan.silent, &report);
    let end = match (over, fault) {
        (Over::Wrong(reason), _) => {
            _ = call.hang_up(GOOD_BYE_MAX).await;
            End::Failed(reason)
        }
        (Over::Theirs, _) => End::Failed("hung up by the target".into()),
        (over, fault) => hang_up(stage, call, over == Over::Cut, fault).await,
    };
    stage.ledger.over(end);
}

/// Gone without a word. The call is over for the caller; the target has yet to notice.
async fn vanish(stage: &Stage, (leg, call): (Leg, LiveCall), ended: Instant, should: bool) {
    leg.vanish();
    drop(call);
    stage.ledger.over(End::Well);
    tokio::select! {
        () = sleep(GONE_FOR) => {}
        () = stage.ending.cancelled() => {}
    }
    if let Ok(report) = leg.stop().await {
        stage.ledger.heard(&report, ended, should);
    }
}

/// Says good-bye; at the end of the run not all at once.
pub(super) async fn hang_up(
    stage: &Stage,
    call: LiveCall,
    cut: bool,
    fault: Option<&'static str>,
) -> End {
    let _turn = match cut {
        true => stage.hang_ups.acquire().await.ok(),
        false => None,
    };
    match (call.hang_up(GOOD_BYE_MAX).await, fault) {
        (_, Some(fault)) => End::Failed(fault.into()),
        (Ok(took), None) => {
            stage.ledger.hung_up(took);
            End::Well
        }
        (Err(_), None) => End::Failed("BYE not answered".into()),
    }
}

async fn talk(
    stage: &Stage,
    callers: &Callers,
    plan: &PlannedCall,
    leg: &Leg,
    session: &mut Session,
    call: &mut LiveCall,
) -> Over {
    let answered = Instant::now();
    let mut codecs = plan.codecs.clone();
    for (at, step) in steps(callers, plan) {
        let due = answered + at;
        loop {
            tokio::select! {
                () = sleep_until(due) => break,
                () = stage.ending.cancelled() => return Over::Cut,
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
        let direction = match step {
            Step::End => return Over::Ours,
            Step::Digits => {
                let digits = callers.digits.as_ref().map_or("", |digits| &digits.0);
                if let Err(error) = leg.digits(digits) {
                    return Over::Wrong(error.to_string());
                }
                continue;
            }
            Step::Hold => Direction::SendOnly,
            Step::Resume => Direction::SendRecv,
            Step::Change => {
                codecs = plan.change.as_ref().map_or(codecs, |(_, codecs)| codecs.clone());
                Direction::SendRecv
            }
        };
        let offer = session.offer(&codecs, direction);
        let answer = match timeout(CHANGE_MAX, call.change(offer)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(SipError::Refused { status, .. })) => {
                return Over::Wrong(format!("a change was refused with {status}"));
            }
            Ok(Err(_)) | Err(_) => return Over::Wrong("a change was not answered".into()),
        };
        match session.answered(&answer, &codecs) {
            Ok((agreed, direction)) => leg.change(agreed, direction),
            Err(error) => return Over::Wrong(error.to_string()),
        }
    }
    Over::Ours
}

/// What happens before the call's time is over, in order.
fn steps(callers: &Callers, plan: &PlannedCall) -> Vec<(Duration, Step)> {
    let mut steps = Vec::new();
    if callers.digits.as_ref().is_some_and(|digits| !digits.0.is_empty()) {
        steps.push((DIGITS_AFTER, Step::Digits));
    }
    if let Some((after, length)) = plan.on_hold {
        steps.push((after, Step::Hold));
        steps.push((after + length, Step::Resume));
    }
    if let Some((after, _)) = &plan.change {
        steps.push((*after, Step::Change));
    }
    steps.retain(|(at, _)| *at < plan.hold);
    steps.push((plan.hold, Step::End));
    steps.sort_by_key(|(at, _)| *at);
    steps
}

fn end_of(error: SipError) -> End {
    match error {
        SipError::Refused { status, .. } => End::Refused(status),
        other => End::Failed(reason_of(&other)),
    }
}

/// In words that are the same for the same cause.
fn reason_of(error: &SipError) -> String {
    match error {
        SipError::NoAnswer => "no answer".into(),
        SipError::Stack(error) => {
            // What follows names the call.
            let text = error.to_string();
            format!("SIP: {}", text.split([':', '(']).next().unwrap_or_default().trim())
        }
        other => other.to_string(),
    }
}

/// The final answer to an INVITE that was cancelled.
const REQUEST_TERMINATED: u16 = 487;
pub(super) const GENERATOR_DIED: &str = "a generator thread has died";
