//! Recorded speech in pieces: of an agent that never pauses, and of callers who start at a known
//! frame.

use std::fs;
use std::path::Path;

use vox_codecs::wav::Wav;
use vox_codecs::{CodecKind, Decoder, Encoder};

use crate::peers;

/// Hundreds of prompts of a woman speaking English, 8 kHz: Debian's `asterisk-core-sounds-en-wav`.
const CORPUS: &str = "/usr/share/asterisk/sounds/en_US_f_Allison";

/// 20 ms at 8 kHz.
pub const FRAME: usize = 160;

/// Recordings of a second and more, as they are after µ-law: encoding them again changes nothing.
#[derive(Debug)]
pub struct Voices {
    recordings: Vec<Vec<i16>>,
    /// All frames that hold speech, joined.
    talk: Vec<i16>,
}

impl Voices {
    /// Reads them; `None`, said loudly, when the package is missing.
    pub fn read() -> Option<Self> {
        let Ok(entries) = fs::read_dir(Path::new(CORPUS)) else {
            peers::missing("the package asterisk-core-sounds-en-wav");
            return None;
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let wavs = paths.iter().filter_map(|path| Wav::parse(&fs::read(path).ok()?).ok());
        let long = wavs.filter(|wav| wav.rate_hz == 8_000 && wav.samples.len() > 8_000);
        let recordings: Vec<_> = long.map(|wav| through_mu_law(&wav.samples)).collect();
        let speech = |frame: &&[i16]| level_dbov(frame) > SPEECH_DBOV;
        let frames = recordings.iter().flat_map(|pcm| pcm.chunks_exact(FRAME));
        let talk = frames.filter(speech).flatten().copied().collect();
        Some(Self { recordings, talk })
    }

    /// `frames` of 20 ms of speech without a pause; another `at` begins elsewhere.
    pub fn talk(&self, at: usize, frames: usize) -> Vec<i16> {
        let start = at * 7_919 * FRAME % self.talk.len();
        self.talk.iter().cycle().skip(start).take(frames * FRAME).copied().collect()
    }

    /// `frames` of 20 ms of different recordings, each from its first frame of speech on. Left out are
    /// those with a pause in them that a detector could take for the end.
    pub fn cuts(&self, frames: usize) -> impl Iterator<Item = &[i16]> {
        self.recordings.iter().filter_map(move |pcm| {
            let spoken: Vec<_> = pcm.chunks_exact(FRAME).map(level_dbov).collect();
            let first = spoken.iter().position(|&level| level > SPEECH_DBOV)?;
            let paused = |levels: &[f64]| levels.iter().all(|&level| level < SPEECH_DBOV);
            let whole = spoken.get(first..first + frames)?;
            let steady = !whole.windows(PAUSE_FRAMES).any(paused);
            steady.then(|| &pcm[first * FRAME..(first + frames) * FRAME])
        })
    }
}

/// Correlation of two pieces of the same length, −1..=1; 0 when one of them is silent.
pub fn likeness(a: &[i16], b: &[i16]) -> f64 {
    let product = |a: &[i16], b: &[i16]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    product(a, b) / (product(a, a) * product(b, b)).sqrt().max(1.0)
}

/// What µ-law makes of it: 8 kHz.
pub fn through_mu_law(pcm: &[i16]) -> Vec<i16> {
    let mut decoder = Decoder::new(CodecKind::Pcmu);
    let decode = |bytes: &[u8]| {
        let mut out = vec![0; bytes.len()];
        let decoded = decoder.decode(bytes, &mut out);
        assert_eq!(decoded.ok(), Some(out.len()), "a sample a byte");
        out
    };
    mu_law(pcm).chunks(FRAME).flat_map(decode).collect()
}

/// As µ-law: 8 kHz, a byte a sample.
pub fn mu_law(pcm: &[i16]) -> Vec<u8> {
    let mut encoder = Encoder::new(CodecKind::Pcmu);
    let encode = |pcm: &[i16]| {
        let mut bytes = vec![0; pcm.len()];
        assert_eq!(encoder.encode(pcm, &mut bytes), pcm.len(), "a byte a sample");
        bytes
    };
    pcm.chunks(FRAME).flat_map(encode).collect()
}

fn level_dbov(frame: &[i16]) -> f64 {
    let square: f64 = frame.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>();
    10.0 * (square / frame.len() as f64 / 32_768.0_f64.powi(2)).max(1e-13).log10()
}

/// Above it is speech, in these recordings.
const SPEECH_DBOV: f64 = -40.0;
/// Less than a detector's hang-over of 300 ms.
const PAUSE_FRAMES: usize = 10;
