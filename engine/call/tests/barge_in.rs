//! A caller and an agent elsewhere take turns, through the whole shard, tick by tick.

mod common;

use std::time::Duration;

use common::{Caller, LIMITS, World, ms, session};
use vox_call::hearing::{Vad, VadOptions};
use vox_call::pipeline::{Agent, AgentLine, BargeIn, PortOptions, Tiding, agent_port};
use vox_call::{CallId, Event, MediaTime};
use vox_codecs::{CodecKind, Decoder, Encoder};

const PEER: &str = "192.0.2.7:4000";
/// Of what the agent says.
const AMPLITUDE: f32 = 6_000.0;
/// The detector wants three frames of speech.
const DETECTED_WITH: usize = 3;
/// Frames of speech that are `min_speech`.
const SURE_WITH: usize = 15;
/// Frames without speech after which it is over.
const HANG_OVER: usize = 15;

/// A call whose agent is this test.
struct Scene {
    world: World,
    call: CallId,
    caller: Caller,
    line: AgentLine,
    decoder: Decoder,
}

/// What one tick brought.
struct Turn {
    /// When the caller's packet came, and when ours left.
    heard_at: MediaTime,
    sent_at: MediaTime,
    /// What ours says, at the codec's rate.
    pcm: Vec<i16>,
    /// Speech began (`true`) or stopped.
    speech: Option<bool>,
    tidings: Vec<Tiding>,
}

impl Scene {
    fn new(codec: CodecKind, port_hz: u32) -> Self {
        let mut world = World::new(4);
        let (port, line) = agent_port(PortOptions {
            rate_hz: port_hz,
            barge_in: Some(BargeIn::default()),
            ahead_max: Duration::from_secs(60),
        });
        let vad = Box::new(Vad::new(VadOptions::default()));
        let call = world.open_with(1, LIMITS, None, Some(vad));
        world.attach(call, Agent::port(port));
        world.answer(call, session(codec, PEER));
        let (caller, decoder) = (Caller::new(codec, PEER), Decoder::new(codec));
        Self { world, call, caller, line, decoder }
    }

    /// Queues `frames` of 20 ms of a tone.
    fn say(&mut self, frames: usize) -> Vec<i16> {
        let pcm = tone(self.line.rate_hz(), frames);
        assert_eq!(self.line.say(&pcm), pcm.len());
        pcm
    }

    fn turns(&mut self, speaks: bool, count: usize) -> Vec<Turn> {
        (0..count).map(|_| self.turn(speaks)).collect()
    }

    fn turn(&mut self, speaks: bool) -> Turn {
        let packet = if speaks { self.caller.speech() } else { self.caller.silence() };
        let (events, sent) = (self.world.events.len(), self.world.sent.len());
        let heard_at = self.world.now;
        self.world.deliver(self.call, self.caller.address, &packet);
        self.world.run(ms(20));
        let speech = self.world.events[events..].iter().find_map(|event| match event {
            Event::Speech { started, .. } => Some(*started),
            _ => None,
        });
        let mut ours = self.world.sent[sent..].iter().filter(|sent| sent.rtp().is_some());
        let (Some(ours), None) = (ours.next(), ours.next()) else { panic!("a packet in a tick") };
        let mut pcm = vec![0; self.caller.codec.frame_samples()];
        let decoded = self.decoder.decode(ours.rtp().expect("RTP").payload, &mut pcm);
        assert_eq!(decoded, Ok(pcm.len()));
        let (sent_at, mut tidings) = (ours.at, vec![]);
        self.line.tidings(|tiding| tidings.push(tiding));
        Turn { heard_at, sent_at, pcm, speech, tidings }
    }
}

impl Turn {
    /// More than the 3.5 ms that a resampler holds back of a fade.
    fn is_loud(&self) -> bool {
        peak(&self.pcm) > AMPLITUDE / 8.0
    }

    /// Loud at first, and hardly at the end.
    fn fades(&self) -> bool {
        let (first, last) = (self.pcm.len() / 2, self.pcm.len() * 7 / 8);
        peak(&self.pcm[..first]) > AMPLITUDE / 2.0 && peak(&self.pcm[last..]) < AMPLITUDE / 3.0
    }
}

/// As µ-law has it, so that encoding it changes nothing.
fn tone(rate_hz: u32, frames: usize) -> Vec<i16> {
    let sample = |n: usize| {
        let angle = n as f32 * 317.0 * std::f32::consts::TAU / rate_hz as f32;
        (angle.sin() * AMPLITUDE) as i16
    };
    let (mut bytes, mut out) = ([0; 320], [0; 320]);
    let frame = |frame: usize| {
        let len = rate_hz as usize / 50;
        let pcm: Vec<_> = (frame * len..(frame + 1) * len).map(sample).collect();
        let len = Encoder::new(CodecKind::Pcmu).encode(&pcm, &mut bytes);
        Decoder::new(CodecKind::Pcmu).decode(&bytes[..len], &mut out).expect("µ-law");
        out[..len].to_vec()
    };
    (0..frames).flat_map(frame).collect()
}

fn peak(pcm: &[i16]) -> f32 {
    pcm.iter().map(|sample| f32::from(*sample).abs()).fold(0.0, f32::max)
}

fn position<'a>(turns: impl IntoIterator<Item = &'a Turn>, is: impl Fn(&Turn) -> bool) -> usize {
    turns.into_iter().position(is).expect("such a turn")
}

#[test]
fn speech_fades_the_agent_out_in_the_tick_that_detects_it_and_drops_it_when_it_is_sure() {
    for (codec, port_hz) in [
        (CodecKind::Pcmu, 8_000),
        (CodecKind::Pcma, 8_000),
        (CodecKind::Pcmu, 16_000),
        (CodecKind::G722, 16_000),
    ] {
        let mut scene = Scene::new(codec, port_hz);
        let said = scene.say(200).len() as u64;
        let mut turns = scene.turns(false, 50);
        turns.extend(scene.turns(true, 40));
        let about = format!("{codec:?}, {port_hz} Hz");

        let detected = position(&turns, |turn| turn.speech == Some(true));
        let waited = turns[detected].sent_at.since(turns[50].heard_at);
        assert!(waited <= ms(20) * (DETECTED_WITH as u32 + 1), "{about}: {waited:?}");
        assert!(turns[detected].fades(), "{about}: the fade is in the packet of that tick");
        assert!(turns[..detected].iter().all(Turn::is_loud), "{about}");
        assert!(!turns[detected + 1..].iter().any(Turn::is_loud), "{about}: and nothing after it");

        let frame = u64::from(port_hz / 50);
        let played = (detected as u64 + 1) * frame;
        let told = &turns[detected].tidings[..];
        let [Tiding::SpeechStarted { playing: true, .. }, paused] = told else {
            panic!("{about}: in that tick the line is told {told:?}");
        };
        assert_eq!(*paused, Tiding::Paused { played }, "{about}");
        let sure = detected + SURE_WITH - DETECTED_WITH;
        let dropped = said - played;
        assert_eq!(turns[sure].tidings, [Tiding::Interrupted { played, dropped }], "{about}");
    }
}

#[test]
fn speech_that_is_too_short_costs_the_agent_a_pause_and_not_a_sample() {
    let mut scene = Scene::new(CodecKind::Pcmu, 8_000);
    let said = scene.say(150);
    let mut turns = scene.turns(false, 50);
    turns.extend(scene.turns(true, 6));
    turns.extend(scene.turns(false, 120));

    let paused = position(&turns, |turn| turn.speech == Some(true));
    let resumed = position(&turns, |turn| turn.tidings.contains(&Tiding::Resumed));
    assert_eq!(resumed, position(&turns, |turn| turn.speech == Some(false)), "in the same tick");
    assert_eq!(resumed - paused, 6 - DETECTED_WITH + HANG_OVER);
    assert!(!turns[paused + 1..resumed].iter().any(Turn::is_loud));
    assert!(turns[paused].fades() && turns[resumed].is_loud());
    let heard: Vec<_> = turns.iter().filter(|turn| turn.is_loud()).collect();
    assert_eq!(heard.len(), 150, "all of it");
    for (at, (turn, said)) in heard.iter().zip(said.chunks(160)).enumerate() {
        let is_faded = at == paused || at == paused + 1;
        assert!(is_faded || turn.pcm == said, "frame {at} is as it was said");
    }
    let dropped = |turn: &Turn| {
        turn.tidings.iter().any(|tiding| matches!(tiding, Tiding::Interrupted { .. }))
    };
    assert!(!turns.iter().any(dropped));
}

#[test]
fn a_response_is_timed_from_the_callers_last_packet_of_speech_to_the_agents_first_packet() {
    let mut scene = Scene::new(CodecKind::Pcmu, 8_000);
    scene.turns(false, 50);
    let mut expected = vec![];
    // Before the detector knows that the caller is done, and after.
    for think in [4, 40, 9, 25, 15, 16, 60] {
        let spoken = scene.turns(true, 30);
        scene.turns(false, think);
        scene.say(20);
        let answered = scene.turns(false, 60);
        let first = position(&answered, Turn::is_loud);
        expected.push(answered[first].sent_at.since(spoken[29].heard_at));
    }
    expected.sort_unstable();
    let found = scene.world.quality(scene.call).responses;
    assert_eq!(found.count as usize, expected.len());
    let mean = expected.iter().sum::<Duration>() / found.count;
    for (found, expected) in
        [(found.p50, expected[3]), (found.p95, expected[6]), (found.mean, mean)]
    {
        // The jitter buffer's delay is known in whole milliseconds.
        assert!(found.abs_diff(expected) <= ms(1), "found {found:?}, expected {expected:?}");
    }
    assert!(found.own_p50 <= found.own_p95 && found.own_p95 <= ms(40), "{found:?}");
}
