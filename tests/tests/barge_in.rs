//! A caller speaks while a brain talks without a pause: how soon the brain is silent, and what it
//! learns of it. Measured from the caller's packets, on recorded speech.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tungstenite::Message;
use vox_codecs::wav::WavWriter;
use vox_tests::brain::{Brain, Mouth, Socket};
use vox_tests::capture::{Capture, Packet};
use vox_tests::stalls::Watch;
use vox_tests::voices::{self, FRAME, Voices};
use vox_tests::worker::Worker;
use vox_tests::{caller, one_at_a_time};

const PROTOCOLS: [&str; 2] = ["vox", "openai-realtime"];
/// Of each protocol, at the same time,
const CALLS: usize = 10;
/// with so many of these in each.
const BARGE_INS: usize = 10;
const COUGHS: usize = 2;
/// The detector's own latency in recorded speech, p50, p95 and at most (`docs/src/hearing.md`),
const DETECTOR_MS: [f64; 3] = [80.0, 100.0, 160.0];
/// and what everything else may add: jitter buffer, tick, fade, wire.
const REST_MS: f64 = 60.0;
/// How far what the brain is told may be from what the caller was sent.
const POSITION_MS: f64 = 20.0;
/// Callers whose packets left later than this were held up by the machine.
const LATENESS_MAX_MS: f64 = 8.0;
const ATTEMPTS: usize = 2;

// In frames of 20 ms.
const SPEECH: usize = 50;
/// Shorter than `min_speech_ms`.
const COUGH: usize = 10;
const UTTERANCE: usize = 200;
/// What an interrupted brain waits before it talks again, by the caller's audio.
const REPLY: usize = 50;
/// From one onset to the next: the caller's words, the brain's answer, and some of it to be heard.
const TO_NEXT: usize = 110;

#[test]
fn a_caller_silences_the_brain_which_learns_what_was_heard_of_it_and_a_cough_costs_nothing() {
    let _turn = one_at_a_time();
    let Some(voices) = Voices::read().map(Arc::new) else { return };
    let mut cuts = voices.cuts(SPEECH);
    let scripts: Vec<_> = (0..CALLS).map(|nth| Script::new(&mut cuts, nth)).collect();
    let start = |protocol| (0..CALLS).map(move |nth| (protocol, nth));
    let lines = PROTOCOLS.into_iter().flat_map(start);
    let lines: Vec<_> =
        lines.map(|(protocol, nth)| Line::start(protocol, nth, voices.clone())).collect();
    let worker = Worker::start(&lines.iter().map(Line::bot).collect::<String>(), &[]);
    let path = |nth: usize| worker.directory().join(format!("{nth}.wav"));
    scripts.iter().enumerate().for_each(|(nth, script)| script.write(&path(nth)));
    let calls: Vec<_> = lines.iter().map(|line| line.call(&path(line.nth))).collect();
    for attempt in 1..=ATTEMPTS {
        let watch = Watch::start(worker.process.0.id());
        let ended = caller::capture_all(&worker, &calls);
        let stalls = watch.stop().count();
        let late = |(report, _): &(Value, Capture)| report["send_lateness_max_ms"].as_f64();
        let late_ms = ended.iter().filter_map(late).fold(0.0, f64::max);
        let outcomes = lines.iter().zip(&ended);
        let outcomes: Vec<_> =
            outcomes.map(|(line, (_, capture))| line.follow(&scripts[line.nth], capture)).collect();
        let judged = PROTOCOLS.iter().zip(outcomes.chunks(CALLS));
        let judged = judged.map(|(protocol, outcomes)| judge(protocol, outcomes));
        let (wrong, slow): (Vec<_>, Vec<_>) = judged.unzip();
        let (wrong, slow) = (wrong.concat(), slow.concat());
        if wrong.is_empty() && slow.is_empty() {
            return;
        }
        eprintln!("attempt {attempt}: {wrong:#?} {slow:#?}");
        eprintln!("attempt {attempt}: callers {late_ms} ms late, {stalls} stalls of the worker");
        assert!(attempt < ATTEMPTS || wrong.is_empty(), "{wrong:#?}");
        assert!(late_ms > LATENESS_MAX_MS || stalls > 0, "{slow:#?}");
    }
    eprintln!("NO VERDICT: this machine is too busy to hold {} calls in real time", calls.len());
}

/// What a caller says and when: words that interrupt, and coughs that do not.
struct Script {
    pcm: Vec<i16>,
    /// Frames with which something begins.
    onsets: Vec<Onset>,
}

#[derive(Debug, Clone, Copy)]
struct Onset {
    frame: usize,
    interrupts: bool,
}

impl Script {
    /// Digital silence between cuts of recorded speech; calls differ in cuts and distances.
    fn new<'a>(cuts: &mut impl Iterator<Item = &'a [i16]>, nth: usize) -> Self {
        let mut script = Self { pcm: vec![], onsets: vec![] };
        let mut next = TO_NEXT;
        for n in 0..BARGE_INS + COUGHS {
            let interrupts = n % 6 != 2;
            let cut = cuts.next().expect("recordings enough");
            let cut = if interrupts { cut } else { &cut[..COUGH * FRAME] };
            script.pcm.resize(next * FRAME, 0);
            script.pcm.extend(cut);
            script.onsets.push(Onset { frame: next, interrupts });
            next += TO_NEXT + (nth + n * 7) % 10;
        }
        let coughs = script.onsets.iter().filter(|onset| !onset.interrupts).count();
        assert_eq!(coughs, COUGHS);
        script.pcm.resize(next * FRAME, 0);
        script
    }

    fn write(&self, path: &Path) {
        let file = std::fs::File::create(path).expect("a file");
        let mut wav = WavWriter::new(file, 8_000, 1).expect("a file");
        wav.write(&self.pcm).expect("a file");
        wav.finish().expect("a file");
    }
}

/// A bot, its brain and what that was told: one for each call, so that calls are told apart.
struct Line {
    protocol: &'static str,
    nth: usize,
    voices: Arc<Voices>,
    brain: Brain,
    told: Arc<Mutex<Vec<Told>>>,
}

/// What a brain was told.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Resumed,
    /// So much was heard of it: of the connection's audio, or of the present item's.
    Interrupted {
        played_ms: f64,
    },
}

impl Line {
    fn start(protocol: &'static str, nth: usize, voices: Arc<Voices>) -> Self {
        let told = Arc::new(Mutex::new(vec![]));
        let (tell, speech) = (told.clone(), voices.clone());
        let brain = Brain::start(move |socket, _| {
            tell.lock().expect("no panic").clear();
            talk(socket, Mouth::new(protocol), &tell, |n| utterance(&speech, nth, n));
        });
        Self { protocol, nth, voices, brain, told }
    }

    fn name(&self) -> String {
        format!("{}-{}", self.protocol, self.nth)
    }

    fn bot(&self) -> String {
        let bot = self.brain.bot(&self.name(), self.protocol, "");
        bot + "vad = { enabled = true }\nrecording = { enabled = false }\n"
    }

    fn call(&self, speech: &Path) -> (String, Vec<String>) {
        let arguments = ["--play", &speech.display().to_string(), "--tail", "0.5"];
        (self.name(), arguments.map(str::to_owned).to_vec())
    }

    /// Follows the brain's audio through the caller's capture, to the sample, and lays what the brain
    /// was told beside it. Says what it is that cannot be followed.
    fn follow(&self, script: &Script, capture: &Capture) -> Result<Outcome, String> {
        self.outcome(script, capture).map_err(|what| format!("{}: {what}", self.name()))
    }

    fn outcome(&self, script: &Script, capture: &Capture) -> Result<Outcome, String> {
        if capture.out_of_order() > 0 {
            return Err("packets are missing".into());
        }
        let told = self.told.lock().expect("no panic").clone();
        let mut told_ms = told.iter().filter_map(Told::played_ms);
        let (mut outcome, mut heard, mut cough) = (Outcome::default(), Heard::default(), None);
        let sent = |onset: &Onset| Some((onset.interrupts, capture.sent.get(onset.frame)?.at));
        let mut onsets = script.onsets.iter().filter_map(sent).peekable();
        for run in capture.heard.chunk_by(|a, b| a.is_audible() == b.is_audible()) {
            if !run[0].is_audible() {
                continue;
            }
            heard.take(run, &utterance(&self.voices, self.nth, heard.utterance))?;
            let last = run[run.len() - 1].at;
            if let Some(at) = cough.take() {
                outcome.back_ms.push(ms(at, run[0].at));
            }
            // The latest before its end. A cough before that was not noticed.
            let mut ended_by = None;
            while let Some(onset) = onsets.next_if(|&(_, at)| at <= last) {
                ended_by = Some(onset);
            }
            match ended_by {
                Some((true, at)) => {
                    let told_ms = told_ms.next().ok_or("the brain knows of no interruption")?;
                    outcome.silent_ms.push(ms(at, last));
                    outcome.apart_ms.push((told_ms - heard.ms(self.protocol)).abs());
                    heard.next();
                }
                Some((false, at)) => cough = Some(at),
                // Until the call was over.
                None => break,
            }
        }
        let (silenced, told) = (outcome.silent_ms.len(), told.len());
        let expected = BARGE_INS + if self.protocol == "vox" { outcome.back_ms.len() } else { 0 };
        match (silenced, told) == (BARGE_INS, expected) {
            true => Ok(outcome),
            false => Err(format!("silenced {silenced} times, told {told}, expected {expected}")),
        }
    }
}

impl Told {
    /// From a message of the worker's.
    fn read(message: &Message) -> Option<Self> {
        let Message::Text(text) = message else { return None };
        let said: Value = serde_json::from_str(text).expect("JSON of the worker");
        let interrupted = |field: &str| {
            Some(Self::Interrupted { played_ms: said[field].as_f64().expect("milliseconds") })
        };
        match said["type"].as_str()? {
            "resumed" => Some(Self::Resumed),
            "interrupted" => interrupted("played_ms"),
            "conversation.item.truncate" => interrupted("audio_end_ms"),
            _ => None,
        }
    }

    fn played_ms(&self) -> Option<f64> {
        match self {
            Self::Resumed => None,
            Self::Interrupted { played_ms } => Some(*played_ms),
        }
    }
}

/// What the caller heard of the brain so far.
#[derive(Default)]
struct Heard {
    /// Utterances before the present one, and their samples.
    utterance: usize,
    before: usize,
    /// Samples of the present one.
    here: usize,
}

impl Heard {
    /// Some of it without a pause. It goes on where it stopped; its ends may be faded.
    fn take(&mut self, run: &[Packet], utterance: &[i16]) -> Result<(), String> {
        for (n, packet) in run.iter().enumerate() {
            let end = self.here + packet.pcm.len();
            let said = utterance.get(self.here..end).ok_or("more is heard than was said")?;
            let faded_in = n == 0 && voices::likeness(&ramp(said, true), &packet.pcm) > 0.95;
            let faded_out =
                n + 1 == run.len() && voices::likeness(&ramp(said, false), &packet.pcm) > 0.95;
            if packet.pcm != said && !faded_in && !faded_out {
                let (utterance, at) = (self.utterance, self.here);
                return Err(format!("utterance {utterance} goes on at {at} with something else"));
            }
            self.here = end;
        }
        Ok(())
    }

    fn next(&mut self) {
        self.before += std::mem::take(&mut self.here);
        self.utterance += 1;
    }

    /// As the protocol counts it: of the connection, or of the item.
    fn ms(&self, protocol: &str) -> f64 {
        let before = if protocol == "vox" { self.before } else { 0 };
        (before + self.here) as f64 / 8.0
    }
}

/// How one call went.
#[derive(Debug, Clone, Default)]
struct Outcome {
    /// From the caller's first packet of speech to the last with the brain's audio.
    silent_ms: Vec<f64>,
    /// What the brain was told of its playback, and what the caller was sent.
    apart_ms: Vec<f64>,
    /// From a cough's first packet to the brain's first when it goes on.
    back_ms: Vec<f64>,
}

/// Prints a protocol's figures; says what is wrong, and what is only slow.
fn judge(protocol: &str, outcomes: &[Result<Outcome, String>]) -> (Vec<String>, Vec<String>) {
    let all = |figure: fn(&Outcome) -> &Vec<f64>| {
        let mut all: Vec<f64> = outcomes.iter().flatten().flat_map(figure).copied().collect();
        all.sort_by(f64::total_cmp);
        let at = |share: f64| all.get((all.len() as f64 * share) as usize).copied();
        let last = all.last().copied();
        (all.len(), [at(0.5), at(0.95), last].map(|figure| figure.unwrap_or(f64::NAN)))
    };
    let (tries, silent) = all(|outcome| &outcome.silent_ms);
    let (coughs, back) = all(|outcome| &outcome.back_ms);
    let (_, [.., apart]) = all(|outcome| &outcome.apart_ms);
    println!("`{protocol}`: {tries} barge-ins, silent after {silent:.1?} ms (p50, p95, at most)");
    println!("`{protocol}`: told and heard {apart:.2} ms apart at most");
    println!("`{protocol}`: {coughs} coughs paused it, it went on after {back:.1?} ms, whole");
    let mut wrong: Vec<_> = outcomes.iter().filter_map(|it| it.clone().err()).collect();
    wrong.extend((apart > POSITION_MS).then(|| format!("{protocol}: {apart} ms apart")));
    let slow = silent.iter().zip(DETECTOR_MS).any(|(&after, own)| after > own + REST_MS);
    let slow = slow.then(|| format!("{protocol}: silent after {silent:?} ms"));
    (wrong, slow.into_iter().collect())
}

/// Talks without a pause from the first of the caller's audio on, and anew when it was interrupted.
fn talk(
    socket: &mut Socket,
    mut mouth: Mouth,
    tell: &Mutex<Vec<Told>>,
    utterance: impl Fn(usize) -> Vec<i16>,
) {
    let (mut heard, mut due, mut utterances) = (0, Some(0), 0);
    while let Ok(message) = socket.read() {
        if let Some(told) = Told::read(&message) {
            tell.lock().expect("no panic").push(told);
            if told != Told::Resumed {
                due = Some(heard + REPLY);
            }
        }
        if !mouth.hears(&message) {
            continue;
        }
        if due.take_if(|due| heard >= *due).is_some() {
            mouth.begin();
            if mouth.say(socket, &utterance(utterances)).is_err() {
                return;
            }
            utterances += 1;
        }
        heard += 1;
    }
}

fn utterance(voices: &Voices, call: usize, nth: usize) -> Vec<i16> {
    voices.talk(call * 100 + nth, UTTERANCE)
}

/// From nothing to all of it, or back.
fn ramp(pcm: &[i16], up: bool) -> Vec<i16> {
    let len = pcm.len();
    let gain = |at: usize| if up { at } else { len - 1 - at } as f64 / len as f64;
    pcm.iter().enumerate().map(|(at, &sample)| (f64::from(sample) * gain(at)) as i16).collect()
}

fn ms(from: Duration, to: Duration) -> f64 {
    (to.as_secs_f64() - from.as_secs_f64()) * 1e3
}
