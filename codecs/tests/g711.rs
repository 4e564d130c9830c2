//! G.711 against the ITU's tables for every input and code, and against ffmpeg.

mod support;

use vox_codecs::g711::Law;

/// The laws and the names that the ITU's files and ffmpeg give them.
const LAWS: [(Law, &str, &str); 2] = [(Law::Mu, "u", "mulaw"), (Law::A, "a", "alaw")];

fn every_sample() -> Vec<i16> {
    (i16::MIN..=i16::MAX).collect()
}

fn every_code() -> Vec<u8> {
    (0..=255).collect()
}

fn compress(law: Law, samples: &[i16]) -> Vec<u8> {
    let mut codes = vec![0; samples.len()];
    assert_eq!(law.compress_slice(samples, &mut codes), samples.len());
    codes
}

fn expand(law: Law, codes: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; codes.len()];
    assert_eq!(law.expand_slice(codes, &mut samples), codes.len());
    samples
}

#[test]
fn all_65536_inputs_and_256_codes_agree_with_the_itu_vectors() {
    for (law, name, _) in LAWS {
        let vector = |suffix: &str| support::vector_samples(&format!("g711/sweep{suffix}"));
        let (Some(input), Some(encoded), Some(decoded)) =
            (vector(".src"), vector(&format!("-r.{name}")), vector(&format!("-r.{name}-{name}")))
        else {
            return;
        };
        let mut all = input.clone();
        all.sort_unstable();
        assert_eq!(all, every_sample());
        let codes: Vec<u8> = encoded.iter().map(|word| *word as u8).collect();
        assert_eq!(compress(law, &input), codes, "{law:?}");
        assert_eq!(expand(law, &codes), decoded, "{law:?}");
        let mut distinct = codes;
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct, every_code(), "{law:?}");
    }
}

#[test]
fn ffmpeg_expands_every_code_to_the_same_sample() {
    for (law, _, format) in LAWS {
        let arguments = ["-v", "error", "-f", format, "-ar", "8000", "-i", "-", "-f", "s16le", "-"];
        let Some(output) = support::peer("ffmpeg", &arguments, &every_code()) else {
            return;
        };
        assert_eq!(support::samples(&output), expand(law, &every_code()), "{law:?}");
    }
}

/// G.711 defines decision values. ffmpeg has none: it floors a sample to 14 bits and takes the code
/// whose output is nearest, the greater one of two as near. That moves every decision value between
/// two segments, and every negative sample on the edge of an interval, to the neighbouring code:
/// 964 of the 65,536 inputs in each law.
#[test]
fn ffmpeg_compresses_to_our_code_or_on_964_edge_inputs_to_the_one_beside_it() {
    for (law, _, format) in LAWS {
        let arguments = ["-v", "error", "-f", "s16le", "-ar", "8000", "-i", "-", "-f", format, "-"];
        let input = support::bytes(&every_sample());
        let Some(output) = support::peer("ffmpeg", &arguments, &input) else {
            return;
        };
        assert_eq!(output.len(), every_sample().len());
        let mut differences = 0;
        for (sample, theirs) in every_sample().into_iter().zip(output) {
            let ours = law.compress(sample);
            if ours != theirs {
                differences += 1;
                assert_is_nearer_neighbour(law, sample, ours, theirs);
            }
        }
        assert_eq!(differences, 964, "{law:?}");
    }
}

fn assert_is_nearer_neighbour(law: Law, sample: i16, ours: u8, theirs: u8) {
    let message = format!("{law:?} {sample}: {ours:#04x}, ffmpeg {theirs:#04x}");
    // Exclusive or with silence undoes either law's inversion of bits.
    let interval = |code: u8| (code ^ law.silence()) & 0x7F;
    assert_eq!(interval(ours).abs_diff(interval(theirs)), 1, "{message}");
    let floored = sample & !3;
    let error = |code| floored.abs_diff(law.expand(code));
    assert!(error(theirs) <= error(ours), "{message}");
}
