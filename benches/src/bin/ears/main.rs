//! What the voice activity detector hears in recorded speech.
//!
//! ```text
//! ears barge-in      from the caller's first frame of speech to its detection, while the agent speaks
//! ears echo          an hour of agent's speech with its own echo at −25 dB: how often is that speech?
//! ears cost          a frame's cost beside decoding and encoding G.711
//! ears digits        an hour of speech in all languages that are installed: how many digits are heard?
//! ears amd           who answered: people's and machines' greetings in all languages, as a table
//! ```
//!
//! The speech is Debian's package `asterisk-core-sounds-en-wav` (`--corpus` names another directory
//! of 8 kHz WAV files); `digits` and `amd` want those of es, fr, it and ru beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use vox_call::hearing::{Amd, AmdOptions, Vad, VadOptions};
use vox_call::pipeline::Edge;
use vox_codecs::dsp::level::level_dbov;
use vox_codecs::wav::Wav;
use vox_codecs::{CodecKind, Decoder, Encoder};

mod amd;

#[derive(Debug, Parser)]
#[command(about = "What the voice activity detector hears in recorded speech")]
struct Options {
    #[command(subcommand)]
    what: What,
    /// A directory of WAV files, 8 kHz mono.
    #[arg(long, global = true, default_value = "/usr/share/asterisk/sounds/en_US_f_Allison")]
    corpus: PathBuf,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum What {
    /// How long after its first frame speech is detected.
    BargeIn,
    /// Whether the agent's echo is taken for speech.
    Echo,
    /// CPU of a frame.
    Cost,
    /// Whether speech is taken for digits.
    Digits,
    /// Who answered.
    Amd,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let corpus = corpus(&options.corpus)?;
    match options.what {
        What::BargeIn => barge_in(&corpus),
        What::Echo => echo(&corpus),
        What::Cost => cost(&corpus),
        What::Digits => amd::digits(&options.corpus)?,
        What::Amd => amd::table(&options.corpus)?,
    }
    Ok(())
}

/// Recordings of speech of a second or longer.
fn corpus(directory: &Path) -> Result<Vec<Vec<i16>>> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("{}: install asterisk-core-sounds-en-wav", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: &PathBuf| Wav::parse(&fs::read(path).ok()?).ok();
    let speech = paths.iter().filter_map(read).filter(|wav| wav.rate_hz == 8_000);
    let speech: Vec<_> = speech.map(|wav| wav.samples).filter(|it| it.len() > 8_000).collect();
    ensure!(speech.len() >= 100, "{}: expected 100 recordings", directory.display());
    Ok(speech)
}

/// Each caller begins after a second of the agent's speech, whose echo is under its own.
fn barge_in(corpus: &[Vec<i16>]) {
    for neural in [false, true] {
        let (mut latencies, mut missed) = (vec![], 0);
        for (at, speech) in corpus.iter().enumerate().take(TRIES) {
            let agent = &corpus[(at + 7) % corpus.len()];
            match detected(speech, agent, VadOptions { neural, ..VadOptions::default() }) {
                Some(ms) => latencies.push(ms),
                None => missed += 1,
            }
        }
        latencies.sort_unstable();
        let [p50, p95] = [50, 95].map(|percent| latencies[latencies.len() * percent / 100]);
        println!(
            "{}: {} callers, detected after p50 {p50} ms, p95 {p95} ms, at most {} ms; missed {missed}",
            name(neural),
            latencies.len() + missed,
            latencies[latencies.len() - 1],
        );
    }
}

/// Milliseconds from the first frame of speech to the end of the frame that showed it.
fn detected(speech: &[i16], agent: &[i16], options: VadOptions) -> Option<i64> {
    let mut vad = Vad::new(options);
    let frames: Vec<&[i16]> = speech.chunks_exact(FRAME).collect();
    let first = frames.iter().position(|frame| level_dbov(frame) > SPEECH_DBOV)?;
    let mut agent = agent.iter().copied().cycle();
    let silence = [0; FRAME];
    let lead = (0..LEAD_FRAMES).map(|_| &silence[..]);
    let mut echo = vec![0; ECHO_DELAY];
    for (at, caller) in lead.chain(frames).enumerate() {
        let sent: Vec<i16> = agent.by_ref().take(FRAME).collect();
        echo.extend(sent.iter().map(|&sample| (f32::from(sample) * ECHO_GAIN) as i16));
        let mixed: Vec<i16> =
            caller.iter().zip(echo.drain(..FRAME)).map(|(a, b)| a.saturating_add(b)).collect();
        let heard = vad.push(8_000, &mixed);
        vad.sent(&sent);
        if let Some(Edge::Started { .. }) = heard.edge {
            return Some((at as i64 - (LEAD_FRAMES + first) as i64 + 1) * 20);
        }
    }
    None
}

fn echo(corpus: &[Vec<i16>]) {
    for neural in [false, true] {
        let mut vad = Vad::new(VadOptions { neural, ..VadOptions::default() });
        let (mut false_starts, mut frames) = (0, 0);
        let mut echo = vec![0; ECHO_DELAY];
        'hour: loop {
            for agent in corpus {
                for sent in agent.chunks_exact(FRAME) {
                    echo.extend(sent.iter().map(|&it| (f32::from(it) * ECHO_GAIN) as i16));
                    let back: Vec<i16> = echo.drain(..FRAME).collect();
                    let started = matches!(vad.push(8_000, &back).edge, Some(Edge::Started { .. }));
                    false_starts += usize::from(started);
                    vad.sent(sent);
                    frames += 1;
                    if frames == HOUR_FRAMES {
                        break 'hour;
                    }
                }
            }
        }
        println!(
            "{}: an hour of the agent, echo at -25 dB after 150 ms: {false_starts} false",
            name(neural)
        );
    }
}

fn cost(corpus: &[Vec<i16>]) {
    let speech: Vec<i16> = corpus.concat();
    let (mut encoder, mut decoder) = (Encoder::new(CodecKind::Pcmu), Decoder::new(CodecKind::Pcmu));
    let (mut payload, mut pcm) = ([0; FRAME], [0; FRAME]);
    let codec = timed(&speech, |frame| {
        encoder.encode(frame, &mut payload);
        // What was just encoded can be decoded.
        let _ = decoder.decode(&payload, &mut pcm);
    });
    println!("G.711 encode and decode: {} ns a frame", codec.as_nanos());
    // Without a verdict before the end it does all of its work.
    let mut amd = Amd::new(AmdOptions { max_words: u32::MAX, ..AmdOptions::default() });
    let each = timed(&speech, |frame| _ = amd.push(8_000, frame));
    let ratio = each.as_secs_f64() / codec.as_secs_f64();
    println!("answering machines: {} ns a frame of speech, {ratio:.1} x G.711", each.as_nanos());
    for neural in [false, true] {
        let mut vad = Vad::new(VadOptions { neural, ..VadOptions::default() });
        let each = timed(&speech, |frame| {
            vad.push(8_000, frame);
            vad.sent(&[0; FRAME]);
        });
        let ratio = each.as_secs_f64() / codec.as_secs_f64();
        println!("{}: {} ns a frame of speech, {ratio:.1} x G.711", name(neural), each.as_nanos());
    }
}

fn timed(speech: &[i16], mut job: impl FnMut(&[i16])) -> Duration {
    let start = Instant::now();
    let frames = speech.chunks_exact(FRAME);
    let count = frames.len() as u32;
    frames.for_each(&mut job);
    start.elapsed() / count.max(1)
}

const fn name(neural: bool) -> &'static str {
    if neural { "energy and earshot" } else { "energy only" }
}

const FRAME: usize = 160;
const TRIES: usize = 100;
const LEAD_FRAMES: usize = 50;
/// Above it is speech, in these recordings.
const SPEECH_DBOV: i8 = -40;
/// −25 dB.
const ECHO_GAIN: f32 = 0.056_2;
/// 150 ms.
const ECHO_DELAY: usize = 1_200;
const HOUR_FRAMES: usize = 180_000;
