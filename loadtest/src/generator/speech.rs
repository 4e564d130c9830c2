use std::sync::{Arc, OnceLock};
use std::time::Duration;

use vox_codecs::{CodecKind, Decoder, Encoder};

use super::marker::{self, FINDER_HZ, Finder, Sweep};
use crate::media::resample;

/// What legs say: encoded once for each codec, shared by all of them.
#[derive(Debug)]
pub struct Speech {
    /// At `rate_hz`.
    pcm: Vec<i16>,
    rate_hz: u32,
    markers: Option<Markers>,
    encoded: [OnceLock<Arc<Payloads>>; CODECS.len()],
}

/// Markers inside speech: what round trips are measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Markers {
    /// From one to the next, at least [`Markers::EVERY_MIN`]. Round trips up to this long are told
    /// apart.
    pub every: Duration,
    /// Which way they go.
    pub sweep: Sweep,
}

impl Markers {
    /// Shorter than this there would be no room for speech between them.
    pub const EVERY_MIN: Duration = Duration::from_secs(1);
}

impl Default for Markers {
    /// Every 4 s, as callers have them.
    fn default() -> Self {
        Self { every: Duration::from_secs(4), sweep: Sweep::Rising }
    }
}

impl Speech {
    /// Mono `pcm` at 8,000, 16,000, 24,000 or 48,000 Hz. With `markers` it pauses for each of them:
    /// a quarter of a second of silence, the marker, as much silence.
    ///
    /// # Panics
    ///
    /// At any other rate.
    pub fn new(pcm: Vec<i16>, rate_hz: u32, markers: Option<Markers>) -> Self {
        assert!([8_000, 16_000, 24_000, 48_000].contains(&rate_hz), "{rate_hz} Hz");
        Self { pcm, rate_hz, markers, encoded: Default::default() }
    }

    /// Syllables of a voice without words, `seconds` long, at `rate_hz`: for when there is no
    /// recording.
    pub fn synthetic(seconds: f32, rate_hz: u32) -> Vec<i16> {
        let rate = rate_hz as f32;
        let sample = |n: usize| {
            let t = n as f32 / rate;
            // Five syllables a second in words of 1.6 s, with a pause behind each.
            let word = t % 1.6;
            let syllable = (t * 5.0 * std::f32::consts::PI).sin().abs();
            let envelope = if word < 1.3 { syllable } else { 0.0 };
            let pitch = 110.0 + 25.0 * (t * 1.7).sin();
            let voice: f32 = (1..20)
                .map(|harmonic| {
                    let frequency = pitch * harmonic as f32;
                    let formant = 1.0 / (1.0 + ((frequency - 600.0) / 400.0).powi(2));
                    (0.2 + formant) * (std::f32::consts::TAU * frequency * t).sin()
                })
                .sum();
            (envelope * voice * 1_800.0).clamp(-32_768.0, 32_767.0) as i16
        };
        (0..(seconds * rate) as usize).map(sample).collect()
    }

    /// Encodes for `codecs` now, instead of when the first leg needs it: 30 s take Opus 0.2 s.
    pub fn prepare(&self, codecs: &[CodecKind]) {
        for &codec in codecs {
            self.payloads(codec);
        }
    }

    /// The markers in it.
    pub fn markers(&self) -> Option<Markers> {
        self.markers
    }

    pub(super) fn payloads(&self, codec: CodecKind) -> Arc<Payloads> {
        let place = CODECS.iter().position(|&known| known == codec);
        let cell = &self.encoded[place.expect("every codec is listed")];
        cell.get_or_init(|| Arc::new(self.encode(codec))).clone()
    }

    fn encode(&self, codec: CodecKind) -> Payloads {
        let rate_hz = codec.rate_hz();
        let plain = resample(&self.pcm, self.rate_hz, rate_hz);
        let (mut pcm, starts) = match self.markers {
            Some(markers) => with_markers(&plain, rate_hz, markers),
            None => (plain, Vec::new()),
        };
        let frame = codec.frame_samples();
        pcm.resize(pcm.len().next_multiple_of(frame).max(frame), 0);
        let mut payloads = Payloads::of(codec, &pcm);
        payloads.place_markers(&starts, self.markers);
        payloads
    }
}

/// Speech in a codec's frames of 20 ms.
#[derive(Debug)]
pub(super) struct Payloads {
    pub(super) codec: CodecKind,
    bytes: Vec<u8>,
    /// Where each frame begins in `bytes`, and where the last one ends.
    starts: Vec<u32>,
    /// What a frame of silence is.
    silence: Vec<u8>,
    /// For each marker the frame in which it begins and how far into it, µs: as a decoder gives it,
    /// so that the codec's own delay is no part of a round trip. Ascending.
    markers: Vec<(u32, u32)>,
}

impl Payloads {
    fn of(codec: CodecKind, pcm: &[i16]) -> Self {
        let mut encoder = Encoder::new(codec);
        let mut payload = [0; vox_codecs::codec::PAYLOAD_BYTES_MAX];
        let frame = codec.frame_samples();
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        for pcm in pcm.chunks_exact(frame) {
            let len = encoder.encode(pcm, &mut payload);
            bytes.extend_from_slice(&payload[..len]);
            starts.push(bytes.len() as u32);
        }
        let zeros = vec![0; frame];
        let mut silent = Encoder::new(codec);
        // A codec with a memory needs some frames to come to rest.
        let len = (0..5).map(|_| silent.encode(&zeros, &mut payload)).last().unwrap_or(0);
        let silence = payload[..len].to_vec();
        Self { codec, bytes, starts, silence, markers: Vec::new() }
    }

    /// How many frames there are: at least one.
    pub(super) fn frames(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    /// A frame's payload; `frame` is below [`frames`](Self::frames).
    pub(super) fn frame(&self, frame: u32) -> &[u8] {
        let at = frame as usize;
        &self.bytes[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// A frame of silence.
    pub(super) fn silence(&self) -> &[u8] {
        &self.silence
    }

    /// How far into `frame` a marker begins, µs, if one does.
    pub(super) fn marker_in(&self, frame: u32) -> Option<u32> {
        let at = self.markers.binary_search_by_key(&frame, |marker| marker.0).ok()?;
        Some(self.markers[at].1)
    }

    /// Decodes everything and looks where the markers at `starts` (samples) come out.
    fn place_markers(&mut self, starts: &[usize], markers: Option<Markers>) {
        let Some(markers) = markers else { return };
        let mut decoder = Decoder::new(self.codec);
        let mut finder = Finder::new(markers.sweep);
        let mut pcm = [0; vox_codecs::codec::PCM_SAMPLES_MAX];
        let mut found = Vec::new();
        for frame in 0..self.frames() {
            let samples = decoder.decode(self.frame(frame), &mut pcm).unwrap_or(0);
            let samples = to_finder_rate(&mut pcm[..samples], self.codec);
            let start_us = i64::from(frame) * FRAME_US;
            if let Some(at) = finder.push(&pcm[..samples]) {
                found.push(start_us + i64::from(at) * 1_000_000 / i64::from(FINDER_HZ));
            }
        }
        let nominal = |start: usize| (start as i64 * 1_000_000) / i64::from(self.codec.rate_hz());
        self.markers = starts
            .iter()
            .map(|&start| {
                let nominal = nominal(start);
                let near = found.iter().copied().find(|at| (at - nominal).abs() < FRAME_US);
                let at = near.unwrap_or(nominal).max(0);
                ((at / FRAME_US) as u32, (at % FRAME_US) as u32)
            })
            .collect();
    }
}

/// Brings decoded audio to the rate that markers are looked for at, in place; samples then.
pub(super) fn to_finder_rate(pcm: &mut [i16], codec: CodecKind) -> usize {
    if codec.rate_hz() == FINDER_HZ {
        return pcm.len();
    }
    // 16 kHz: the mean of two is low-pass enough for sweeps that end at 2.1 kHz.
    for at in 0..pcm.len() / 2 {
        pcm[at] = ((i32::from(pcm[2 * at]) + i32::from(pcm[2 * at + 1])) / 2) as i16;
    }
    pcm.len() / 2
}

/// `pcm` with a marker after the first second and then each `every`, and where they begin. At least
/// one marker and its period long.
fn with_markers(pcm: &[i16], rate_hz: u32, markers: Markers) -> (Vec<i16>, Vec<usize>) {
    let samples = |seconds: f32| (seconds * rate_hz as f32) as usize;
    let silence = vec![0; samples(marker::SILENCE_SECONDS)];
    let sweep = markers.sweep.samples(rate_hz);
    let every = samples(markers.every.max(Markers::EVERY_MIN).as_secs_f32());
    let between = every - 2 * silence.len() - sweep.len();
    let first = samples(FIRST_MARKER_SECONDS).min(between);
    let (mut out, mut starts, mut rest) = (Vec::new(), Vec::new(), pcm);
    let mut speak = |out: &mut Vec<i16>, count: usize| {
        let (now, later) = rest.split_at(count.min(rest.len()));
        out.extend_from_slice(now);
        out.resize(out.len() + count - now.len(), 0);
        rest = later;
        !later.is_empty()
    };
    let mut more = speak(&mut out, first);
    loop {
        out.extend_from_slice(&silence);
        starts.push(out.len());
        out.extend_from_slice(&sweep);
        out.extend_from_slice(&silence);
        // What follows the last one, with what precedes the first one again, is a period.
        let last = !more;
        more = speak(&mut out, if last { between - first } else { between });
        if last {
            return (out, starts);
        }
    }
}

/// Those that a leg can speak.
const CODECS: [CodecKind; 5] =
    [CodecKind::Pcmu, CodecKind::Pcma, CodecKind::G722, CodecKind::Opus, CodecKind::L16];
const FIRST_MARKER_SECONDS: f32 = 1.0;
const FRAME_US: i64 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_come_at_their_period_also_across_the_end() {
        let every = Duration::from_secs(3);
        for (seconds, expected) in [(0.0, 1), (1.0, 1), (2.0, 2), (20.0, 9)] {
            let markers = Markers { every, sweep: Sweep::Rising };
            let pcm = Speech::synthetic(seconds, 8_000);
            let (out, starts) = with_markers(&pcm, 8_000, markers);
            assert_eq!(starts.len(), expected, "{seconds} s");
            let again = starts.iter().copied().chain([starts[0] + out.len()]);
            for (a, b) in starts.iter().zip(again.skip(1)) {
                assert_eq!(b - a, 24_000, "{seconds} s: {starts:?} in {}", out.len());
            }
        }
    }

    #[test]
    fn every_codec_gives_every_marker_back_near_its_place() {
        let speech = Speech::new(
            Speech::synthetic(12.0, 16_000),
            16_000,
            Some(Markers { every: Duration::from_secs(2), sweep: Sweep::Rising }),
        );
        for codec in CODECS {
            let payloads = speech.payloads(codec);
            let (_, starts) = with_markers(
                &resample(&speech.pcm, 16_000, codec.rate_hz()),
                codec.rate_hz(),
                speech.markers.unwrap(),
            );
            assert_eq!(payloads.markers.len(), starts.len());
            let mut moved = vec![];
            for (start, (frame, into)) in starts.iter().zip(&payloads.markers) {
                let nominal = (*start as i64 * 1_000_000) / i64::from(codec.rate_hz());
                moved.push(i64::from(*frame) * FRAME_US + i64::from(*into) - nominal);
            }
            let (least, most) = (moved.iter().min().unwrap(), moved.iter().max().unwrap());
            println!("{codec:?}: {least}..{most} µs later out of the decoder");
            assert!(most - least <= 500 && *least >= -200 && *most < 15_000, "{codec:?}");
            if codec != CodecKind::Pcmu && codec.rate_hz() == 16_000 {
                assert!(*least > 500, "{codec:?} has a delay, so these are found, not assumed");
            }
        }
    }

    #[test]
    fn speech_is_encoded_once_and_shared() {
        let speech = Speech::new(vec![1_000; 1_000], 8_000, None);
        let once = speech.payloads(CodecKind::Pcmu);
        assert!(Arc::ptr_eq(&once, &speech.payloads(CodecKind::Pcmu)));
        assert_eq!((once.frames(), once.frame(6).len(), once.silence()[0]), (7, 160, 0xff));
        assert_eq!(Speech::new(vec![], 8_000, None).payloads(CodecKind::Pcma).frames(), 1);
    }
}
