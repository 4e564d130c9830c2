//! G.722: 7 kHz audio at 16 kHz in 64 kbit/s, one byte for each pair of samples.
//!
//! A quadrature mirror filter splits the signal into two bands of 8 kHz rate; each is coded by
//! ADPCM, the lower with six bits and the upper with two. Everything is bit-exact ITU-T G.722.
//! Block names in comments are those of the recommendation's clause 6.

mod band;

use self::band::{Band, HIGH_RANGE, LOW_RANGE};

/// Samples of 16 kHz audio in one byte.
pub const SAMPLES_PER_BYTE: usize = 2;

/// How many bits of each byte a [`Decoder`] trusts.
///
/// The encoder is the same for all three: a sender of auxiliary data overwrites the low bits of
/// the bytes it has encoded. RTP (RFC 3551 §4.5.2) is always the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// 64 kbit/s: all eight bits are audio.
    #[default]
    K64,
    /// 56 kbit/s: the lowest bit is not audio.
    K56,
    /// 48 kbit/s: the lowest two bits are not audio.
    K48,
}

/// Encodes one stream.
#[derive(Debug, Clone)]
pub struct Encoder {
    low: Band,
    high: Band,
    /// The last input samples, oldest first.
    history: [i16; QMF_HISTORY],
}

impl Encoder {
    /// Starts in the recommendation's reset state.
    pub fn new() -> Self {
        Self { low: Band::new(LOW_RANGE), high: Band::new(HIGH_RANGE), history: [0; QMF_HISTORY] }
    }

    /// Encodes as many pairs of samples as `pcm` and bytes as `payload` hold; returns the bytes
    /// written. A last sample without a partner is not encoded.
    pub fn encode(&mut self, pcm: &[i16], payload: &mut [u8]) -> usize {
        let pairs = pcm.chunks(2 * BLOCK_PAIRS).zip(payload.chunks_mut(BLOCK_PAIRS));
        pairs.map(|(pcm, payload)| self.encode_block(pcm, payload)).sum()
    }

    fn encode_block(&mut self, pcm: &[i16], payload: &mut [u8]) -> usize {
        let pairs = (pcm.len() / 2).min(payload.len());
        let mut line = [0; QMF_HISTORY + 2 * BLOCK_PAIRS];
        line[..QMF_HISTORY].copy_from_slice(&self.history);
        line[QMF_HISTORY..][..2 * pairs].copy_from_slice(&pcm[..2 * pairs]);
        for (pair, byte) in payload[..pairs].iter_mut().enumerate() {
            let (low, high) = split(&line[2 * pair..]);
            *byte = self.high.encode_high(high) << 6 | self.low.encode_low(low);
        }
        self.history.copy_from_slice(&line[2 * pairs..][..QMF_HISTORY]);
        pairs
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Decodes one stream.
#[derive(Debug, Clone)]
pub struct Decoder {
    mode: Mode,
    low: Band,
    high: Band,
    /// The last pairs of sum and difference of the bands, oldest first.
    history: [i16; QMF_HISTORY],
}

impl Decoder {
    /// Starts in the recommendation's reset state.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            low: Band::new(LOW_RANGE),
            high: Band::new(HIGH_RANGE),
            history: [0; QMF_HISTORY],
        }
    }

    /// Decodes as many bytes as `payload` and pairs of samples as `pcm` hold; returns the samples
    /// written.
    pub fn decode(&mut self, payload: &[u8], pcm: &mut [i16]) -> usize {
        let pairs = payload.chunks(BLOCK_PAIRS).zip(pcm.chunks_mut(2 * BLOCK_PAIRS));
        pairs.map(|(payload, pcm)| self.decode_block(payload, pcm)).sum()
    }

    fn decode_block(&mut self, payload: &[u8], pcm: &mut [i16]) -> usize {
        let pairs = (pcm.len() / 2).min(payload.len());
        let mut line = [0; QMF_HISTORY + 2 * BLOCK_PAIRS];
        line[..QMF_HISTORY].copy_from_slice(&self.history);
        let (new, _) = line[QMF_HISTORY..].as_chunks_mut::<2>();
        for (pair, byte) in new.iter_mut().zip(&payload[..pairs]) {
            let low = self.low.decode_low(byte & 0x3F, self.mode);
            let high = self.high.decode_high(byte >> 6);
            // RECA and RECB; both bands are limited to 15 bits, so these fit.
            *pair = [(low + high) as i16, (low - high) as i16];
        }
        let (pcm, _) = pcm.as_chunks_mut::<2>();
        for (pair, samples) in pcm[..pairs].iter_mut().enumerate() {
            *samples = join(&line[2 * pair..]);
        }
        self.history.copy_from_slice(&line[2 * pairs..][..QMF_HISTORY]);
        2 * pairs
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Mode::K64)
    }
}

/// Transmit QMF: the low and high band's next sample from the oldest [`QMF_TAPS`] of `line`.
#[inline]
fn split(line: &[i16]) -> (i32, i32) {
    let (even, odd) = accumulate(line);
    // LOWT and HIGHT.
    (limit_15((even + odd) >> 14), limit_15((odd - even) >> 14))
}

/// Receive QMF: the next two output samples.
#[inline]
fn join(line: &[i16]) -> [i16; 2] {
    let (sums, differences) = accumulate(line);
    // SELECT.
    [limit_16(differences >> 11), limit_16(sums >> 11)]
}

/// Filters the even and the odd elements of `line`.
#[inline]
fn accumulate(line: &[i16]) -> (i32, i32) {
    let (pairs, _) = line[..QMF_TAPS].as_chunks::<2>();
    let mut sums = (0, 0);
    for (pair, tap) in pairs.iter().zip(&QMF) {
        sums.0 += i32::from(pair[0]) * i32::from(tap[0]);
        sums.1 += i32::from(pair[1]) * i32::from(tap[1]);
    }
    sums
}

#[inline]
fn limit_15(value: i32) -> i32 {
    value.clamp(-16_384, 16_383)
}

#[inline]
fn limit_16(value: i32) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// The mirror filter has 24 taps; its second half mirrors the first.
const QMF_TAPS: usize = 24;
/// A pair of new samples completes the filter's input.
const QMF_HISTORY: usize = QMF_TAPS - 2;
/// Pairs that are filtered from one buffer on the stack; 10 ms.
const BLOCK_PAIRS: usize = 80;

/// G.722 table 11: the taps in Q12, in the order of a line whose oldest sample comes first.
#[rustfmt::skip]
const QMF: [[i16; 2]; QMF_TAPS / 2] = [
    [3, -11], [-11, 53], [12, -156], [32, 362], [-210, -805], [951, 3876],
    [3876, 951], [-805, -210], [362, 32], [-156, 12], [53, -11], [-11, 3],
];
