//! Control's end of an agent port: the backlog, marks, and what happened.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rtrb::{Consumer, Producer};

use super::{FRAME_SAMPLES_MAX, HEADER_WORDS, News, Shared};

/// Control's end. Nothing here blocks; call [`hear`](Self::hear) and [`tidings`](Self::tidings)
/// whenever the bell rings, and [`pour`](Self::pour) with them.
///
/// Every sample that was ever said is in exactly one place: played, dropped, or queued.
#[derive(Debug)]
pub struct AgentLine {
    rate_hz: u32,
    ahead_max: usize,
    heard: Consumer<i16>,
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
    /// Dropped from the backlog by clears that the shard has not confirmed yet.
    dropped: u64,
    frame: [i16; FRAME_SAMPLES_MAX],
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
    /// The call's frame: its time in units of 20 ms since the answer. One that is missing was lost
    /// because the line was not read for half a second.
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
        heard: Consumer<i16>,
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
            dropped: 0,
            frame: [0; FRAME_SAMPLES_MAX],
        }
    }

    /// The caller's frames that came since, oldest first.
    pub fn hear(&mut self, mut each: impl FnMut(HeardFrame<'_>)) {
        let mut header = [0; HEADER_WORDS];
        while self.heard.pop_entire_slice(&mut header).is_ok() {
            let [low, high, samples] = header.map(|word| u32::from(word as u16));
            let samples = &mut self.frame[..samples as usize];
            // A frame is filed whole: behind its header there are all its samples.
            if self.heard.pop_entire_slice(samples).is_err() {
                return;
            }
            each(HeardFrame { index: low | high << 16, samples });
        }
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
        self.drop_backlog();
        self.shared.clear_to.store(self.poured, Ordering::Relaxed);
        self.shared.clears.fetch_add(1, Ordering::Release);
    }

    /// Moves what the ring has room for out of the backlog.
    pub fn pour(&mut self) {
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

    /// What happened since, in order.
    pub fn tidings(&mut self, mut each: impl FnMut(Tiding)) {
        // Before the news: it is written after those of its tick.
        let taken = self.shared.taken.load(Ordering::Acquire);
        while let Ok(news) = self.news.pop() {
            self.translate(news, &mut each);
        }
        self.reach(taken, false, &mut each);
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
        let taken = self.shared.taken.load(Ordering::Acquire);
        self.poured.saturating_sub(taken) + self.backlog.len() as u64
    }

    /// Samples that went to the wire, of all that was ever said.
    pub fn played(&self) -> u64 {
        self.shared.played.load(Ordering::Relaxed)
    }

    /// Caller's frames (or news) that were lost because the line was not read for half a second.
    pub fn overruns(&self) -> u64 {
        self.shared.overruns.load(Ordering::Relaxed)
    }

    /// Whether the call is over, or has another agent.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    fn translate(&mut self, news: News, each: &mut impl FnMut(Tiding)) {
        match news {
            News::SpeechStarted { frame, playing } => {
                each(Tiding::SpeechStarted { frame, playing });
            }
            News::SpeechStopped { frame } => each(Tiding::SpeechStopped { frame }),
            News::Paused { played } => each(Tiding::Paused { played }),
            News::Resumed => each(Tiding::Resumed),
            News::Cleared { played, from, to } => {
                self.reach(from, false, each);
                let dropped = to - from + std::mem::take(&mut self.dropped);
                each(Tiding::Cleared { played, dropped });
                self.reach(to, true, each);
            }
            News::Interrupted { played, from, to } => {
                self.reach(from, false, each);
                // What waited here was said before the brain could know.
                let unconfirmed = self.dropped;
                self.drop_backlog();
                let dropped = to - from + (self.dropped - unconfirmed);
                self.dropped = unconfirmed;
                each(Tiding::Interrupted { played, dropped });
                self.reach(to, true, each);
            }
            // A ring that ran empty while there is a backlog was a reader too late, not an end.
            News::Drained { played } if self.backlog.is_empty() => each(Tiding::Drained { played }),
            News::Drained { .. } => {}
        }
    }

    /// So many samples have left the ring.
    fn reach(&mut self, taken: u64, dropped: bool, each: &mut impl FnMut(Tiding)) {
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.at <= taken) {
            each(Tiding::Mark { id: mark.id, played: !(dropped || mark.dropped) });
        }
    }

    fn drop_backlog(&mut self) {
        self.dropped += self.backlog.len() as u64;
        self.backlog.clear();
        let at = self.poured;
        let later = self.later.drain(..).map(|(id, _)| Mark { id, at, dropped: true });
        self.marks.extend(later);
    }
}

/// A brain that sets a mark behind each word of a minute's speech needs 200.
const MARKS_MAX: usize = 1_024;
