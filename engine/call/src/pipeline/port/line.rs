//! Control's end of an agent port: the backlog, marks, and what happened.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rtrb::{Consumer, Producer};

use super::frames::FrameReader;
use super::{News, Shared};

/// Control's end. Nothing here blocks; call [`hear`](Self::hear) and [`tidings`](Self::tidings)
/// whenever the bell rings.
///
/// Every sample that was ever said is in exactly one place: played, dropped, or queued.
#[derive(Debug)]
pub struct AgentLine {
    rate_hz: u32,
    ahead_max: usize,
    heard: FrameReader,
    says: Producer<i16>,
    news: Consumer<News>,
    shared: Arc<Shared>,
    /// Said, but not in the ring yet.
    backlog: VecDeque<i16>,
    /// Samples that went into the ring so far.
    poured: u64,
    /// Marks behind samples of the ring, in order.
    marks: VecDeque<Mark>,
    /// Marks behind samples of the backlog: how many of them are before it.
    later: VecDeque<(u32, usize)>,
    /// Clears so far, answers to interruptions among them.
    clears: u64,
    /// The last clear that was asked for, until the shard has confirmed it.
    asked: Option<u64>,
    /// Dropped by clears that the shard has not confirmed yet.
    dropped: u64,
    /// Up to here, samples of the ring were dropped by an interruption, though they may still be in it.
    interrupted_to: u64,
    /// News taken from the ring so far.
    told: u64,
}

/// Whether a line has something new, to be looked at often: touches one line of the cache.
#[derive(Debug)]
pub struct Stirs {
    shared: Arc<Shared>,
    /// What there was of `Shared::stirred` at the last look.
    seen: u64,
}

impl Stirs {
    /// Whether there is anything new to [`hear`](AgentLine::hear) or among the
    /// [`tidings`](AgentLine::tidings) since this was asked last; to be asked before they are looked
    /// at.
    pub fn take(&mut self) -> bool {
        let stirred = self.shared.stirred.load(Ordering::Acquire);
        std::mem::replace(&mut self.seen, stirred) != stirred
    }
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    id: u32,
    /// Comes when so many samples have left the ring.
    at: u64,
    /// What was said before it was dropped from the backlog.
    dropped: bool,
}

/// 20 ms of the caller.
#[derive(Debug, Clone, Copy)]
pub struct HeardFrame<'a> {
    /// The call's frame: its time in units of 20 ms since the answer. Those that are missing were lost
    /// because the line was not read for half a second: the oldest give way to new ones.
    pub index: u32,
    /// At the line's rate.
    pub samples: &'a [i16],
}

/// What happened on the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tiding {
    /// What was said before the mark has been played, or dropped.
    Mark {
        /// As given to [`AgentLine::mark`].
        id: u32,
        /// Whether it was heard to its end.
        played: bool,
    },
    /// What was queued at one or several [`AgentLine::clear`] is gone.
    Cleared {
        /// Samples that were heard, of all that was ever said.
        played: u64,
        /// Samples that were dropped now.
        dropped: u64,
    },
    /// The caller began to speak.
    SpeechStarted {
        /// The first frame of it.
        frame: u32,
        /// While the agent was heard.
        playing: bool,
    },
    /// The caller stopped.
    SpeechStopped {
        /// The last frame of it.
        frame: u32,
    },
    /// The caller speaks: the agent is silent, its audio waits.
    Paused {
        /// Samples that were heard, of all that was ever said.
        played: u64,
    },
    /// It was a cough: the agent goes on where it was.
    Resumed,
    /// The caller interrupted the agent: what was queued is gone.
    Interrupted {
        /// Samples that were heard, of all that was ever said.
        played: u64,
        /// Samples that were dropped now.
        dropped: u64,
    },
    /// The agent's audio came to its end, and nothing is queued.
    Drained {
        /// Samples that were heard, of all that was ever said.
        played: u64,
    },
}

impl AgentLine {
    pub(super) fn new(
        rate_hz: u32,
        ahead_max: usize,
        heard: FrameReader,
        says: Producer<i16>,
        news: Consumer<News>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            rate_hz,
            ahead_max,
            heard,
            says,
            news,
            shared,
            backlog: VecDeque::new(),
            poured: 0,
            marks: VecDeque::new(),
            later: VecDeque::new(),
            clears: 0,
            asked: None,
            dropped: 0,
            interrupted_to: 0,
            told: 0,
        }
    }

    /// Says when there is something new on this line.
    pub fn stirs(&self) -> Stirs {
        Stirs { shared: self.shared.clone(), seen: 0 }
    }

    /// The caller's frames that came since, oldest first.
    pub fn hear(&mut self, mut each: impl FnMut(HeardFrame<'_>)) {
        self.heard.drain(|index, samples| each(HeardFrame { index, samples }));
    }

    /// Queues the agent's audio, as much of it as there is [`room`](Self::room) for; says how much.
    pub fn say(&mut self, samples: &[i16]) -> usize {
        let taken = samples.len().min(self.room());
        let (now, later) = match self.backlog.is_empty() {
            true => samples[..taken].split_at(self.says.slots().min(taken)),
            false => samples[..taken].split_at(0),
        };
        if self.says.push_entire_slice(now).is_ok() {
            self.poured += now.len() as u64;
        }
        self.backlog.extend(later);
        taken
    }

    /// Has [`Tiding::Mark`] come once everything said so far is played or dropped; `false` when
    /// there are too many of them.
    pub fn mark(&mut self, id: u32) -> bool {
        if self.marks.len() + self.later.len() >= MARKS_MAX {
            return false;
        }
        if self.backlog.is_empty() {
            self.marks.push_back(Mark { id, at: self.poured, dropped: false });
        } else {
            self.later.push_back((id, self.backlog.len()));
        }
        true
    }

    /// Drops what is queued. [`Tiding::Cleared`] follows when the shard has done so.
    pub fn clear(&mut self) {
        self.dropped += self.drop_backlog();
        self.cut();
        self.asked = Some(self.clears);
    }

    /// Moves on what waits for room in the ring; [`tidings`](Self::tidings) does so, too.
    pub fn pour(&mut self) {
        if self.backlog.is_empty() {
            return;
        }
        let count = self.says.slots().min(self.backlog.len());
        if count == 0 {
            return;
        }
        let (front, back) = self.backlog.as_slices();
        let first = count.min(front.len());
        let parts = [&front[..first], &back[..count - first]];
        let poured = parts.into_iter().all(|part| self.says.push_entire_slice(part).is_ok());
        debug_assert!(poured, "there was room");
        self.backlog.drain(..count);
        let before = self.poured;
        self.poured += count as u64;
        while let Some((id, samples)) = self.later.pop_front_if(|(_, samples)| *samples <= count) {
            let at = before + samples as u64;
            self.marks.push_back(Mark { id, at, dropped: false });
        }
        self.later.iter_mut().for_each(|(_, samples)| *samples -= count);
    }

    /// What happened since, in order. Also moves on what waits, or the caller hears gaps after half a
    /// second.
    pub fn tidings(&mut self, mut each: impl FnMut(Tiding)) {
        // Before the news: it is written after those of its tick.
        let taken = self.shared.taken.load(Ordering::Acquire);
        // The ring itself is another place in memory: nothing is to be fetched from there as a rule.
        while self.told != self.shared.told.load(Ordering::Acquire)
            && let Ok(news) = self.news.pop()
        {
            self.told += 1;
            self.translate(news, &mut each);
        }
        self.reach(taken, false, &mut each);
        self.pour();
    }

    /// Rate of both directions.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Samples that [`say`](Self::say) takes now.
    pub fn room(&self) -> usize {
        self.ahead_max.saturating_sub(self.queued() as usize)
    }

    /// Samples that were said, and neither played nor dropped yet.
    pub fn queued(&self) -> u64 {
        let taken = self.shared.taken.load(Ordering::Acquire).max(self.interrupted_to);
        self.poured - taken.min(self.poured) + self.backlog.len() as u64
    }

    /// Samples that went to the wire, of all that was ever said.
    pub fn played(&self) -> u64 {
        self.shared.played.load(Ordering::Relaxed)
    }

    /// Caller's frames that were lost because the line was not read for half a second, and tidings
    /// because it was not read for longer. Never marks, and nothing of what was played or dropped.
    pub fn overruns(&self) -> u64 {
        self.heard.lost() + self.shared.unheard.load(Ordering::Relaxed)
    }

    /// Whether the call is over, or has another agent.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(super) fn clear_is_pending(&self) -> bool {
        self.asked.is_some()
    }

    fn translate(&mut self, news: News, each: &mut impl FnMut(Tiding)) {
        match news {
            News::SpeechStarted { frame, playing } => {
                each(Tiding::SpeechStarted { frame, playing });
            }
            News::SpeechStopped { frame } => each(Tiding::SpeechStopped { frame }),
            News::Paused { played } => each(Tiding::Paused { played }),
            News::Resumed => each(Tiding::Resumed),
            News::Cleared { played, from, to, clears } => {
                self.cleared(played, from, to, clears, each);
            }
            News::Interrupted { played, from, to } => self.interrupted(played, from, to, each),
            // A ring that ran empty while there is a backlog was a reader too late, not an end.
            News::Drained { played } if self.backlog.is_empty() => each(Tiding::Drained { played }),
            News::Drained { .. } => {}
        }
    }

    fn cleared(
        &mut self,
        played: u64,
        from: u64,
        to: u64,
        clears: u64,
        each: &mut impl FnMut(Tiding),
    ) {
        self.reach(from, false, each);
        self.dropped += to - from.max(self.interrupted_to).min(to);
        // An answer to an interruption is an affair between the two ends.
        if self.asked.is_some_and(|asked| asked <= clears) {
            self.asked = None;
            each(Tiding::Cleared { played, dropped: std::mem::take(&mut self.dropped) });
        }
        self.reach(to, true, each);
    }

    /// Everything that was said before the brain could know goes; the shard waits for us to say what
    /// that is.
    fn interrupted(&mut self, played: u64, from: u64, to: u64, each: &mut impl FnMut(Tiding)) {
        self.reach(from, false, each);
        if self.asked.is_some() {
            // The brain was faster: it has cleared, and what it said since is its answer.
            each(Tiding::Interrupted { played, dropped: to - from });
            return self.reach(to, true, each);
        }
        let dropped = self.poured - from + self.drop_backlog();
        self.interrupted_to = self.poured;
        self.cut();
        each(Tiding::Interrupted { played, dropped });
        self.reach(self.poured, true, each);
    }

    /// Has the shard drop what is in the ring.
    fn cut(&mut self) {
        self.clears += 1;
        self.shared.clear_to.store(self.poured, Ordering::Relaxed);
        // Release: whoever sees it also sees up to where.
        self.shared.clears.store(self.clears, Ordering::Release);
    }

    /// So many samples have left the ring.
    fn reach(&mut self, taken: u64, dropped: bool, each: &mut impl FnMut(Tiding)) {
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.at <= taken) {
            each(Tiding::Mark { id: mark.id, played: !(dropped || mark.dropped) });
        }
    }

    /// How much that was.
    fn drop_backlog(&mut self) -> u64 {
        let at = self.poured;
        let later = self.later.drain(..).map(|(id, _)| Mark { id, at, dropped: true });
        self.marks.extend(later);
        let dropped = self.backlog.len() as u64;
        self.backlog.clear();
        dropped
    }
}

/// A brain that sets a mark behind each word of a minute's speech needs 200.
const MARKS_MAX: usize = 1_024;
