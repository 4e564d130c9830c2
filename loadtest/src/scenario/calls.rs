//! The plan of calls that follows from a scenario and its seed.

use std::time::Duration;

use vox_codecs::CodecKind;

use super::{Callees, Callers, Codec, Scenario, Share};
use crate::network::Profile;
use crate::random::Random;

/// What one caller does. Times without another word are since the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedCall {
    /// Its number, from 0 on.
    pub number: u64,
    /// Whom it calls: index into the target's addresses.
    pub target: usize,
    /// Codecs it offers, best first.
    pub codecs: Vec<CodecKind>,
    /// When it ends.
    pub hold: Duration,
    /// Whether it says nothing.
    pub silent: bool,
    /// Whether it ends by being gone.
    pub vanishes: bool,
    /// When it gives up ringing, since the INVITE.
    pub gives_up: Option<Duration>,
    /// When it is put on hold, and for how long.
    pub on_hold: Option<(Duration, Duration)>,
    /// When it offers other codecs, and which.
    pub change: Option<(Duration, Vec<CodecKind>)>,
    /// Its network.
    pub network: Profile,
    /// Seed of everything else that is left to chance in it.
    pub seed: u64,
}

/// The calls of a scenario, in order and without end.
#[derive(Debug, Clone)]
pub struct Calls<'a> {
    callers: &'a Callers,
    weights: Vec<f64>,
    offers: Vec<(f64, Vec<CodecKind>)>,
    seed: u64,
    next: u64,
}

impl Scenario {
    /// The plan of its calls; empty without callers.
    pub fn calls(&self) -> impl Iterator<Item = PlannedCall> + '_ {
        let uris = self.target.as_ref().map_or(&[][..], |target| &target.uris);
        let weights: Vec<f64> = uris.iter().map(|called| f64::from(called.weight)).collect();
        let calls = self.callers.as_ref().map(|callers| Calls {
            callers,
            weights,
            offers: callers
                .offers()
                .into_iter()
                .map(|offer| (offer.share.0, kinds(&offer.codecs)))
                .collect(),
            seed: self.seed,
            next: 0,
        });
        calls.into_iter().flatten()
    }
}

impl Iterator for Calls<'_> {
    type Item = PlannedCall;

    fn next(&mut self) -> Option<PlannedCall> {
        let number = self.next;
        self.next += 1;
        let callers = self.callers;
        // Always drawn in this order, whatever the scenario asks for: a share that changes does
        // not change what else a call does.
        let mut random = Random::nth(self.seed, number);
        let target = self.target(number, &mut random);
        let offer = random.choose(self.offers.iter().map(|offer| offer.0));
        let hold = callers.hold.draw(&mut random);
        let mut is = |share: Share| random.unit() < share.0;
        let (silent, vanishes) = (is(callers.silent), is(callers.vanish));
        let gives_up = is(callers.give_up.as_ref().map_or(Share(0.0), |gives_up| gives_up.share));
        let holds = is(callers.on_hold.as_ref().map_or(Share(0.0), |on_hold| on_hold.share));
        let changes = is(callers.change.as_ref().map_or(Share(0.0), |change| change.share));
        let seed = random.next();
        let gives_up = callers.give_up.as_ref().filter(|_| gives_up);
        let on_hold = callers.on_hold.as_ref().filter(|_| holds);
        let change = callers.change.as_ref().filter(|_| changes);
        Some(PlannedCall {
            number,
            target,
            codecs: self.offers[offer].1.clone(),
            hold,
            silent,
            vanishes,
            gives_up: gives_up.map(|gives_up| gives_up.after.draw(&mut random)),
            on_hold: on_hold
                .map(|on_hold| (on_hold.after.draw(&mut random), on_hold.length.draw(&mut random))),
            change: change.map(|change| (change.after.draw(&mut random), kinds(&change.codecs))),
            network: callers.network.as_ref().map(|net| net.profile).unwrap_or_default(),
            seed,
        })
    }
}

impl Calls<'_> {
    /// In turn when all weigh the same, so that a fleet is loaded evenly; by chance otherwise.
    fn target(&self, number: u64, random: &mut Random) -> usize {
        let chosen = random.choose(self.weights.iter().copied());
        match self.weights.windows(2).all(|pair| pair[0] == pair[1]) {
            true => (number % self.weights.len().max(1) as u64) as usize,
            false => chosen,
        }
    }
}

/// What one callee does.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedAnswer {
    /// The call's number, from 0 on, in the order of their coming.
    pub number: u64,
    /// What becomes of it.
    pub reply: Reply,
    /// When it hangs up, since the answer; never, when there is none.
    pub hangs_up: Option<Duration>,
    /// Whether it says nothing.
    pub silent: bool,
    /// Its network.
    pub network: Profile,
    /// Seed of everything else that is left to chance in it.
    pub seed: u64,
}

/// What a callee answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// 200, after it has rung for so long.
    Accept(Duration),
    /// A refusal, with this status.
    Refuse(u16),
    /// It rings until the caller gives up.
    Ring,
}

impl Callees {
    /// What the `nth` callee does.
    pub(crate) fn answer(&self, seed: u64, number: u64) -> PlannedAnswer {
        let mut random = Random::nth(seed ^ CALLEES_STREAM, number);
        let mut is = |share: Share| random.unit() < share.0;
        let refuse = self.refuse.as_ref().filter(|refuse| is(refuse.share));
        let (rings, silent) = (is(self.ring_only), is(self.silent));
        let ringing = self.answer_after.draw(&mut random);
        PlannedAnswer {
            number,
            reply: match refuse {
                Some(refuse) => Reply::Refuse(refuse.status),
                None if rings => Reply::Ring,
                None => Reply::Accept(ringing),
            },
            hangs_up: self.hang_up_after.as_ref().map(|after| after.draw(&mut random)),
            silent,
            network: self.network.as_ref().map(|net| net.profile).unwrap_or_default(),
            seed: random.next(),
        }
    }
}

/// Callees do not throw the callers' dice.
const CALLEES_STREAM: u64 = 0x0CA1_1EE5 << 32;

pub(crate) fn kinds(codecs: &[Codec]) -> Vec<CodecKind> {
    codecs.iter().map(|codec| codec.0).collect()
}
