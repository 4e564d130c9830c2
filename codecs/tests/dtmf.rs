//! The DTMF detector against ITU-T Q.24's limits, and against real speech.

use std::path::Path;
use std::{env, fs};

use vox_codecs::g711::Law;
use vox_codecs::tones::{DtmfDetector, ToneGenerator};
use vox_codecs::wav::Wav;

const KEYS: [(char, f64, f64); 16] = [
    ('1', 697.0, 1_209.0),
    ('2', 697.0, 1_336.0),
    ('3', 697.0, 1_477.0),
    ('A', 697.0, 1_633.0),
    ('4', 770.0, 1_209.0),
    ('5', 770.0, 1_336.0),
    ('6', 770.0, 1_477.0),
    ('B', 770.0, 1_633.0),
    ('7', 852.0, 1_209.0),
    ('8', 852.0, 1_336.0),
    ('9', 852.0, 1_477.0),
    ('C', 852.0, 1_633.0),
    ('*', 941.0, 1_209.0),
    ('0', 941.0, 1_336.0),
    ('#', 941.0, 1_477.0),
    ('D', 941.0, 1_633.0),
];

/// A key press as it reaches us.
#[derive(Debug, Clone, Copy)]
struct Press {
    rate_hz: u32,
    row_hz: f64,
    column_hz: f64,
    row_dbm0: f64,
    column_dbm0: f64,
    on_ms: usize,
    /// Noise below the weaker tone, in dB.
    snr_db: Option<f64>,
    /// Silence before, in samples: where the press falls among the detector's blocks.
    lead: usize,
}

impl Press {
    fn of(rate_hz: u32, (_, row_hz, column_hz): (char, f64, f64)) -> Self {
        let (row_dbm0, column_dbm0) = (-10.0, -10.0);
        Self { rate_hz, row_hz, column_hz, row_dbm0, column_dbm0, on_ms: 40, snr_db: None, lead: 0 }
    }

    /// The press, and 60 ms after it.
    fn pcm(self) -> Vec<i16> {
        let ms = self.rate_hz as usize / 1_000;
        let (row, column) = (amplitude(self.row_dbm0), amplitude(self.column_dbm0));
        let noise_rms = match self.snr_db {
            None => 0.0,
            Some(db) => row.min(column) / 2f64.sqrt() * 10f64.powf(-db / 20.0),
        };
        let mut noise = Noise(0x2545_F491 ^ self.lead as u32);
        let tone = |hz: f64, i: usize| {
            (i as f64 * hz / f64::from(self.rate_hz) * std::f64::consts::TAU).sin()
        };
        (0..self.lead + (self.on_ms + 60) * ms)
            .map(|i| {
                let mut sample = noise.next() * noise_rms;
                if i >= self.lead && i < self.lead + self.on_ms * ms {
                    sample += row * tone(self.row_hz, i) + column * tone(self.column_hz, i);
                }
                sample.round() as i16
            })
            .collect()
    }

    fn heard(self) -> String {
        hear(self.rate_hz, &self.pcm())
    }
}

/// Peak of a sine of that level: one of 3.17 dBm0 is full scale.
fn amplitude(dbm0: f64) -> f64 {
    32_767.0 * 10f64.powf((dbm0 - 3.17) / 20.0)
}

/// Noise of unit power, nearly normal, the same in each run.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f64 {
        let mut sum = 0.0;
        for _ in 0..12 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            sum += f64::from(self.0) / f64::from(u32::MAX) - 0.5;
        }
        sum
    }
}

fn hear(rate_hz: u32, pcm: &[i16]) -> String {
    let mut detector = DtmfDetector::new(rate_hz);
    pcm.chunks(rate_hz as usize / 50).filter_map(|frame| detector.push(frame)).collect()
}

/// Each key at 8 and 16 kHz, wherever it falls among the detector's blocks.
fn presses() -> impl Iterator<Item = (char, Press)> {
    [8_000u32, 16_000].into_iter().flat_map(|rate_hz| {
        KEYS.into_iter().flat_map(move |key| {
            [0, 13, 31, 52, 79]
                .map(|lead| (key.0, Press { lead, ..Press::of(rate_hz, key) }))
                .into_iter()
        })
    })
}

fn check(expected: impl Fn(char) -> String, vary: impl Fn(Press) -> Press) {
    for (key, press) in presses() {
        let press = vary(press);
        assert_eq!(press.heard(), expected(key), "{key} {press:?}");
    }
}

fn once(key: char) -> String {
    key.to_string()
}

fn never(_: char) -> String {
    String::new()
}

#[test]
fn each_key_is_heard_once_at_every_level_and_length() {
    for dbm0 in [-36.0, -25.0, -10.0, -3.0] {
        for on_ms in [40, 60, 200] {
            check(once, |press| Press { row_dbm0: dbm0, column_dbm0: dbm0, on_ms, ..press });
        }
    }
}

#[test]
fn frequencies_off_by_1_5_percent_are_heard_and_by_3_5_percent_are_not() {
    for (row, column) in [(1.015, 1.015), (0.985, 0.985), (1.015, 0.985), (0.985, 1.015)] {
        check(once, |press| Press {
            row_hz: press.row_hz * row,
            column_hz: press.column_hz * column,
            ..press
        });
    }
    for (row, column) in [(1.035, 1.0), (0.965, 1.0), (1.0, 1.035), (1.0, 0.965), (1.035, 0.965)] {
        check(never, |press| Press {
            row_hz: press.row_hz * row,
            column_hz: press.column_hz * column,
            on_ms: 200,
            ..press
        });
    }
}

#[test]
fn twist_of_8_db_down_and_4_db_up_is_heard_and_much_more_is_not() {
    for (row_dbm0, column_dbm0) in [(-6.0, -14.0), (-14.0, -10.0), (-28.0, -36.0), (-29.0, -25.0)] {
        check(once, |press| Press { row_dbm0, column_dbm0, ..press });
    }
    for (row_dbm0, column_dbm0) in [(-6.0, -18.0), (-18.0, -10.0)] {
        check(never, |press| Press { row_dbm0, column_dbm0, on_ms: 200, ..press });
    }
}

#[test]
fn keys_are_heard_in_noise_15_db_below_and_off_tune_at_that() {
    for dbm0 in [-30.0, -10.0] {
        check(once, |press| Press {
            row_dbm0: dbm0,
            column_dbm0: dbm0,
            snr_db: Some(15.0),
            on_ms: 50,
            ..press
        });
        check(once, |press| Press {
            row_hz: press.row_hz * 1.01,
            column_hz: press.column_hz * 0.99,
            row_dbm0: dbm0,
            column_dbm0: dbm0 - 4.0,
            snr_db: Some(20.0),
            ..press
        });
    }
}

#[test]
fn what_is_too_soft_or_too_short_or_one_tone_is_not_heard() {
    check(never, |press| Press { row_dbm0: -46.0, column_dbm0: -46.0, on_ms: 200, ..press });
    check(never, |press| Press { on_ms: 20, ..press });
    check(never, |press| Press { column_dbm0: -90.0, on_ms: 200, ..press });
    check(never, |press| Press { row_dbm0: -90.0, on_ms: 200, ..press });
}

#[test]
fn a_number_dialled_at_full_speed_is_heard_in_order_through_both_laws() {
    let number = "0123456789*#ABCD1100##";
    for rate_hz in [8_000u32, 16_000] {
        for pause_ms in [40, 45, 100] {
            let ms = rate_hz as usize / 1_000;
            let mut pcm = Vec::new();
            for digit in number.chars() {
                let from = pcm.len();
                pcm.resize(from + 40 * ms, 0);
                ToneGenerator::dtmf(rate_hz, digit).unwrap().fill(&mut pcm[from..]);
                pcm.resize(pcm.len() + pause_ms * ms, 0);
            }
            pcm.resize(pcm.len() + 20 * ms, 0);
            assert_eq!(hear(rate_hz, &pcm), number, "{rate_hz} Hz, pauses of {pause_ms} ms");
            for law in [Law::Mu, Law::A] {
                let coded: Vec<i16> = pcm.iter().map(|s| law.expand(law.compress(*s))).collect();
                assert_eq!(hear(rate_hz, &coded), number, "{rate_hz} Hz, {law:?}");
            }
        }
    }
}

#[test]
fn a_long_press_with_a_dropout_of_10_ms_is_one_press() {
    check(once, |press| Press { on_ms: 900, ..press });
    for (key, press) in presses() {
        let ms = press.rate_hz as usize / 1_000;
        let mut pcm = Press { on_ms: 400, ..press }.pcm();
        pcm[press.lead + 203 * ms..][..10 * ms].fill(0);
        assert_eq!(hear(press.rate_hz, &pcm), once(key), "{press:?}");
    }
}

/// The prompts of the Debian package `asterisk-core-sounds-en-wav`, or `None` after saying loudly
/// that it is not installed.
fn prompts() -> Option<Vec<(String, Wav)>> {
    let folder = Path::new("/usr/share/asterisk/sounds/en_US_f_Allison");
    let Ok(entries) = fs::read_dir(folder) else {
        let missing = format!("no {}: install asterisk-core-sounds-en-wav", folder.display());
        let required = env::var_os("REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "REQUIRE_PEERS=1, but {missing}");
        eprintln!("SKIPPED, because {missing}");
        return None;
    };
    let prompts = entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wav"))
        .map(|path| {
            let wav = Wav::parse(&fs::read(&path).expect("the prompt can be read"));
            (path.display().to_string(), wav.expect("the prompt is a WAV"))
        });
    Some(prompts.collect())
}

#[test]
fn real_speech_holds_no_digits() {
    let Some(prompts) = prompts() else { return };
    let mut seconds = 0.0;
    for (name, wav) in prompts {
        let speech = wav.channel(0);
        seconds += speech.len() as f64 / f64::from(wav.rate_hz);
        assert_eq!(hear(wav.rate_hz, &speech), "", "{name}");
        // Another voice: what was safe by luck is not then.
        let slower: Vec<i16> = speech
            .windows(2)
            .flat_map(|pair| {
                [pair[0], (i32::from(pair[0]) + i32::from(pair[1])).div_euclid(2) as i16]
            })
            .collect();
        for (rate_hz, voice) in [(16_000, &slower), (8_000, &slower), (16_000, &speech)] {
            assert_eq!(hear(rate_hz, voice), "", "{name} played at {rate_hz} Hz");
        }
    }
    assert!(seconds > 600.0, "only {seconds} s of speech");
}
