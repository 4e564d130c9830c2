//! Our own language, `vox.v1`: audio in binary messages, everything else in JSON. Its specification
//! is `docs/src/vox-protocol.md`.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::{Act, Dialect, Frame, News, Out, StartFacts, Stop, UNKNOWN, Wrong, text, wrong};

/// What is asked for in the upgrade.
pub(super) const SUBPROTOCOL: &str = "vox.v1";

/// One connection.
#[derive(Debug)]
pub(super) struct Vox {
    rate_hz: u32,
    sequence: u32,
}

impl Vox {
    pub(super) fn new(rate_hz: u32) -> Self {
        Self { rate_hz, sequence: 0 }
    }

    fn header(&self, position_ms: u32) -> [u8; HEADER_BYTES] {
        let mut header = [VERSION, AUDIO, 0, (self.rate_hz / 1_000) as u8, 0, 0, 0, 0, 0, 0, 0, 0];
        header[4..8].copy_from_slice(&self.sequence.to_le_bytes());
        header[8..].copy_from_slice(&position_ms.to_le_bytes());
        header
    }

    fn say(&self, bytes: &[u8], say: &mut Vec<i16>) -> Result<(), Wrong> {
        let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(wrong("too_short"))?;
        let [version, kind, _, rate_khz, ..] = *header;
        if version != VERSION {
            return Err(Wrong { reason: "wrong_version", close: Some(1_002) });
        }
        if kind != AUDIO {
            return Err(UNKNOWN);
        }
        if u32::from(rate_khz) * 1_000 != self.rate_hz {
            return Err(Wrong { reason: "wrong_rate", close: Some(1_003) });
        }
        let (samples, rest) = body.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(wrong("half_a_sample"));
        }
        say.extend(samples.iter().map(|&bytes| i16::from_le_bytes(bytes)));
        Ok(())
    }
}

impl Dialect for Vox {
    fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    fn connected(&mut self, facts: &StartFacts, out: &mut dyn Out) {
        let connected = json!({
            "type": "connected",
            "version": 1,
            "audio": {"encoding": "pcm_s16le", "rate_hz": self.rate_hz, "channels": 1, "frame_ms": 20},
            "reconnects": facts.reconnects,
            "call": {
                "session_id": facts.session_id,
                "stream_id": facts.stream_id,
                "call_id": facts.call_id,
                "caller": facts.caller,
                "dialed": facts.dialed,
                "direction": facts.direction,
                "bot_id": facts.bot_id,
                "connected_event": facts.connected_event,
                "custom_parameters": facts.custom_parameters,
            },
            "bot": {
                "system_prompt": facts.system_prompt,
                "opening_message": facts.opening_message,
                "transfer_targets": facts.transfer_targets,
                "min_words_interruption": facts.min_words_interruption,
            },
        });
        out.text(&connected.to_string());
    }

    fn start(&mut self, facts: &StartFacts, out: &mut dyn Out) {
        out.text(&json!({"type": "start", "codec": facts.codec}).to_string());
    }

    fn heard(&mut self, frame: u32, samples: &[i16], out: &mut dyn Out) {
        out.samples(&self.header(frame.wrapping_mul(20)), samples);
        self.sequence = self.sequence.wrapping_add(1);
    }

    fn told(&mut self, news: &News<'_>, out: &mut dyn Out) {
        let message = match news {
            News::Mark { name, played } => json!({"type": "mark", "name": name, "played": played}),
            News::Cleared { played_ms, dropped_ms } => {
                json!({"type": "cleared", "played_ms": played_ms, "dropped_ms": dropped_ms})
            }
            News::SpeechStarted { at_ms, playing } => {
                json!({"type": "speech_started", "at_ms": at_ms, "playing": playing})
            }
            News::SpeechStopped { at_ms } => json!({"type": "speech_stopped", "at_ms": at_ms}),
            News::Paused { played_ms } => json!({"type": "paused", "played_ms": played_ms}),
            News::Resumed => json!({"type": "resumed"}),
            News::Interrupted { played_ms, dropped_ms } => {
                json!({"type": "interrupted", "played_ms": played_ms, "dropped_ms": dropped_ms})
            }
            News::Drained { played_ms } => json!({"type": "drained", "played_ms": played_ms}),
            News::Digit(digit) => json!({"type": "digit", "digit": digit.to_string()}),
            News::Warning { seconds_left } => {
                json!({"type": "warning", "seconds_left": seconds_left})
            }
            News::ReEngage { attempt, message } => {
                json!({"type": "re_engage", "attempt": attempt, "message": message})
            }
            News::PreTransfer { message } => json!({"type": "pre_transfer", "message": message}),
            News::Transfer { failed } => {
                json!({"type": "transfer", "ok": failed.is_none(), "error": failed})
            }
            News::Refused { act, why } => json!({"type": "refused", "act": act, "why": why}),
        };
        out.text(&message.to_string());
    }

    fn receive(
        &mut self,
        message: Frame<'_>,
        say: &mut Vec<i16>,
        acts: &mut VecDeque<Act>,
        _: &mut dyn Out,
    ) -> Result<(), Wrong> {
        let Frame::Text(_) = message else {
            let Frame::Binary(bytes) = message else { return Ok(()) };
            self.say(bytes, say)?;
            acts.push_back(Act::Say);
            return Ok(());
        };
        acts.push_back(wish(&super::json(message)?)?);
        Ok(())
    }

    fn stop(&mut self, why: Stop, out: &mut dyn Out) {
        let reason = match why {
            Stop::CallEnded => "call_ended",
            Stop::WorkerStopped => "worker_stopped",
        };
        out.text(&json!({"type": "stop", "reason": reason}).to_string());
    }
}

/// What a JSON message asks for.
fn wish(message: &Value) -> Result<Act, Wrong> {
    let owned = |name| text(message, name).map(str::to_owned);
    let needed = |name| owned(name).ok_or(wrong("missing_field"));
    Ok(match text(message, "type") {
        Some("mark") => Act::Mark(needed("name")?),
        Some("clear") => Act::Clear,
        Some("hang_up") => Act::HangUp {
            after_playback: message["after_playback"].as_bool().unwrap_or(false),
            reason: owned("reason"),
        },
        Some("transfer") => {
            Act::Transfer { target: owned("target"), reason: owned("reason"), mode: owned("mode") }
        }
        Some("digits") => Act::Digits(needed("digits")?),
        Some("play") => Act::Play(needed("file")?),
        Some("note") => {
            let facts = message.get("facts").and_then(Value::as_object);
            Act::Note(facts.cloned().unwrap_or_else(Map::new))
        }
        Some(_) => return Err(UNKNOWN),
        None => return Err(wrong("no_type")),
    })
}

const HEADER_BYTES: usize = 12;
const VERSION: u8 = 1;
const AUDIO: u8 = 0;
