//! Our jitter buffer beside a fixed one of 60 ms that plays silence for what is missing: the same
//! speech, the same packets, the same network.
//!
//! ```text
//! jitter_compare --speech speech.wav --network burst500 --seed 1 --out DIR
//! ```
//!
//! writes `DIR/adaptive.wav` and `DIR/fixed.wav` (8 kHz) and prints the figures of both as JSON, so
//! that a script can score the files with PESQ.
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use vox_call::jitter::{Arrival, Content, JitterBuffer, JitterStats, Played};
use vox_call::{MediaTime, PacketMemory, RxBuf, TxSlot};
use vox_codecs::wav::{Wav, WavWriter};
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_rtp::{RtpHeader, RtpTime, SeqNo, Ssrc};

#[derive(Debug, Parser)]
#[command(about = "Compares the jitter buffer with a fixed one of 60 ms on the same packets")]
struct Options {
    /// Speech: WAV, 8 kHz, the first channel is used.
    #[arg(long)]
    speech: PathBuf,
    /// What the network does.
    #[arg(long)]
    network: Network,
    /// The same seed, the same network.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the two WAVs go.
    #[arg(long)]
    out: PathBuf,
}

/// What the network does to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Network {
    /// Nothing.
    Clean,
    /// Loses 5 % of the packets, each on its own.
    Loss5,
    /// Delays each packet by 0 to 40 ms, each on its own: they overtake each other.
    Jitter40,
    /// Delays each packet by 40 ms ± 40 ms, as `netem delay 40ms 40ms` does.
    Netem40,
    /// Once, somewhere in the middle, holds everything back for 500 ms, then delivers it at once.
    Burst500,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let wav = Wav::parse(&fs::read(&options.speech)?)
        .with_context(|| options.speech.display().to_string())?;
    anyhow::ensure!(wav.rate_hz == KIND.rate_hz(), "expected 8,000 Hz, found {} Hz", wav.rate_hz);
    let packets = encode(&wav.channel(0));
    let arrivals = carry(options.network, options.seed, packets.len());
    let burst_frame = burst_frame(options.seed, packets.len());
    let (adaptive, adaptive_figures) = play_adaptive(&packets, &arrivals, burst_frame);
    let (fixed, fixed_figures) = play_fixed(&packets, &arrivals);
    fs::create_dir_all(&options.out)?;
    for (name, pcm) in [("adaptive.wav", &adaptive), ("fixed.wav", &fixed)] {
        let file = fs::File::create(options.out.join(name))?;
        let mut writer = WavWriter::new(file, KIND.rate_hz(), 1)?;
        writer.write(pcm)?;
        writer.finish()?;
    }
    let report = json!({
        "network": format!("{:?}", options.network).to_lowercase(),
        "seed": options.seed,
        "packets": packets.len(),
        "arrived": arrivals.len(),
        "adaptive": adaptive_figures,
        "fixed": fixed_figures,
    });
    println!("{report}");
    Ok(())
}

/// Payloads of 20 ms.
fn encode(pcm: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(KIND);
    let encode = |frame: &[i16]| {
        let mut payload = vec![0; frame.len()];
        encoder.encode(frame, &mut payload);
        payload
    };
    pcm.chunks_exact(KIND.frame_samples()).map(encode).collect()
}

/// When each packet arrives, in order of arrival: microseconds and index. Packet `i` is sent at
/// `i` frames.
fn carry(network: Network, seed: u64, packets: usize) -> Vec<(i64, usize)> {
    let mut random = Random(seed);
    let burst_us = burst_frame(seed, packets) as i64 * FRAME_US;
    let arrival = |index: usize| {
        let (roll, sent_us) = (random.below(1_000_000), index as i64 * FRAME_US);
        let arrives_us = match network {
            Network::Clean => sent_us,
            Network::Loss5 if roll < 50_000 => return None,
            Network::Loss5 => sent_us,
            Network::Jitter40 => sent_us + roll * 40 / 1_000,
            Network::Netem40 => sent_us + roll * 80 / 1_000,
            Network::Burst500 if (burst_us..burst_us + BURST_US).contains(&sent_us) => {
                burst_us + BURST_US
            }
            Network::Burst500 => sent_us,
        };
        Some((arrives_us, index))
    };
    let mut arrivals: Vec<_> = (0..packets).filter_map(arrival).collect();
    arrivals.sort();
    arrivals
}

/// The frame that the burst begins with.
fn burst_frame(seed: u64, packets: usize) -> usize {
    packets * (300 + Random(seed).below(300) as usize) / 1_000
}

/// Through the engine's buffer, on ticks 7 ms off the packets' grid.
fn play_adaptive(
    packets: &[Vec<u8>],
    arrivals: &[(i64, usize)],
    burst_frame: usize,
) -> (Vec<i16>, Value) {
    let mut memory = Memory { packets };
    let mut decoder = Decoder::new(KIND);
    let mut buffer = JitterBuffer::new(KIND.clock_hz(), KIND.rate_hz());
    let mut arrivals = arrivals.iter().peekable();
    let (mut pcm, mut delays_ms, mut stats) = (Vec::new(), Vec::new(), buffer.stats());
    let mut frame = vec![0; KIND.frame_samples()];
    let ticks = packets.len() as i64 + TAIL_FRAMES;
    for now_us in (0..ticks).map(|tick| tick * FRAME_US + PHASE_US) {
        while let Some(&(at_us, index)) = arrivals.next_if(|(at_us, _)| *at_us <= now_us) {
            let arrival = Arrival {
                header: header(index),
                content: Content::Speech,
                payload: RxBuf { index: index as u16, offset: 0, len: packets[index].len() as u16 },
            };
            let _late = buffer.file(time(at_us), arrival, &mut memory);
        }
        let played = buffer.play(time(now_us), &mut decoder, &mut memory, &mut frame);
        // What follows the last packet is no part of the comparison.
        if arrivals.peek().is_none() && played != Played::Speech {
            break;
        }
        pcm.extend_from_slice(&frame);
        stats = buffer.stats();
        delays_ms.push(ms(stats.delay_now));
    }
    (pcm, adaptive_figures(burst_frame, &stats, &delays_ms))
}

fn adaptive_figures(burst_frame: usize, stats: &JitterStats, delays_ms: &[f64]) -> Value {
    let start_ms = delays_ms[burst_frame.saturating_sub(1)];
    let long = delays_ms.iter().rposition(|delay| *delay > start_ms + 20.0);
    let back_s =
        long.map(|tick| (tick + 1).saturating_sub(burst_frame + BURST_FRAMES) as f64 * 0.02);
    json!({
        "lost": stats.lost,
        "late": stats.late,
        "concealed_ms": ms(stats.concealed),
        "shortened_ms": ms(stats.shortened),
        "lengthened_ms": ms(stats.lengthened),
        "delay_mean_ms": ms(stats.delay_mean),
        "delay_before_burst_ms": start_ms,
        "delay_max_ms": delays_ms.iter().copied().fold(0.0, f64::max),
        "delay_end_ms": ms(stats.delay_now),
        "back_within_20_ms_after_s": back_s,
    })
}

/// Through a buffer that plays packet `i` exactly 60 ms and `i` frames after the first arrival.
fn play_fixed(packets: &[Vec<u8>], arrivals: &[(i64, usize)]) -> (Vec<i16>, Value) {
    let mut decoder = Decoder::new(KIND);
    let mut pcm = vec![0; packets.len() * KIND.frame_samples()];
    let (first_us, first) = arrivals.first().copied().unwrap_or_default();
    let begin_us = first_us - first as i64 * FRAME_US + FIXED_US;
    let (mut played, mut waited_us) = (0, 0);
    for &(at_us, index) in arrivals {
        let plays_us = begin_us + index as i64 * FRAME_US;
        if at_us > plays_us {
            continue;
        }
        let at = index * KIND.frame_samples();
        let room = &mut pcm[at..at + KIND.frame_samples()];
        played += decoder.decode(&packets[index], room).is_ok() as usize;
        waited_us += plays_us - index as i64 * FRAME_US;
    }
    let figures = json!({
        "lost": packets.len() - arrivals.len(),
        "late": arrivals.len() - played,
        "silence_ms": (packets.len() - played) * 20,
        "delay_mean_ms": waited_us as f64 / 1_000.0 / played.max(1) as f64,
    });
    (pcm, figures)
}

fn header(index: usize) -> RtpHeader {
    RtpHeader {
        marker: index == 0,
        payload_type: 0,
        seq: SeqNo(index as u16),
        time: RtpTime((index * KIND.frame_samples()) as u32),
        ssrc: Ssrc(1),
    }
}

/// The line has its origin a second after the clock's.
fn time(us: i64) -> MediaTime {
    MediaTime::from_micros(1_000_000 + us as u64)
}

fn ms(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

/// All packets, by index; nothing is ever reused.
struct Memory<'a> {
    packets: &'a [Vec<u8>],
}

impl PacketMemory for Memory<'_> {
    fn received(&self, buf: &RxBuf) -> &[u8] {
        &self.packets[usize::from(buf.index)]
    }
    fn received_mut(&mut self, _: &RxBuf) -> &mut [u8] {
        &mut []
    }
    fn release(&mut self, _: RxBuf) {}
    fn acquire(&mut self) -> Option<TxSlot> {
        None
    }
    fn slot(&mut self, _: &TxSlot) -> &mut [u8] {
        &mut []
    }
    fn discard(&mut self, _: TxSlot) {}
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound) as i64
    }
}

const KIND: CodecKind = CodecKind::Pcmu;
const FRAME_US: i64 = 20_000;
const PHASE_US: i64 = 7_000;
const FIXED_US: i64 = 60_000;
const BURST_US: i64 = 500_000;
const BURST_FRAMES: usize = 25;
const TAIL_FRAMES: i64 = 40;
