//! Doing what was decided: from waiting packets to 20 ms of audio.
use std::time::Duration;

use vox_codecs::dsp::comfort_noise::ComfortNoise;
use vox_codecs::dsp::level;
use vox_codecs::dsp::stretch::Stretcher;
use vox_codecs::{CodecKind, Decoder};

use super::decide::{Action, Holds, Next, Phase, Situation, Wish, decide};
use super::delay::DelayEstimator;
use super::pace::{Pace, Reading};
use super::redundancy::Redundancy;
use super::ring::{Filed, Ring};
use super::tally::Tally;
use super::{Content, JitterStats, Played};
use crate::{MediaTime, PacketMemory};

/// The playing end of a jitter buffer.
#[derive(Debug)]
pub(super) struct Playout {
    rate_hz: i64,
    /// Samples in 20 ms.
    frame: usize,
    /// Decoded audio; the first `len` samples are still to be played.
    pending: Box<[i16]>,
    len: usize,
    /// What the latest of it is.
    made: Played,
    /// Where the decoded audio ends, and the next packet should start.
    end: i64,
    phase: Phase,
    started: bool,
    /// A packet that could not be decoded was given up since the last audio.
    broken: bool,
    /// Samples made up since the last real audio. Whether they stood in for something or for a
    /// pause shows when the next packet comes.
    concealed: usize,
    /// Samples in the last packet.
    packet: usize,
    /// The grid that packets and ticks share: the greatest common divisor of their lengths.
    grid: usize,
    pace: Pace,
    redundancy: Redundancy,
    /// For 8 and 16 kHz: a change of codec must not allocate.
    stretchers: Box<[Stretcher; 2]>,
    noise: Box<ComfortNoise>,
    /// The sender described the background of this pause.
    noise_is_on: bool,
    tally: Tally,
}

/// What a tick works with.
pub(super) struct Tick<'a, M> {
    pub(super) now: MediaTime,
    pub(super) ring: &'a mut Ring,
    pub(super) delay: &'a DelayEstimator,
    pub(super) stats: &'a mut JitterStats,
    pub(super) decoder: &'a mut Decoder,
    pub(super) memory: &'a mut M,
}

impl Playout {
    pub(super) fn new(rate_hz: u32) -> Self {
        let frame = frame(rate_hz);
        Self {
            rate_hz: i64::from(rate_hz.max(1)),
            frame,
            pending: vec![0; PENDING_SAMPLES].into(),
            len: 0,
            made: Played::Silence,
            end: 0,
            phase: Phase::Pause,
            started: false,
            broken: false,
            concealed: 0,
            packet: frame,
            grid: frame,
            pace: Pace::default(),
            redundancy: Redundancy::default(),
            stretchers: Box::new([8_000, 16_000].map(Stretcher::new)),
            noise: Box::new(ComfortNoise::new(rate_hz)),
            noise_is_on: false,
            tally: Tally::default(),
        }
    }

    /// Forgets the stream; statistics stay.
    pub(super) fn restart(&mut self, rate_hz: u32) {
        self.settle_concealed();
        self.rate_hz = i64::from(rate_hz.max(1));
        self.frame = frame(rate_hz);
        self.packet = self.frame;
        self.grid = self.frame;
        self.len = 0;
        self.made = Played::Silence;
        self.end = 0;
        self.phase = Phase::Pause;
        self.started = false;
        self.broken = false;
        self.pace = Pace::default();
        self.redundancy = Redundancy::default();
        *self.noise = ComfortNoise::new(rate_hz);
        self.noise_is_on = false;
    }

    /// Fills `pcm` with the next 20 ms.
    pub(super) fn play<M: PacketMemory>(
        &mut self,
        mut tick: Tick<'_, M>,
        pcm: &mut [i16],
    ) -> Played {
        let mut played = None;
        let mut wish = None;
        // Each step but a stretch adds audio or uses up a packet, and stretches are counted.
        for _ in 0..STEPS_MAX {
            if self.len >= self.frame && wish.is_none() {
                wish = Some(self.wish(&tick));
            }
            let action = decide(&self.look(&tick, wish.unwrap_or(Wish::Steady)));
            if action == Action::Output {
                break;
            }
            let before = self.len;
            self.perform(action, &mut tick);
            match action {
                Action::Shorten | Action::Lengthen => wish = Some(self.wish_again(&tick)),
                _ if self.len > before => played = played.max(Some(self.made)),
                _ => {}
            }
        }
        self.hand_out(pcm);
        played.unwrap_or(self.made)
    }

    /// Tells `memory` what the next 20 ms will touch behind the pointers here.
    pub(super) fn expect(&self, memory: &impl PacketMemory) {
        if let Some(used) = self.pending.get(..self.len.max(self.frame)) {
            memory.expect(used);
        }
    }

    /// Whether any packet was taken yet.
    pub(super) fn has_started(&self) -> bool {
        self.started
    }

    /// Samples in a packet, as far as seen.
    pub(super) fn packet(&self) -> usize {
        self.packet
    }

    /// A position or length in samples as microseconds.
    pub(super) fn micros(&self, samples: i64) -> i64 {
        samples * 1_000_000 / self.rate_hz
    }

    /// Microseconds as samples.
    pub(super) fn samples(&self, micros: i64) -> i64 {
        micros * self.rate_hz / 1_000_000
    }

    /// Adds what is counted here.
    pub(super) fn add_to(&self, stats: &mut JitterStats) {
        self.tally.add_to(stats);
        stats.concealed += Duration::from_micros(self.length_us(self.concealed));
    }

    /// Takes the delay down, once a tick, and says what it asks for.
    fn wish<M>(&mut self, tick: &Tick<'_, M>) -> Wish {
        if self.phase == Phase::Pause || self.concealed > 0 {
            return Wish::Steady;
        }
        let Some(reading) = self.reading(tick) else { return Wish::Steady };
        self.tally.delay(reading.delay_us);
        self.pace.ask(&reading)
    }

    fn wish_again<M>(&mut self, tick: &Tick<'_, M>) -> Wish {
        self.reading(tick).map_or(Wish::Steady, |reading| self.pace.ask_again(&reading))
    }

    fn reading<M>(&self, tick: &Tick<'_, M>) -> Option<Reading> {
        let fastest_us = tick.delay.floor_us()? + self.micros(self.end);
        let delay_us = tick.now.micros() as i64 + self.micros(self.len as i64) - fastest_us;
        Some(Reading {
            delay_us,
            slack_us: delay_us - self.rest_us(self.grid),
            target_us: self.target_us(tick),
            frame_us: self.micros(self.frame as i64),
            quiet: self.pace.is_shortening() && self.is_quiet(),
        })
    }

    /// Whether what is played next is background.
    fn is_quiet(&self) -> bool {
        level::level_dbov(&self.pending[..self.len]) <= QUIET_DBOV
    }

    /// The network's target, and a packet more while that lets FEC recover losses.
    fn target_us<M>(&self, tick: &Tick<'_, M>) -> i64 {
        let wait = if self.redundancy.is_worth_waiting_for(tick.now) { self.packet } else { 0 };
        tick.delay.target_us() + self.micros(wait as i64)
    }

    /// How much of the delay is of no use against late packets: what is decoded, at the tick of
    /// the cycle when most is.
    fn rest_us(&self, grid: usize) -> i64 {
        self.micros((self.frame - grid + self.len % grid) as i64)
    }

    fn look<M: PacketMemory>(&self, tick: &Tick<'_, M>, wish: Wish) -> Situation {
        Situation {
            frame: self.frame,
            pending: self.len,
            phase: self.phase,
            next: tick.ring.next().map(|(missing, filed)| self.look_at(tick, missing, filed)),
            concealed: self.concealed,
            packet: self.packet,
            wish,
        }
    }

    fn look_at<M: PacketMemory>(&self, tick: &Tick<'_, M>, missing: u32, filed: &Filed) -> Next {
        let payload = tick.memory.received(&filed.payload);
        let speech = filed.content == Content::Speech;
        let hole = missing > 0 || self.broken;
        // In a talkspurt the next packet is played, due or not.
        let in_turn = self.phase == Phase::Talkspurt && !hole;
        Next {
            holds: match filed.content {
                Content::Speech => Holds::Speech,
                Content::ComfortNoise => Holds::ComfortNoise,
                Content::TelephoneEvent => Holds::Nothing,
            },
            hole,
            gap: if self.started { filed.position - self.end } else { 0 },
            due: in_turn || self.is_due(tick, filed, payload),
            fec: speech && missing > 0 && tick.decoder.has_fec(payload),
        }
    }

    /// Whether a packet has waited long enough for its successors to keep up with it.
    fn is_due<M>(&self, tick: &Tick<'_, M>, filed: &Filed, payload: &[u8]) -> bool {
        let packet = tick.decoder.samples_in(payload).unwrap_or(self.packet);
        let grid = gcd(self.frame, packet);
        let fastest_us = self.micros(filed.position) + tick.delay.floor_us().unwrap_or(0);
        let delay_us = tick.now.micros() as i64 + self.micros(self.len as i64) - fastest_us;
        let target_us = self.target_us(tick);
        let waited_us = tick.now.since(filed.arrived).as_micros() as i64;
        // The second is a safety net: nothing waits longer, whatever its timestamp claims.
        delay_us - self.rest_us(grid) >= target_us
            || waited_us >= target_us + 2 * self.micros(self.frame as i64)
    }

    fn perform<M: PacketMemory>(&mut self, action: Action, tick: &mut Tick<'_, M>) {
        match action {
            Action::Output => {}
            Action::Decode => self.decode(tick),
            Action::Absorb => self.absorb(tick),
            Action::Conceal(samples) => self.conceal(samples, tick.decoder),
            Action::Recover(samples) => self.recover(samples, tick),
            Action::Pause => self.pause(tick),
            Action::Fill(samples) => self.fill(samples, tick.decoder),
            Action::Shorten => self.shorten(),
            Action::Lengthen => self.lengthen(),
        }
    }

    fn decode<M: PacketMemory>(&mut self, tick: &mut Tick<'_, M>) {
        let Some(filed) = self.take(tick) else { return };
        let payload = tick.memory.received(&filed.payload);
        let decoded = tick.decoder.decode(payload, &mut self.pending[self.len..]);
        tick.memory.release(filed.payload);
        let Ok(samples) = decoded else {
            tick.stats.undecodable += 1;
            self.broken = true;
            return;
        };
        self.settle_concealed();
        self.add(samples, Played::Speech);
        self.end = filed.position + samples as i64;
        self.packet = samples;
        self.grid = gcd(self.frame, samples);
        self.phase = Phase::Talkspurt;
        self.noise_is_on = false;
        self.broken = false;
    }

    fn absorb<M: PacketMemory>(&mut self, tick: &mut Tick<'_, M>) {
        let Some(filed) = self.take(tick) else { return };
        if filed.content == Content::ComfortNoise {
            self.end = filed.position;
            self.noise.update(tick.memory.received(&filed.payload));
            self.noise_is_on = true;
        }
        self.settle_concealed();
        tick.memory.release(filed.payload);
        self.phase = Phase::Pause;
        self.broken = false;
    }

    /// Takes the next packet, giving up what is missing before it.
    fn take<M: PacketMemory>(&mut self, tick: &mut Tick<'_, M>) -> Option<Filed> {
        let (missing, filed) = tick.ring.take()?;
        tick.stats.lost += u64::from(missing);
        let payload = tick.memory.received(&filed.payload);
        if missing > 0 && filed.content == Content::Speech && tick.decoder.has_fec(payload) {
            self.redundancy.lost(tick.now);
        }
        self.started = true;
        Some(filed)
    }

    fn conceal(&mut self, samples: usize, decoder: &mut Decoder) {
        decoder.conceal(&mut self.pending[self.len..self.len + samples]);
        self.concealed += samples;
        self.add(samples, Played::Concealed);
    }

    fn recover<M: PacketMemory>(&mut self, samples: usize, tick: &mut Tick<'_, M>) {
        let Some((_, next)) = tick.ring.next() else { return };
        let payload = tick.memory.received(&next.payload);
        let room = &mut self.pending[self.len..self.len + samples];
        if tick.decoder.decode_fec(payload, room).is_err() {
            return self.conceal(self.frame / 2, tick.decoder);
        }
        tick.stats.recovered += 1;
        self.settle_concealed();
        self.add(samples, Played::Speech);
        self.end = next.position;
    }

    /// Ends the talkspurt. What was concealed since was the pause's beginning if a packet shows so.
    fn pause<M>(&mut self, tick: &Tick<'_, M>) {
        if tick.ring.next().is_some() {
            self.concealed = 0;
        }
        self.settle_concealed();
        self.phase = Phase::Pause;
    }

    /// Fills a pause. Opus makes comfort noise itself, where the others have faded out.
    fn fill(&mut self, samples: usize, decoder: &mut Decoder) {
        let room = &mut self.pending[self.len..self.len + samples];
        let made = if self.noise_is_on {
            self.noise.fill(room);
            Played::ComfortNoise
        } else if decoder.kind() == CodecKind::Opus && self.started && samples == self.frame {
            decoder.conceal(room);
            Played::ComfortNoise
        } else {
            room.fill(0);
            Played::Silence
        };
        self.add(samples, made);
    }

    fn shorten(&mut self) {
        let how = self.pace.eagerness();
        let stretcher = &mut self.stretchers[usize::from(self.rate_hz > 8_000)];
        let len = stretcher.shorten(&mut self.pending[..self.len], how);
        if len < self.len {
            self.pace.stretched();
        }
        self.tally.shortened_us += self.length_us(self.len - len);
        self.len = len;
    }

    fn lengthen(&mut self) {
        let how = self.pace.eagerness();
        let stretcher = &mut self.stretchers[usize::from(self.rate_hz > 8_000)];
        let len = stretcher.lengthen(&mut self.pending, self.len, how);
        if len > self.len {
            self.pace.stretched();
        }
        self.tally.lengthened_us += self.length_us(len - self.len);
        self.len = len;
    }

    fn add(&mut self, samples: usize, made: Played) {
        self.len += samples;
        self.made = made;
    }

    fn settle_concealed(&mut self) {
        self.tally.concealed_us += self.length_us(self.concealed);
        self.concealed = 0;
    }

    fn hand_out(&mut self, pcm: &mut [i16]) {
        let samples = self.len.min(self.frame).min(pcm.len());
        pcm[..samples].copy_from_slice(&self.pending[..samples]);
        pcm[samples..].fill(0);
        self.pending.copy_within(samples..self.len, 0);
        self.len -= samples;
    }

    fn length_us(&self, samples: usize) -> u64 {
        self.micros(samples as i64) as u64
    }
}

fn frame(rate_hz: u32) -> usize {
    (rate_hz as usize / 50).max(4)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Two frames of look-ahead, a packet of 120 ms and a pitch period of 15 ms, all at 16 kHz.
const PENDING_SAMPLES: usize = 16 * (40 + 120 + 15);
/// Between the background of a telephone line and the softest speech.
const QUIET_DBOV: i8 = -50;
/// A ring of packets, and then some to fill a frame.
const STEPS_MAX: usize = 160;
