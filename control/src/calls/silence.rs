//! Who says nothing: callers who never spoke, conversations that fell silent, calls that are soon
//! as long as they may be. The decisions are pure; one look at all calls every half second drives
//! them, and nothing of it is on a shard.

use std::time::Duration;

use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use vox_call::{CallId, Reason};
use vox_contracts::BotConfig;

use super::Calls;
use super::table::Entry;
use crate::agents::AgentNews;
use crate::bots::ReEngagement;

/// Watches one call. Times are since its answer.
#[derive(Debug)]
pub(super) struct Watch {
    /// When a caller who has not spoken never will.
    never_spoke: Option<Duration>,
    /// When the brain is warned, and of how many seconds.
    warning: Option<(Duration, u32)>,
    re_engagement: Option<ReEngagement>,
    /// The caller has spoken, or pressed a key.
    is_present: bool,
    /// Speech of the caller, in all, and when that was known.
    speech: Duration,
    known_at: Duration,
    /// By voice activity detection, on calls that have it.
    is_speaking: bool,
    /// Of the agent's audio that was played.
    said: u64,
    /// Neither side has spoken since.
    silent_since: Duration,
    attempts: u32,
    /// Held, or on the way to somebody else: silence means nothing.
    pub(super) is_paused: bool,
    is_over: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// The call ends in so many seconds.
    Warning(u32),
    /// Somebody is to say something.
    ReEngage {
        /// 1 for the first time.
        attempt: u32,
    },
    /// The call is over.
    End(Reason),
}

impl Watch {
    pub(super) fn new(bot: &BotConfig) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let warning_at = bot.max_call_duration_seconds.checked_sub(bot.warning_seconds);
        let warning_at = warning_at.filter(|at| *at > 0 && bot.warning_seconds > 0);
        Self {
            never_spoke: Some(seconds(bot.rnr_seconds)).filter(|limit| !limit.is_zero()),
            warning: warning_at.map(|at| (seconds(at), bot.warning_seconds)),
            // What is wrong was refused when the call was opened.
            re_engagement: ReEngagement::of(bot).unwrap_or_default(),
            is_present: false,
            speech: Duration::ZERO,
            known_at: Duration::ZERO,
            is_speaking: false,
            said: 0,
            silent_since: Duration::ZERO,
            attempts: 0,
            is_paused: false,
            is_over: false,
        }
    }

    /// The caller has spoken for so long, in all.
    pub(super) fn heard(&mut self, now: Duration, speech: Duration) {
        self.known_at = now;
        if speech >= self.speech + WORD {
            self.speech = speech;
            self.caller_acted(now);
        }
    }

    /// The caller begins, or stops, to speak.
    pub(super) fn speech(&mut self, now: Duration, started: bool) {
        self.is_speaking = started;
        self.caller_acted(now);
    }

    /// The caller pressed a key.
    pub(super) fn pressed(&mut self, now: Duration) {
        self.caller_acted(now);
    }

    /// So much of the agent's audio was played, in all.
    pub(super) fn agent_said(&mut self, now: Duration, said: u64) {
        if said != self.said {
            self.said = said;
            self.silent_since = now;
        }
    }

    /// A prompt was played.
    pub(super) fn prompted(&mut self, now: Duration) {
        self.silent_since = now;
    }

    /// Whether the engine is to be asked how long the caller has spoken.
    pub(super) fn wants_report(&self, now: Duration) -> bool {
        let overdue = !self.is_present && self.never_spoke.is_some_and(|limit| now >= limit);
        !self.is_over && (overdue || self.re_engagement.is_some())
    }

    /// What there is to do; one thing at a time.
    pub(super) fn due(&mut self, now: Duration) -> Option<Due> {
        if self.is_over {
            return None;
        }
        if let Some((_, seconds)) = self.warning.take_if(|(at, _)| now >= *at) {
            return Some(Due::Warning(seconds));
        }
        if self.is_paused || self.is_speaking {
            self.silent_since = now;
            return None;
        }
        // Known since the limit, or it is not known.
        let silent = |limit: Duration| now >= limit && self.known_at >= limit;
        if !self.is_present && self.never_spoke.is_some_and(silent) {
            self.is_over = true;
            return Some(Due::End(Reason::NeverSpoke));
        }
        let wanted = self.re_engagement.as_ref()?;
        if now < self.silent_since + wanted.silence {
            return None;
        }
        self.silent_since = now;
        if self.attempts < wanted.attempts_max {
            self.attempts += 1;
            return Some(Due::ReEngage { attempt: self.attempts });
        }
        if !wanted.hang_up {
            return None;
        }
        self.is_over = true;
        let spoke = self.is_present;
        Some(Due::End(if spoke { Reason::BotHungUp } else { Reason::NeverSpoke }))
    }

    fn caller_acted(&mut self, now: Duration) {
        self.is_present = true;
        self.silent_since = now;
        self.attempts = 0;
    }
}

/// Looks at all calls for as long as the runtime lives.
pub(super) fn start(calls: Calls) {
    tokio::spawn(async move {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            calls.look();
        }
    });
}

impl Calls {
    fn look(&self) {
        let (mut due, mut asked) = (Vec::new(), Vec::new());
        self.0.table.each(|call, entry| {
            let is_going = entry.is_transferring();
            let said = entry.agent.as_ref().map(crate::agents::AgentHandle::said);
            let Some((watch, now)) = watch(entry) else { return };
            if is_going {
                watch.prompted(now);
            }
            if let Some(said) = said {
                watch.agent_said(now, said);
            }
            if watch.wants_report(now) {
                asked.push(call);
            }
            due.extend(watch.due(now).map(|due| (call, due)));
        });
        for call in asked {
            if let Err(refused) = self.engine().query(call) {
                tracing::debug!(call_id = call.0, "query: {refused}");
            }
        }
        for (call, due) in due {
            self.attend(call, due);
        }
    }

    fn attend(&self, call: CallId, due: Due) {
        match due {
            Due::Warning(seconds_left) => {
                self.0.table.with(call, |entry| {
                    let facts = json!({"seconds_left": seconds_left});
                    entry.journal.write("max_duration_warning", facts);
                    if let Some(agent) = &entry.agent {
                        agent.tell(AgentNews::Warning { seconds_left });
                    }
                });
            }
            Due::ReEngage { attempt } => self.re_engage(call, attempt),
            Due::End(reason) => {
                self.note(call, "nobody_speaks", json!({}));
                self.end(call, reason);
            }
        }
    }

    fn re_engage(&self, call: CallId, attempt: u32) {
        let file = self.0.table.with(call, |entry| {
            let wanted = entry.watch.as_ref()?.re_engagement.clone()?;
            entry.journal.write("re_engaged", json!({"attempt": attempt}));
            let file = wanted.file(attempt).cloned();
            if file.is_none()
                && let Some(agent) = &entry.agent
            {
                let message = wanted.message(attempt).unwrap_or_default().to_owned();
                agent.tell(AgentNews::ReEngage { attempt, message });
            }
            file
        });
        if let Some(file) = file.flatten() {
            self.prompt(call, file, RE_ENGAGEMENT, "re_engagement");
        }
    }

    /// Changes a call's watch, when it is answered.
    pub(super) fn watched(&self, call: CallId, change: impl FnOnce(&mut Watch, Duration)) {
        self.0.table.with(call, |entry| {
            if let Some((watch, now)) = watch(entry) {
                change(watch, now);
            }
        });
    }
}

/// A live call's watch, and the time since its answer.
pub(super) fn watch(entry: &mut Entry) -> Option<(&mut Watch, Duration)> {
    if entry.ending.is_some() {
        return None;
    }
    let now = entry.elapsed().saturating_sub(entry.answered_at?);
    Some((entry.watch.as_mut()?, now))
}

/// Id of the `Play` command of a prompt to re-engage.
pub(super) const RE_ENGAGEMENT: u32 = 4;
/// A few microseconds for a thousand calls.
const LOOK: Duration = Duration::from_millis(500);
/// Sounds that are shorter are clicks.
const WORD: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    enum Step {
        Heard(u64),
        Speech(bool),
        Pressed,
        Said(u64),
        Paused(bool),
    }
    use Step::*;

    /// Runs 40 s in steps of 1 s and tells what was due when. Speech is reported every second; a step
    /// comes just before the second it is named for.
    fn run(config: serde_json::Value, steps: &[(u64, Step)]) -> Vec<(u64, Due)> {
        let mut bot = BotConfig::new("s", "w");
        bot.re_engagement = serde_json::from_value(config["re_engagement"].clone()).unwrap();
        let number = |key: &str, default| config[key].as_u64().map_or(default, |n| n as u32);
        bot.rnr_seconds = number("rnr", 30);
        bot.max_call_duration_seconds = number("max", 600);
        bot.warning_seconds = number("warning", 30);
        let mut watch = Watch::new(&bot);
        let (mut found, mut speech) = (Vec::new(), Duration::ZERO);
        for second in 1..=40 {
            let now = Duration::from_secs(second);
            for (_, step) in steps.iter().filter(|(at, _)| *at == second) {
                match *step {
                    Heard(ms) => speech += Duration::from_millis(ms),
                    Speech(started) => watch.speech(now, started),
                    Pressed => watch.pressed(now),
                    Said(samples) => watch.agent_said(now, samples),
                    Paused(paused) => watch.is_paused = paused,
                }
            }
            if watch.wants_report(now) {
                watch.heard(now, speech);
            }
            found.extend(watch.due(now).map(|due| (second, due)));
        }
        found
    }

    #[test]
    fn silence_ends_what_it_should_and_nothing_else() {
        use serde_json::json;
        let plain = || json!({});
        let twice = || json!({"re_engagement": {"silence_seconds": 5, "max_attempts": 2}});
        let never = |second| (second, Due::End(Reason::NeverSpoke));
        let again = |second, attempt| (second, Due::ReEngage { attempt });
        type Row<'a> = (serde_json::Value, &'a [(u64, Step)], &'a [(u64, Due)]);
        let rows: &[Row<'_>] = &[
            (plain(), &[], &[never(30)]),
            (json!({"rnr": 0}), &[], &[]),
            (json!({"rnr": 5}), &[(5, Heard(80))], &[never(5)]),
            (json!({"rnr": 5}), &[(2, Heard(60)), (4, Heard(60))], &[]),
            (plain(), &[(29, Heard(200))], &[]),
            (plain(), &[(3, Pressed)], &[]),
            (plain(), &[(3, Speech(true)), (4, Speech(false))], &[]),
            (plain(), &[(2, Paused(true)), (35, Paused(false))], &[never(35)]),
            (json!({"max": 40, "warning": 10, "rnr": 0}), &[], &[(30, Due::Warning(10))]),
            (json!({"max": 10, "warning": 10, "rnr": 0}), &[], &[]),
            (twice(), &[], &[again(5, 1), again(10, 2), never(15)]),
            (
                twice(),
                &[(4, Heard(500)), (12, Heard(500))],
                &[again(9, 1), again(17, 1), again(22, 2), (27, Due::End(Reason::BotHungUp))],
            ),
            (
                twice(),
                &[(1, Heard(500)), (3, Said(1)), (6, Said(2)), (9, Said(3))],
                &[again(14, 1), again(19, 2), (24, Due::End(Reason::BotHungUp))],
            ),
            (
                json!({"rnr": 0, "re_engagement":
                    {"silence_seconds": 10, "max_attempts": 1, "hang_up": false}}),
                &[(20, Speech(true))],
                &[again(10, 1)],
            ),
        ];
        for (config, steps, expected) in rows {
            assert_eq!(run(config.clone(), steps), *expected, "{config}");
        }
    }
}
