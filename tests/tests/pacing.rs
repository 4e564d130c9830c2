//! What a brain says in bursts reaches the caller every 20 ms, whatever language it speaks.

use std::sync::Arc;

use vox_tests::brain::{Brain, Mouth, Socket};
use vox_tests::capture::Capture;
use vox_tests::stalls::{Stalls, Watch};
use vox_tests::voices::{FRAME, Voices};
use vox_tests::worker::Worker;
use vox_tests::{caller, one_at_a_time};

const PROTOCOLS: [&str; 3] = ["twilio", "vox", "openai-realtime"];
const MINUTE: usize = 60 * SECOND;
/// Frames of 20 ms.
const SECOND: usize = 50;
/// Packets may be so far apart,
const GAPS_MS: std::ops::RangeInclusive<f64> = 15.0..=25.0;
/// but for this share of them while the worker had its core,
const OUTSIDE_MAX: f64 = 0.001;
/// and this share in all: beyond it there is no verdict.
const HELD_UP_MAX: f64 = 0.01;
const ATTEMPTS: usize = 2;

#[test]
fn a_minute_of_each_brain_arrives_whole_and_20_ms_apart() {
    let _turn = one_at_a_time();
    let Some(voices) = Voices::read() else { return };
    let said = Arc::new(voices.talk(0, MINUTE + 5 * SECOND));
    let brains = PROTOCOLS.map(|protocol| {
        let said = said.clone();
        Brain::start(move |socket, _| talk_in_bursts(socket, Mouth::new(protocol), &said))
    });
    // A caller who never says a word is no reason to end the call.
    let bots = PROTOCOLS.iter().zip(&brains);
    let bots = bots.map(|(name, brain)| brain.bot(name, name, "") + "rnr_seconds = 0\n");
    let worker = Worker::start(&bots.collect::<String>(), &[]);
    let calls = PROTOCOLS.map(|name| (name.to_owned(), vec!["--duration".into(), "62".into()]));
    for attempt in 1..=ATTEMPTS {
        let watch = Watch::start(worker.process.0.id());
        let captures = caller::capture_all(&worker, &calls);
        let stalls = watch.stop();
        println!("| | gaps | p0.1 | p50 | p99.9 | longest | outside | of these held up |");
        let verdicts = PROTOCOLS
            .iter()
            .zip(&captures)
            .map(|(protocol, (_, capture))| Pace::of(capture, &said, &stalls).judge(protocol));
        match verdicts.collect::<Vec<_>>().into_iter().max() {
            Some(Verdict::Late) if attempt == ATTEMPTS => panic!("packets are not 20 ms apart"),
            Some(Verdict::Paced) => return,
            verdict => eprintln!("attempt {attempt}: {verdict:?}, {} stalls", stalls.count()),
        }
    }
    eprintln!("NO VERDICT: this machine is too busy to hold three calls in real time");
}

/// A second at a time, two ahead of the caller's ear at first.
fn talk_in_bursts(socket: &mut Socket, mut mouth: Mouth, said: &[i16]) {
    let mut bursts = said.chunks(SECOND * FRAME);
    let mut heard = 0;
    while let Ok(message) = socket.read() {
        if !mouth.hears(&message) {
            continue;
        }
        let due = if heard == 0 { 2 } else { usize::from(heard % SECOND == 0) };
        heard += 1;
        for burst in bursts.by_ref().take(due) {
            mouth.begin();
            if mouth.say(socket, burst).is_err() {
                return;
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Paced,
    /// Too many packets came at a wrong time, but hardly any while the worker had its core.
    HeldUp,
    Late,
}

/// Gaps between packets.
struct Pace {
    /// In milliseconds, the shortest first.
    gaps: Vec<f64>,
    outside: usize,
    held_up: usize,
}

impl Pace {
    /// Of the minute from the brain's first word on, all of which has to be there, to the sample.
    fn of(capture: &Capture, said: &[i16], stalls: &Stalls) -> Self {
        let first = capture.heard.iter().position(|packet| packet.is_audible());
        let first = first.expect("the brain's first word");
        let minute = capture.heard.get(first..first + MINUTE).expect("a minute");
        let pcm = minute.iter().flat_map(|packet| &packet.pcm);
        let same = pcm.zip(said).take_while(|(heard, said)| heard == said).count();
        assert_eq!(same, MINUTE * FRAME, "what is heard is what was said");
        assert_eq!(capture.out_of_order(), 0);
        let mut pace = Self { gaps: vec![], outside: 0, held_up: 0 };
        for pair in minute.windows(2) {
            let ms = pair[1].at.saturating_sub(pair[0].at).as_secs_f64() * 1e3;
            // Where it is late by more, the timestamp says so, too.
            let timed = pair[1].time.wrapping_sub(pair[0].time) == FRAME as u32;
            pace.gaps.push(ms);
            if !GAPS_MS.contains(&ms) || !timed {
                pace.outside += 1;
                pace.held_up += usize::from(stalls.explain(pair[1].at));
            }
        }
        pace.gaps.sort_by(f64::total_cmp);
        pace
    }

    fn judge(&self, protocol: &str) -> Verdict {
        let count = self.gaps.len();
        let at = |share: f64| self.gaps[(count as f64 * share) as usize];
        println!(
            "| `{protocol}` | {count} | {:.2} | {:.2} | {:.2} | {:.2} ms | {} | {} |",
            at(0.001),
            at(0.5),
            at(0.999),
            self.gaps[count - 1],
            self.outside,
            self.held_up,
        );
        let beyond = |gaps: usize, share: f64| gaps as f64 > share * count as f64;
        if beyond(self.outside - self.held_up, OUTSIDE_MAX) {
            Verdict::Late
        } else if beyond(self.outside, HELD_UP_MAX) {
            Verdict::HeldUp
        } else {
            Verdict::Paced
        }
    }
}
