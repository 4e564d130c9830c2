//! What to do next on a tick: a pure function from what is known to one step.
//!
//! The heart of it is what a missing packet means.
//!
//! - Nothing newer has come: a **stall**, as far as anybody can know. The head of the line stays
//!   where it is while concealment is played, so whatever comes later is still played, only later.
//!   Pace brings the delay down again.
//! - Something newer has come: a **loss**. Concealment fills exactly the lost packet's time, then
//!   the head moves on and the delay is what it was. Should the packet turn up before the head has
//!   moved, it is played; after that it is late.
//! - Nothing is missing, yet the timestamp leaps ahead: a **pause** (DTX). Silence or comfort
//!   noise fills it until the next talkspurt has waited for the target delay.

/// What is known before a step. Lengths are in samples, times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Situation {
    /// A tick's worth of audio: 20 ms.
    pub(super) frame: usize,
    /// Audio that is decoded and not yet played.
    pub(super) pending: usize,
    /// Whether somebody is being heard.
    pub(super) phase: Phase,
    /// The first packet that waits.
    pub(super) next: Option<Next>,
    /// Concealed since the last real audio.
    pub(super) concealed: usize,
    /// Audio in a packet, as far as seen.
    pub(super) packet: usize,
    /// What the delay asks for, at most once a tick.
    pub(super) wish: Wish,
}

/// Whether somebody is being heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before the first packet, in a DTX pause, or long after the last packet.
    Pause,
    /// In a talkspurt: what is missing is concealed.
    Talkspurt,
}

/// The first packet that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) holds: Holds,
    /// Something before it is missing for good or late.
    pub(super) hole: bool,
    /// From the end of what was decoded to its start. Negative when timestamps went back.
    pub(super) gap: i64,
    /// Played now, it would have waited long enough for its successors to keep up.
    pub(super) due: bool,
    /// It brings a copy of the packet before it.
    pub(super) fec: bool,
}

/// What a packet brings to the playout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Speech,
    ComfortNoise,
    /// A packet without audio, such as a telephone-event.
    Nothing,
}

/// What the delay asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Steady,
    Shorter,
    Longer,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Enough is pending: play it.
    Output,
    /// Decode the next packet, giving up what is missing before it.
    Decode,
    /// Take the next packet, which has no audio of its own, giving up what is missing before it.
    Absorb,
    /// Make up this many samples.
    Conceal(usize),
    /// Recover the lost packet, this many samples, from the next one.
    Recover(usize),
    /// The talkspurt is over.
    Pause,
    /// Fill this many samples with silence or comfort noise.
    Fill(usize),
    /// Take a pitch period out of what is pending.
    Shorten,
    /// Repeat a pitch period of what is pending.
    Lengthen,
}

/// Decides the next step. Repeated until it says [`Action::Output`].
pub(super) fn decide(now: &Situation) -> Action {
    if now.pending >= now.frame {
        return stretch(now);
    }
    match (now.phase, &now.next) {
        (Phase::Pause, next) => in_pause(now, next.as_ref()),
        (Phase::Talkspurt, Some(next)) => in_talkspurt(now, next),
        // A stall, or the end.
        (Phase::Talkspurt, None) if now.concealed >= now.frame * STALL_FRAMES_MAX => Action::Pause,
        (Phase::Talkspurt, None) => Action::Conceal(piece(now, now.frame - now.pending)),
    }
}

fn stretch(now: &Situation) -> Action {
    match now.wish {
        Wish::Steady => Action::Output,
        Wish::Longer => Action::Lengthen,
        Wish::Shorter if now.pending >= now.frame * 2 => Action::Shorten,
        // To shorten, look further ahead.
        Wish::Shorter => match now.next {
            Some(next) if next.holds == Holds::Speech && !next.hole && now.follows(&next) => {
                Action::Decode
            }
            _ if now.pending >= now.frame * 3 / 2 => Action::Shorten,
            _ => Action::Output,
        },
    }
}

fn in_pause(now: &Situation, next: Option<&Next>) -> Action {
    match next {
        Some(next) if next.holds != Holds::Speech && (next.due || !next.hole) => Action::Absorb,
        Some(next) if next.holds == Holds::Speech && next.due => Action::Decode,
        _ => Action::Fill(now.frame - now.pending),
    }
}

fn in_talkspurt(now: &Situation, next: &Next) -> Action {
    if next.hole {
        return over_hole(now, next);
    }
    match next.holds {
        Holds::ComfortNoise | Holds::Nothing => Action::Absorb,
        Holds::Speech if now.follows(next) => Action::Decode,
        Holds::Speech => Action::Pause,
    }
}

/// Something before `next` is missing, and `next` is here: a loss.
fn over_hole(now: &Situation, next: &Next) -> Action {
    // Packets without audio say nothing about time: take one packet as lost.
    let gap = if next.holds == Holds::Speech { next.gap } else { now.packet as i64 };
    let uncovered = usize::try_from(gap - now.concealed as i64).unwrap_or(0);
    if uncovered > now.tolerance() {
        let recovers = next.fec && uncovered <= now.packet + now.tolerance();
        return if recovers {
            Action::Recover(uncovered)
        } else {
            Action::Conceal(piece(now, uncovered))
        };
    }
    // Its time has passed. While the delay is too short, wait on: that lengthens it, and the
    // missing packet may still come. A recovered one has come.
    let waiting = now.concealed > 0 && now.concealed < now.frame * STALL_FRAMES_MAX;
    match next.holds {
        Holds::Speech if !next.due && waiting => Action::Conceal(now.frame / 2),
        Holds::Speech => Action::Decode,
        _ => Action::Absorb,
    }
}

/// Concealment is made in pieces of 10 or 20 ms: the decoder's own steps.
fn piece(now: &Situation, wanted: usize) -> usize {
    if wanted > now.frame / 2 + now.tolerance() { now.frame } else { now.frame / 2 }
}

impl Situation {
    /// Whether `next` starts where the decoded audio ends.
    fn follows(&self, next: &Next) -> bool {
        next.gap <= self.tolerance() as i64
    }

    /// Timestamps off by less than 5 ms are the sender's rounding and no pause.
    fn tolerance(&self) -> usize {
        self.frame / 4
    }
}

/// A second without any packet ends the talkspurt.
const STALL_FRAMES_MAX: usize = 50;
