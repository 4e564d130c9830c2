//! DTMF and call-progress tones, and the DTMF detector.

mod detector;
mod generator;
mod progress;
mod sine;

pub use detector::DtmfDetector;
pub use generator::ToneGenerator;
pub use progress::{CallProgress, ToneSet};

/// The keypad: `KEYS[row][column]`.
const KEYS: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];
/// ITU-T Q.23: the low group, one frequency per row, in Hz.
const ROWS_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
/// ITU-T Q.23: the high group, one frequency per column, in Hz.
const COLUMNS_HZ: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
