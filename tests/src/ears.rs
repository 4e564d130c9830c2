//! Speech to say, and judges of what came back.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vox_codecs::wav::Wav;

use crate::peers;

/// Half a minute of a woman speaking English, 8 kHz: Asterisk's own demo prompt, from Debian's
/// `asterisk-core-sounds-en-wav`.
const SPEECH: &str = "/usr/share/asterisk/sounds/en_US_f_Allison/demo-congrats.wav";

/// `seconds` of real speech at `rate_hz` as a WAV file in `directory`; `None` when a peer is
/// missing.
pub fn speech(directory: &Path, rate_hz: u32, seconds: u32) -> Option<PathBuf> {
    if !Path::new(SPEECH).is_file() {
        peers::missing("the package asterisk-core-sounds-en-wav");
        return None;
    }
    let sox = peers::find("sox")?;
    let path = directory.join(format!("speech-{rate_hz}-{seconds}.wav"));
    let status = Command::new(sox)
        .args(["-D", "-v", "0.9", SPEECH, "-r", &rate_hz.to_string(), "-b", "16"])
        .arg(&path)
        .args(["repeat", &(seconds / 30).to_string(), "trim", "0", &seconds.to_string()])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "sox made no speech");
    Some(path)
}

/// How alike two recordings are.
#[derive(Debug, Clone, Copy)]
pub struct Score {
    /// PESQ (ITU-T P.862): −0.5..4.5.
    pub pesq: f64,
    /// How much later the second repeats the first.
    pub offset_ms: f64,
}

/// Aligns `degraded` with `reference` and scores it by narrow-band PESQ; `None` when PESQ is
/// missing.
pub fn pesq(reference: &Path, degraded: &Path) -> Option<Score> {
    pesq_of(reference, degraded, 0)
}

/// [`pesq`] of one channel.
pub fn pesq_of(reference: &Path, degraded: &Path, channel: usize) -> Option<Score> {
    let python = peers::directory().join("venv/bin/python");
    if !python.is_file() {
        peers::missing("pesq (PyPI)");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("score.py");
    let output = Command::new(python)
        .arg(script)
        .arg(reference)
        .arg(degraded)
        .arg(channel.to_string())
        .output()
        .expect("python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let score: Value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("score.py: {text}{}", String::from_utf8_lossy(&output.stderr)));
    Some(Score { pesq: score["pesq"].as_f64()?, offset_ms: score["offset_ms"].as_f64()? })
}

/// Reads a WAV file.
pub fn wav(path: &Path) -> Wav {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Wav::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
