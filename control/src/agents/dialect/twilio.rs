//! Twilio Media Streams (bidirectional), as Twilio's message reference has them: the worker stands
//! where Twilio would, so that an app that speaks with Twilio cannot tell the difference.
//!
//! Numbers are strings where Twilio writes strings (`sequenceNumber`, `chunk`, `timestamp`). The
//! app ends the stream by closing its socket; the call then goes on to the next TwiML verb, of which
//! there is none here: it ends, as by the bot.

use std::collections::VecDeque;
use std::fmt::Write;

use base64::Engine as _;
use serde_json::{Value, json};
use vox_codecs::{CodecKind, Decoder, Encoder};

use super::{
    Act, BASE64, Dialect, Frame, News, Out, StartFacts, Stop, UNKNOWN, Wrong, json, text, wrong,
};

/// One stream.
#[derive(Debug)]
pub(super) struct Twilio {
    stream_sid: String,
    account_sid: String,
    call_sid: String,
    /// Messages sent, `connected` not counted.
    sequence: u64,
    chunk: u64,
    /// The call's frame with which the stream began: timestamps count from it.
    first_frame: Option<u32>,
    encoder: Encoder,
    decoder: Decoder,
    /// Reused for every message.
    message: String,
    payload: Vec<u8>,
}

impl Default for Twilio {
    fn default() -> Self {
        Self {
            stream_sid: String::new(),
            account_sid: String::new(),
            call_sid: String::new(),
            sequence: 0,
            chunk: 0,
            first_frame: None,
            encoder: Encoder::new(CodecKind::Pcmu),
            decoder: Decoder::new(CodecKind::Pcmu),
            message: String::new(),
            payload: vec![],
        }
    }
}

impl Dialect for Twilio {
    fn rate_hz(&self) -> u32 {
        8_000
    }

    fn connected(&mut self, facts: &StartFacts, out: &mut dyn Out) {
        let connection = facts.reconnects.to_string();
        self.stream_sid = sid("MZ", &[&facts.session_id, &connection]);
        self.call_sid = sid("CA", &[&facts.session_id]);
        self.account_sid = sid("AC", &[&facts.bot_id]);
        out.text(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#);
    }

    fn start(&mut self, facts: &StartFacts, out: &mut dyn Out) {
        let mut parameters = serde_json::Map::new();
        for (name, value) in &facts.custom_parameters {
            // Twilio's <Parameter> values are strings.
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            parameters.insert(name.clone(), value.into());
        }
        let start = json!({
            "event": "start",
            "sequenceNumber": self.next(),
            "start": {
                "accountSid": self.account_sid,
                "streamSid": self.stream_sid,
                "callSid": self.call_sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": parameters,
            },
            "streamSid": self.stream_sid,
        });
        out.text(&start.to_string());
    }

    fn heard(&mut self, frame: u32, samples: &[i16], out: &mut dyn Out) {
        self.payload.resize(samples.len(), 0);
        let bytes = self.encoder.encode(samples, &mut self.payload);
        self.chunk += 1;
        self.sequence += 1;
        let first_frame = *self.first_frame.get_or_insert(frame);
        let timestamp = u64::from(frame.wrapping_sub(first_frame)) * 20;
        let (sequence, chunk) = (self.sequence, self.chunk);
        self.message.clear();
        // A String takes everything.
        let _ = write!(
            self.message,
            r#"{{"event":"media","sequenceNumber":"{sequence}","media":{{"track":"inbound","chunk":"{chunk}","timestamp":"{timestamp}","payload":""#
        );
        BASE64.encode_string(&self.payload[..bytes], &mut self.message);
        let _ = write!(self.message, r#""}},"streamSid":"{}"}}"#, self.stream_sid);
        out.text(&self.message);
    }

    fn told(&mut self, news: &News<'_>, out: &mut dyn Out) {
        let mut message = match news {
            News::Mark { name, .. } => json!({"event": "mark", "mark": {"name": name}}),
            News::Digit(digit) => json!({
                "event": "dtmf",
                "dtmf": {"track": "inbound_track", "digit": digit.to_string()},
            }),
            // Twilio has no words for the rest.
            _ => return,
        };
        message["sequenceNumber"] = self.next().into();
        message["streamSid"] = self.stream_sid.clone().into();
        out.text(&message.to_string());
    }

    fn receive(
        &mut self,
        message: Frame<'_>,
        say: &mut Vec<i16>,
        acts: &mut VecDeque<Act>,
        _: &mut dyn Out,
    ) -> Result<(), Wrong> {
        let message = json(message)?;
        let event = text(&message, "event").ok_or(wrong("no_event"))?;
        if !matches!(event, "media" | "mark" | "clear") {
            return Err(UNKNOWN);
        }
        if text(&message, "streamSid").is_none_or(|sid| sid != self.stream_sid) {
            return Err(wrong("wrong_stream"));
        }
        match event {
            "media" => {
                self.say(&message, say)?;
                acts.push_back(Act::Say);
            }
            "mark" => {
                let name = message.get("mark").and_then(|mark| text(mark, "name"));
                acts.push_back(Act::Mark(name.ok_or(wrong("bad_mark"))?.to_owned()));
            }
            _ => acts.push_back(Act::Clear),
        }
        Ok(())
    }

    fn stop(&mut self, _: Stop, out: &mut dyn Out) {
        let stop = json!({
            "event": "stop",
            "sequenceNumber": self.next(),
            "stop": {"accountSid": self.account_sid, "callSid": self.call_sid},
            "streamSid": self.stream_sid,
        });
        out.text(&stop.to_string());
    }
}

impl Twilio {
    #[cfg(test)]
    pub(super) fn stream_sid(&self) -> &str {
        &self.stream_sid
    }

    fn next(&mut self) -> String {
        self.sequence += 1;
        self.sequence.to_string()
    }

    fn say(&mut self, message: &Value, say: &mut Vec<i16>) -> Result<(), Wrong> {
        let payload = message.get("media").and_then(|media| text(media, "payload"));
        let payload = payload.ok_or(wrong("no_payload"))?;
        self.payload.clear();
        BASE64.decode_vec(payload, &mut self.payload).map_err(|_| wrong("bad_base64"))?;
        super::decode(&mut self.decoder, &self.payload, say)
    }
}

/// An identifier of Twilio's form: two letters and 32 hexadecimal digits, always the same for the
/// same parts.
fn sid(kind: &str, parts: &[&str]) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    digest[..16].iter().fold(kind.to_owned(), |mut sid, byte| {
        let _ = write!(sid, "{byte:02x}");
        sid
    })
}
