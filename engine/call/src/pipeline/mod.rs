//! What happens to a frame between decode and encode: level and digits → agent → tap.

mod agent;
mod port;
mod tap;

use std::time::Duration;

use vox_codecs::dsp::level::energy;
use vox_codecs::tones::DtmfDetector;

use crate::hearing::Vad;
use crate::quality::ResponseClock;
use crate::{MediaTime, PacketMemory};
pub use agent::{Agent, Prompt};
pub(crate) use agent::{PlayedOut, Player};
pub use port::{
    AgentLine, AgentPort, BargeIn, Edge, Heard, HeardFrame, PortOptions, Stirs, Tiding, agent_port,
};
pub use tap::{Tap, TapFrame, TapReader, tap};

/// A call's agent, the prompt over it, the ears, and the recording.
#[derive(Debug)]
pub(crate) struct Pipeline {
    agent: Box<Agent>,
    prompt: Option<(u32, Player)>,
    recording: Option<Recording>,
    /// For 8 and 16 kHz. Apart: most calls have no use for them.
    detectors: Box<[DtmfDetector; 2]>,
    speech: Duration,
    ear: Option<Box<Vad>>,
    responses: ResponseClock,
}

#[derive(Debug)]
struct Recording {
    tap: Box<Tap>,
    /// The call's frame that is the recording's first.
    from: u32,
}

/// 20 ms of the caller, as the agent gets them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn<'a> {
    /// The call's frame.
    pub(crate) frame: u32,
    pub(crate) rate_hz: u32,
    pub(crate) caller: &'a [i16],
    /// What the ear made of it.
    pub(crate) heard: Heard,
}

/// What ended in a tick.
#[derive(Debug, Default)]
pub(crate) struct Spoken {
    /// A prompt.
    pub(crate) prompt: Option<PromptOver>,
    /// The agent's own recording.
    pub(crate) agent: Option<PlayedOut>,
}

/// A prompt that is not played any more.
#[derive(Debug)]
pub(crate) struct PromptOver {
    /// Of its `Play` command.
    pub(crate) id: u32,
    pub(crate) ended: PlayedOut,
    /// Its memory.
    pub(crate) prompt: Prompt,
}

impl Pipeline {
    pub(crate) fn new(tap: Option<Box<Tap>>, vad: Option<Box<Vad>>) -> Self {
        Self {
            agent: Box::new(Agent::silent()),
            prompt: None,
            recording: tap.map(|tap| Recording { tap, from: 0 }),
            detectors: Box::new([8_000, 16_000].map(DtmfDetector::new)),
            speech: Duration::ZERO,
            ear: vad,
            responses: ResponseClock::new(),
        }
    }

    /// Puts an agent in; gives back the one before.
    pub(crate) fn attach(&mut self, agent: Box<Agent>) -> Box<Agent> {
        std::mem::replace(&mut self.agent, agent)
    }

    /// Starts a prompt over the agent; gives back the one that it broke off.
    pub(crate) fn play(&mut self, id: u32, prompt: Prompt) -> Option<PromptOver> {
        let broken_off = self.stop_prompt();
        self.prompt = Some((id, Player::exact(prompt)));
        broken_off
    }

    /// Breaks a prompt off.
    pub(crate) fn stop_prompt(&mut self) -> Option<PromptOver> {
        let (id, player) = self.prompt.take()?;
        Some(PromptOver { id, ended: player.so_far(), prompt: player.into_prompt() })
    }

    /// Records from the call's frame `from` on, or not; gives back the tap before, closed.
    pub(crate) fn record(&mut self, tap: Option<Box<Tap>>, from: u32) -> Option<Box<Tap>> {
        let next = tap.map(|tap| Recording { tap, from });
        let mut before = std::mem::replace(&mut self.recording, next)?.tap;
        before.close();
        Some(before)
    }

    /// Says to the recorder that nothing follows.
    pub(crate) fn close_tap(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.tap.close();
        }
    }

    /// Takes note of 20 ms that really came from the caller.
    pub(crate) fn hear(&mut self, caller: &[i16]) {
        if is_loud(caller) {
            self.speech += FRAME;
        }
    }

    /// Listens for DTMF; wants every frame, silence and concealment too, for a press ends there.
    pub(crate) fn detect(&mut self, rate_hz: u32, caller: &[i16]) -> Option<char> {
        self.detectors[usize::from(rate_hz != 8_000)].push(caller)
    }

    /// What the ear makes of the caller's 20 ms.
    pub(crate) fn ear(&mut self, rate_hz: u32, caller: &[i16]) -> Heard {
        self.ear.as_mut().map_or_else(Heard::default, |ear| ear.push(rate_hz, caller))
    }

    /// Lets the ear know what went out, whose echo may come back.
    pub(crate) fn sent(&mut self, agent: &[i16]) {
        if let Some(ear) = &mut self.ear {
            ear.sent(agent);
        }
    }

    /// Lets the agent hear the caller's 20 ms. Whether it lives elsewhere, and is to be woken.
    pub(crate) fn listen(&mut self, turn: Turn<'_>) -> bool {
        self.agent.hear(turn)
    }

    /// The caller began, or stopped, to speak at `at`; what it said last was in the jitter buffer for
    /// `buffered`.
    pub(crate) fn turn_taken(&mut self, at: MediaTime, started: bool, buffered: Duration) {
        if started {
            self.responses.speech_started();
        } else {
            self.responses.speech_stopped(at, buffered);
        }
    }

    /// Takes note of what an agent elsewhere said in this tick, which is in `agent`.
    pub(crate) fn follow(&mut self, now: MediaTime, agent: &[i16]) {
        let Some(waited) = self.agent.waited() else { return };
        self.responses.said(now, waited.filter(|_| is_loud(agent)));
    }

    /// How long the caller waits for the agent.
    pub(crate) fn responses(&self) -> &ResponseClock {
        &self.responses
    }

    /// Says to an agent elsewhere that nothing follows; whether it is one, and to be woken.
    pub(crate) fn close_agent(&mut self) -> bool {
        self.agent.close()
    }

    /// Fills `out` with the next 20 ms for the caller. A prompt stands in for the agent, which does
    /// not go on meanwhile.
    pub(crate) fn speak(&mut self, rate_hz: u32, caller: &[i16], out: &mut [i16]) -> Spoken {
        let Some((_, player)) = &mut self.prompt else {
            return Spoken { prompt: None, agent: self.agent.fill(rate_hz, caller, out) };
        };
        let ended = player.fill(rate_hz, out);
        Spoken { prompt: ended.and_then(|_| self.stop_prompt()), agent: None }
    }

    /// Tells `memory` what the next 20 ms will touch here.
    pub(crate) fn expect_turn(&self, memory: &impl PacketMemory) {
        memory.expect(&self.agent);
        memory.expect(&self.recording);
        memory.expect(&self.speech);
        memory.expect(&self.prompt);
    }

    /// Tells `memory` what the next 20 ms will touch behind the pointers here.
    pub(crate) fn expect(&self, memory: &impl PacketMemory) {
        memory.expect(&*self.agent);
        if let Some(recording) = &self.recording {
            memory.expect(&*recording.tap);
        }
    }

    /// Records what was heard and really sent in the call's frame `frame`.
    pub(crate) fn tap(&mut self, frame: u32, rate_hz: u32, caller: &[i16], agent: &[i16]) {
        if let Some(Recording { tap, from }) = &mut self.recording {
            tap.push(frame.wrapping_sub(*from), rate_hz, caller, agent);
        }
    }

    /// How long the caller was heard above the speech level.
    pub(crate) fn speech(&self) -> Duration {
        self.speech
    }
}

/// Whether a frame is as loud as speech.
fn is_loud(pcm: &[i16]) -> bool {
    energy(pcm) >= SPEECH_MEAN_SQUARE * pcm.len() as u64
}

const FRAME: Duration = Duration::from_millis(20);
/// The mean of the squared samples at −45 dBov: above the noise of a quiet room on a headset, below
/// soft speech.
const SPEECH_MEAN_SQUARE: u64 = 33_952;
