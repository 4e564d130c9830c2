//! OpenAI's Realtime API (the general-availability events; the beta's names of audio deltas are
//! understood, too). The worker is the client: the caller's audio is appended to the input buffer,
//! deltas are played, and what the caller did not hear is truncated from the conversation.
//!
//! A conversation makes one response at a time, and the server makes some by itself when the caller
//! stops speaking. So we ask for one only when none is under way, and again when the server was
//! faster. Should two be under way all the same, each is followed by its id: `playback` knows whose
//! audio is where.

mod playback;
mod responses;

use std::collections::VecDeque;

use base64::Engine as _;
use serde_json::{Map, Value, json};
use vox_codecs::{CodecKind, Decoder, Encoder};

use super::{
    Act, BASE64, Dialect, Frame, News, Out, StartFacts, Stop, Wrong, json as parse, text, wrong,
};
use playback::Playback;
use responses::{Create, Responses};

/// One session.
#[derive(Debug)]
pub(super) struct OpenAi {
    rate_hz: u32,
    /// From the bot's config; wins over what is set here.
    session: Map<String, Value>,
    encoder: Encoder,
    decoder: Decoder,
    /// What was said and may not be heard yet.
    playback: Playback,
    responses: Responses,
    opening: Option<String>,
    /// Reused for every message.
    message: String,
    payload: Vec<u8>,
}

impl OpenAi {
    pub(super) fn new(rate_hz: u32, session: Map<String, Value>) -> Self {
        Self {
            rate_hz,
            session,
            encoder: Encoder::new(CodecKind::Pcmu),
            decoder: Decoder::new(CodecKind::Pcmu),
            playback: Playback::default(),
            responses: Responses::default(),
            opening: None,
            message: String::new(),
            payload: vec![],
        }
    }

    /// The format of both directions: what needs no conversion on a narrow-band call, or PCM16.
    fn format(&self) -> Value {
        match self.rate_hz {
            8_000 => json!({"type": "audio/pcmu"}),
            rate_hz => json!({"type": "audio/pcm", "rate": rate_hz}),
        }
    }

    /// Tells the model what of its speech was heard, so that it does not believe to have said more.
    fn truncate(&mut self, played_ms: u64, dropped_ms: u64, out: &mut dyn Out) {
        for cut in self.playback.cut(played_ms, dropped_ms) {
            let truncate = json!({
                "type": "conversation.item.truncate",
                "item_id": cut.item,
                "content_index": cut.content_index,
                "audio_end_ms": cut.heard_ms,
            });
            out.text(&truncate.to_string());
        }
    }

    /// A text of the user's turn, and a response to it.
    fn user_says(&mut self, words: &str, out: &mut dyn Out) {
        let item = json!({
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": words}],
            },
        });
        out.text(&item.to_string());
        self.responses.ask(Create::default(), out);
    }

    fn delta(&mut self, message: &Value, say: &mut Vec<i16>) -> Result<(), Wrong> {
        let delta = text(message, "delta").ok_or(wrong("no_delta"))?;
        if self.responses.is_cancelled(text(message, "response_id")) {
            return Ok(());
        }
        self.payload.clear();
        BASE64.decode_vec(delta, &mut self.payload).map_err(|_| wrong("bad_base64"))?;
        let from = say.len();
        if self.rate_hz == 8_000 {
            super::decode(&mut self.decoder, &self.payload, say)?;
        } else {
            let (samples, rest) = self.payload.as_chunks::<2>();
            if !rest.is_empty() {
                return Err(wrong("half_a_sample"));
            }
            say.extend(samples.iter().map(|&bytes| i16::from_le_bytes(bytes)));
        }
        self.responses.speaks();
        let id = text(message, "item_id").unwrap_or_default();
        let content_index = message["content_index"].as_u64().unwrap_or(0);
        let ms = (say.len() - from) as f64 * 1_000.0 / f64::from(self.rate_hz);
        self.playback.say(id, content_index, ms);
        Ok(())
    }

    /// A function that the model calls.
    fn function(&mut self, item: &Value, acts: &mut VecDeque<Act>, out: &mut dyn Out) {
        let arguments: Result<Value, _> =
            serde_json::from_str(text(item, "arguments").unwrap_or("{}"));
        let argument = |name| Some(text(arguments.as_ref().ok()?, name)?.to_owned());
        let reason = argument("reason");
        let (output, goes_on) = match (text(item, "name"), &arguments) {
            (_, Err(_)) => (json!({"ok": false, "error": "the arguments are not JSON"}), true),
            (Some(END_CALL), _) => {
                acts.push_back(Act::HangUp { after_playback: true, reason });
                (json!({"ok": true}), false)
            }
            (Some(TRANSFER_CALL), _) => {
                acts.push_back(Act::Transfer { target: argument("target"), reason, mode: None });
                (json!({"ok": true, "status": "transferring"}), false)
            }
            _ => (json!({"ok": false, "error": "this function is not known here"}), true),
        };
        let result = json!({
            "type": "conversation.item.create",
            "item": {
                "type": "function_call_output",
                "call_id": item["call_id"],
                "output": output.to_string(),
            },
        });
        out.text(&result.to_string());
        if goes_on {
            self.responses.ask(Create::default(), out);
        }
    }

    /// The server says that something is wrong. Most of it is not the end of the session.
    fn error(
        &mut self,
        error: &Value,
        acts: &mut VecDeque<Act>,
        out: &mut dyn Out,
    ) -> Result<(), Wrong> {
        let code = text(error, "code").or(text(error, "type")).unwrap_or_default();
        let names = [Some(code), text(error, "type")];
        if names.into_iter().flatten().any(|name| FATAL.contains(&name)) {
            acts.push_back(Act::Fail(format!("the model's server says {code}")));
            return Ok(());
        }
        // It was done when we cancelled it.
        if code == "response_cancel_not_active" {
            return Ok(());
        }
        // It makes one of its own just now: ours comes after it.
        if code == "conversation_already_has_active_response" {
            self.responses.not_now();
            return Ok(());
        }
        self.responses.refused(text(error, "event_id"), out);
        let mut note = Map::new();
        note.insert("error".into(), code.into());
        note.insert("message".into(), text(error, "message").unwrap_or_default().into());
        acts.push_back(Act::Note(note));
        Err(wrong("peer_error"))
    }
}

impl Dialect for OpenAi {
    fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    fn connected(&mut self, facts: &StartFacts, out: &mut dyn Out) {
        let mut session = json!({
            "type": "realtime",
            "output_modalities": ["audio"],
            "audio": {
                "input": {"format": self.format(), "turn_detection": {"type": "server_vad"}},
                "output": {"format": self.format()},
            },
            "tools": tools(&facts.transfer_targets),
            "tool_choice": "auto",
        });
        if let Some(prompt) = &facts.system_prompt {
            session["instructions"] = prompt.clone().into();
        }
        merge(&mut session, &self.session);
        out.text(&json!({"type": "session.update", "session": session}).to_string());
        self.opening.clone_from(&facts.opening_message);
    }

    fn start(&mut self, _: &StartFacts, out: &mut dyn Out) {
        if let Some(opening) = self.opening.take() {
            self.responses.ask(say_exactly(&opening), out);
        }
    }

    fn heard(&mut self, _: u32, samples: &[i16], out: &mut dyn Out) {
        self.payload.clear();
        if self.rate_hz == 8_000 {
            self.payload.resize(samples.len(), 0);
            let bytes = self.encoder.encode(samples, &mut self.payload);
            self.payload.truncate(bytes);
        } else {
            self.payload.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        }
        self.message.clear();
        self.message.push_str(r#"{"type":"input_audio_buffer.append","audio":""#);
        BASE64.encode_string(&self.payload, &mut self.message);
        self.message.push_str(r#""}"#);
        out.text(&self.message);
    }

    fn told(&mut self, news: &News<'_>, out: &mut dyn Out) {
        match news {
            News::Interrupted { played_ms, dropped_ms } => {
                self.responses.cancel(out);
                self.truncate(*played_ms, *dropped_ms, out);
            }
            News::Cleared { played_ms, dropped_ms } => {
                self.truncate(*played_ms, *dropped_ms, out);
            }
            News::Drained { .. } if self.responses.is_idle() => self.playback.forget(),
            News::Digit(digit) => {
                self.user_says(&format!("(The caller pressed the key {digit}.)"), out);
            }
            News::ReEngage { message, .. } | News::PreTransfer { message } => {
                self.responses.ask(say_exactly(message), out);
            }
            News::Transfer { failed: Some(why) } => {
                self.user_says(&format!("(The transfer failed: {why}.)"), out);
            }
            News::Refused { act, why } => {
                self.user_says(&format!("({act} is refused: {why}.)"), out);
            }
            _ => {}
        }
    }

    fn receive(
        &mut self,
        message: Frame<'_>,
        say: &mut Vec<i16>,
        acts: &mut VecDeque<Act>,
        out: &mut dyn Out,
    ) -> Result<(), Wrong> {
        let message = parse(message)?;
        match text(&message, "type") {
            Some("response.output_audio.delta" | "response.audio.delta") => {
                let before = say.len();
                self.delta(&message, say)?;
                if say.len() > before {
                    acts.push_back(Act::Say);
                }
            }
            Some("response.created") => {
                self.responses.created(text(&message["response"], "id").unwrap_or_default());
            }
            Some("response.done") => self.responses.done(text(&message["response"], "id"), out),
            // The server has heard the caller, and has cancelled what it was saying.
            Some("input_audio_buffer.speech_started") => {
                self.responses.were_cancelled();
                acts.push_back(Act::Clear);
            }
            Some("response.output_item.done") => {
                let item = &message["item"];
                if text(item, "type") == Some("function_call") {
                    self.function(item, acts, out);
                }
            }
            Some("error") => return self.error(&message["error"], acts, out),
            // There are dozens of events that tell what we know or do not need.
            Some(_) => {}
            None => return Err(wrong("no_type")),
        }
        Ok(())
    }

    fn stop(&mut self, _: Stop, _: &mut dyn Out) {}
}

/// A response in given words.
fn say_exactly(words: &str) -> Create {
    Create { instructions: Some(format!("Say exactly this to the caller: {words}")) }
}

fn tools(targets: &[Value]) -> Value {
    let reason = json!({"type": "string", "description": "Why, in a few words."});
    let mut tools = vec![json!({
        "type": "function",
        "name": END_CALL,
        "description": "Hang up, after everything was said.",
        "parameters": {"type": "object", "properties": {"reason": reason}},
    })];
    if !targets.is_empty() {
        let ids: Vec<&Value> = targets.iter().filter_map(|target| target.get("id")).collect();
        let target = json!({"type": "string", "enum": ids, "description": "Where to."});
        tools.push(json!({
            "type": "function",
            "name": TRANSFER_CALL,
            "description": "Transfer the caller to somebody else.",
            "parameters": {
                "type": "object",
                "properties": {"target": target, "reason": reason},
                "required": ["target"],
            },
        }));
    }
    tools.into()
}

/// Puts `over` into `value`, object by object.
fn merge(value: &mut Value, over: &Map<String, Value>) {
    for (name, new) in over {
        match (value.get_mut(name), new) {
            (Some(old @ Value::Object(_)), Value::Object(new)) => merge(old, new),
            _ => value[name] = new.clone(),
        }
    }
}

const END_CALL: &str = "end_call";
const TRANSFER_CALL: &str = "transfer_call";
/// Errors after which no other message of ours is of use.
const FATAL: [&str; 5] = [
    "invalid_api_key",
    "insufficient_quota",
    "session_expired",
    "model_not_found",
    "authentication_error",
];
