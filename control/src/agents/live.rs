//! An answered call as its brain has it: audio both ways at the brain's rate, marks and positions.

use std::collections::VecDeque;

use vox_call::pipeline::{AgentLine, Tiding};
use vox_codecs::dsp::resample::Resampler;

use super::dialect::{Dialect, News, Out};
use super::{Act, Ask};

/// An answered call.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) line: AgentLine,
    /// Call's rate to dialect's and back, where they differ.
    convert: Option<Box<(Resampler, Resampler)>>,
    marks: VecDeque<(u32, Marked)>,
    next_mark: u32,
}

/// What is to be done when a mark comes.
#[derive(Debug)]
pub(super) enum Marked {
    Tell(String),
    HangUp(Option<String>),
}

/// What the line has to say.
#[derive(Debug)]
pub(super) enum Happened<'a> {
    /// To the brain.
    News(News<'a>),
    /// To control.
    Ask(Ask),
}

impl Live {
    /// With a brain that hears and speaks at `own_hz`.
    pub(super) fn new(line: AgentLine, own_hz: u32) -> Self {
        let call_hz = line.rate_hz();
        let convert = (call_hz != own_hz)
            .then(|| Box::new((Resampler::new(call_hz, own_hz), Resampler::new(own_hz, call_hz))));
        Self { line, convert, marks: VecDeque::new(), next_mark: 0 }
    }

    /// The caller's frames, to the brain.
    pub(super) fn hear(&mut self, dialect: &mut dyn Dialect, out: &mut dyn Out) {
        let convert = &mut self.convert;
        self.line.hear(|frame| pass(convert, frame.index, frame.samples, dialect, out));
    }

    /// A frame that had to wait, to the brain.
    pub(super) fn pass(
        &mut self,
        index: u32,
        samples: &[i16],
        dialect: &mut dyn Dialect,
        out: &mut dyn Out,
    ) {
        pass(&mut self.convert, index, samples, dialect, out);
    }

    /// The brain's audio, made the call's.
    pub(super) fn convert_said(&mut self, say: &mut Vec<i16>) {
        let Some((_, to_call)) = self.convert.as_deref_mut() else { return };
        let mut converted = vec![0; say.len() * 2 + 4];
        let count = to_call.process(say, &mut converted);
        converted.truncate(count);
        *say = converted;
    }

    /// What happened, in order, for a connection before which so many samples had been played.
    pub(super) fn tidings(&mut self, played_before: u64, mut each: impl FnMut(Happened<'_>)) {
        let rate_hz = u64::from(self.line.rate_hz());
        let ms = |samples: u64| samples * 1_000 / rate_hz;
        let played_ms = |samples: u64| ms(samples.saturating_sub(played_before));
        let marks = &mut self.marks;
        self.line.tidings(|tiding| {
            let news = match tiding {
                Tiding::Mark { id, played } => return marked(marks, id, played, &mut each),
                Tiding::Cleared { played, dropped } => {
                    each(Happened::Ask(Ask::Cut));
                    News::Cleared { played_ms: played_ms(played), dropped_ms: ms(dropped) }
                }
                Tiding::Interrupted { played, dropped } => {
                    each(Happened::Ask(Ask::Cut));
                    News::Interrupted { played_ms: played_ms(played), dropped_ms: ms(dropped) }
                }
                Tiding::SpeechStarted { frame, playing } => {
                    News::SpeechStarted { at_ms: u64::from(frame) * 20, playing }
                }
                Tiding::SpeechStopped { frame } => {
                    News::SpeechStopped { at_ms: (u64::from(frame) + 1) * 20 }
                }
                Tiding::Paused { played } => News::Paused { played_ms: played_ms(played) },
                Tiding::Resumed => News::Resumed,
                Tiding::Drained { played } => News::Drained { played_ms: played_ms(played) },
            };
            each(Happened::News(news));
        });
    }

    /// What was said on a connection that is gone is not to be heard any more.
    pub(super) fn forget(&mut self) {
        self.line.clear();
        self.marks.clear();
    }

    /// Sets a mark; gives it back when there are too many.
    pub(super) fn mark(&mut self, marked: Marked) -> Option<Marked> {
        let id = self.next_mark;
        self.next_mark = id.wrapping_add(1);
        if !self.line.mark(id) {
            return Some(marked);
        }
        self.marks.push_back((id, marked));
        None
    }
}

fn pass(
    convert: &mut Option<Box<(Resampler, Resampler)>>,
    index: u32,
    samples: &[i16],
    dialect: &mut dyn Dialect,
    out: &mut dyn Out,
) {
    let Some((to_brain, _)) = convert.as_deref_mut() else {
        return dialect.heard(index, samples, out);
    };
    let mut converted = [0; FRAME_SAMPLES_MAX];
    let count = to_brain.process(samples, &mut converted);
    dialect.heard(index, &converted[..count], out);
}

/// Does what was to be done at a mark.
fn marked(
    marks: &mut VecDeque<(u32, Marked)>,
    id: u32,
    played: bool,
    each: &mut impl FnMut(Happened<'_>),
) {
    match marks.pop_front_if(|(next, _)| *next == id) {
        Some((_, Marked::Tell(name))) => {
            each(Happened::News(News::Mark { name: &name, played }));
        }
        Some((_, Marked::HangUp(reason))) => {
            each(Happened::Ask(Ask::Act(Act::HangUp { after_playback: false, reason })));
        }
        None => {}
    }
}

/// 20 ms at 24 kHz, and what a resampler may have over.
const FRAME_SAMPLES_MAX: usize = 484;
