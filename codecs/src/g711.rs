//! G.711: µ-law and A-law companding, one byte per sample at 8 kHz.
//!
//! The decision values are those of ITU-T G.711 tables 1 and 2, as the ITU's own software tool
//! library applies them to 16-bit samples: a negative sample is folded by its one's complement.
//! Other implementations give some samples on the edge of an interval the neighbouring code: Sun's
//! `g711.c` folds µ-law by the two's complement (508 of the 65,536 inputs), and ffmpeg takes the
//! code whose output is nearest instead of using decision values (964 inputs in each law).

/// Which of the two companding laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Law {
    /// PCMU, used in North America and Japan.
    Mu,
    /// PCMA, used elsewhere.
    A,
}

impl Law {
    /// The code of one sample.
    pub const fn compress(self, sample: i16) -> u8 {
        match self {
            Self::Mu => mu_compress(sample),
            Self::A => a_compress(sample),
        }
    }

    /// The sample of one code.
    pub const fn expand(self, code: u8) -> i16 {
        match self {
            Self::Mu => MU_EXPANDED[code as usize],
            Self::A => A_EXPANDED[code as usize],
        }
    }

    /// Compresses as many samples as both slices hold; returns that number.
    pub fn compress_slice(self, samples: &[i16], codes: &mut [u8]) -> usize {
        match self {
            Self::Mu => map(samples, codes, mu_compress),
            Self::A => map(samples, codes, a_compress),
        }
    }

    /// Expands as many codes as both slices hold; returns that number.
    pub fn expand_slice(self, codes: &[u8], samples: &mut [i16]) -> usize {
        let table = match self {
            Self::Mu => &MU_EXPANDED,
            Self::A => &A_EXPANDED,
        };
        map(codes, samples, |code| table[code as usize])
    }

    /// The code of digital silence.
    pub const fn silence(self) -> u8 {
        self.compress(0)
    }
}

#[inline]
fn map<T: Copy, U>(from: &[T], to: &mut [U], f: impl Fn(T) -> U) -> usize {
    for (from, to) in from.iter().zip(to.iter_mut()) {
        *to = f(*from);
    }
    from.len().min(to.len())
}

// Both laws are logarithms to the base 2 with four bits behind the point, which is what a
// floating-point number starts with: its exponent is the segment, the top of its mantissa the step.
// This has neither branch nor table: a compiler does many samples at a time, and a call's frame
// finds nothing evicted from the cache.

#[inline]
const fn mu_compress(sample: i16) -> u8 {
    let biased = (magnitude(sample) >> MU_SHIFT) as u32 + MU_BIAS;
    // 8,158 is the last decision value: everything above it has the last code.
    let biased = if biased > 0x1FFF { 0x1FFF } else { biased };
    // G.711 table 2: magnitudes are sent inverted.
    0x7F ^ (log2_sixteenths(biased) - 16 * 5) as u8 | positive_bit(sample)
}

#[inline]
const fn a_compress(sample: i16) -> u8 {
    let magnitude = (magnitude(sample) >> A_SHIFT) as u32;
    // The first segment is linear, and as fine as the second.
    let code = if magnitude < 16 { magnitude } else { log2_sixteenths(magnitude) - 16 * 3 };
    // G.711 table 1: the even bits of a code are inverted; the sign bit is not one of them.
    code as u8 ^ A_INVERTED_BITS | positive_bit(sample)
}

/// The logarithm of 1..2^24 in sixteenths of an octave, linear inside each octave, rounded down.
#[inline]
const fn log2_sixteenths(value: u32) -> u32 {
    const EXPONENT_BIAS: u32 = 127;
    // Through i32, which every vector unit converts.
    ((value as i32 as f32).to_bits() >> (23 - 4)).wrapping_sub(EXPONENT_BIAS * 16)
}

/// In 0..=32_767: the one's complement of a negative sample.
#[inline]
const fn magnitude(sample: i16) -> u16 {
    (sample ^ (sample >> 15)) as u16
}

#[inline]
const fn positive_bit(sample: i16) -> u8 {
    if sample < 0 { 0 } else { SIGN }
}

const fn mu_expanded() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < table.len() {
        let inverted = !(code as u8);
        let (segment, step) = ((inverted >> 4) & 0x07, (inverted & 0x0F) as u32);
        let magnitude = (((step << 1) + MU_BIAS) << segment) - MU_BIAS;
        table[code] = signed(code as u8, (magnitude << MU_SHIFT) as i16);
        code += 1;
    }
    table
}

const fn a_expanded() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < table.len() {
        let plain = code as u8 ^ A_INVERTED_BITS;
        let (segment, step) = ((plain >> 4) & 0x07, (plain & 0x0F) as i16);
        // The output is the middle of the interval that the code stands for.
        let middle = 1 << (A_SHIFT - 1);
        let magnitude = match segment {
            0 => (step << A_SHIFT) + middle,
            _ => (((step + 16) << A_SHIFT) + middle) << (segment - 1),
        };
        table[code] = signed(code as u8, magnitude);
        code += 1;
    }
    table
}

const fn signed(code: u8, magnitude: i16) -> i16 {
    if code & SIGN == 0 { -magnitude } else { magnitude }
}

/// Set in the codes of positive samples, in both laws.
const SIGN: u8 = 0x80;
/// µ-law looks at the upper 14 bits of a sample.
const MU_SHIFT: u32 = 2;
/// Makes every µ-law segment start at a power of two.
const MU_BIAS: u32 = 33;
/// A-law looks at the upper 12 bits of a sample and expands to 13.
const A_SHIFT: u32 = 4;
const A_INVERTED_BITS: u8 = 0x55;

static MU_EXPANDED: [i16; 256] = mu_expanded();
static A_EXPANDED: [i16; 256] = a_expanded();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_samples_of_the_itu_tables() {
        // (law, sample, code, sample that the code expands to)
        let rows = [
            (Law::Mu, 0, 0xFF, 0),
            (Law::Mu, 3, 0xFF, 0),
            (Law::Mu, 4, 0xFE, 8),
            (Law::Mu, -4, 0x7F, 0),
            (Law::Mu, -5, 0x7E, -8),
            (Law::Mu, 32_767, 0x80, 32_124),
            (Law::Mu, -32_768, 0x00, -32_124),
            (Law::A, 0, 0xD5, 8),
            (Law::A, 15, 0xD5, 8),
            (Law::A, 16, 0xD4, 24),
            (Law::A, -1, 0x55, -8),
            (Law::A, -17, 0x54, -24),
            (Law::A, 32_767, 0xAA, 32_256),
            (Law::A, -32_768, 0x2A, -32_256),
        ];
        for (law, sample, code, expanded) in rows {
            assert_eq!(law.compress(sample), code, "{law:?} {sample}");
            assert_eq!(law.expand(code), expanded, "{law:?} {code:#04x}");
        }
    }

    #[test]
    fn expanding_and_compressing_again_keeps_every_code() {
        for law in [Law::Mu, Law::A] {
            for code in 0..=255 {
                let again = law.compress(law.expand(code));
                // µ-law has two zeros; both expand to 0, which compresses to the positive one.
                let negative_zero = law == Law::Mu && code == 0x7F;
                assert_eq!(again, if negative_zero { 0xFF } else { code }, "{law:?}");
            }
        }
    }

    #[test]
    fn slices_of_unequal_length_stop_at_the_shorter() {
        let mut codes = [0; 3];
        assert_eq!(Law::A.compress_slice(&[0; 5], &mut codes), 3);
        assert_eq!(codes, [Law::A.silence(); 3]);
        assert_eq!(Law::A.expand_slice(&codes, &mut [0; 2]), 2);
    }
}
