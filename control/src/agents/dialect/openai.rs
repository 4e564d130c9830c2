//! OpenAI's Realtime API (the general-availability events; the beta's names of audio deltas are
//! understood, too). The worker is the client: the caller's audio is appended to the input buffer,
//! deltas are played, and what the caller did not hear is truncated from the conversation.

use std::collections::VecDeque;

use base64::Engine as _;
use serde_json::{Map, Value, json};
use vox_codecs::{CodecKind, Decoder, Encoder};

use super::{
    Act, BASE64, Dialect, Frame, News, Out, StartFacts, Stop, Wrong, json as parse, text, wrong,
};

/// One session.
#[derive(Debug)]
pub(super) struct OpenAi {
    rate_hz: u32,
    /// From the bot's config; wins over what is set here.
    session: Map<String, Value>,
    encoder: Encoder,
    decoder: Decoder,
    /// Items whose audio was said and may not be heard yet, oldest first.
    items: VecDeque<Item>,
    /// Milliseconds of audio said on this connection.
    said_ms: f64,
    /// The response that is being made.
    response: Option<String>,
    /// The response that we cancelled: what still comes of it is not played.
    cancelled: Option<String>,
    /// To be asked for once the present response is done: there is one at a time.
    next: Option<String>,
    /// Items, and milliseconds said, when the queue was last cleared.
    cleared: (usize, f64),
    opening: Option<String>,
    /// Reused for every message.
    message: String,
    payload: Vec<u8>,
}

/// A piece of the assistant's audio.
#[derive(Debug)]
struct Item {
    id: String,
    content_index: u64,
    /// Where it begins, on this connection's playback.
    from_ms: f64,
}

impl OpenAi {
    pub(super) fn new(rate_hz: u32, session: Map<String, Value>) -> Self {
        Self {
            rate_hz,
            session,
            encoder: Encoder::new(CodecKind::Pcmu),
            decoder: Decoder::new(CodecKind::Pcmu),
            items: VecDeque::new(),
            said_ms: 0.0,
            response: None,
            cancelled: None,
            next: None,
            cleared: (0, 0.0),
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
    /// The first `count` items are meant, which end at `said_ms`; the rest is played from here on.
    fn truncate(&mut self, count: usize, said_ms: f64, played_ms: u64, out: &mut dyn Out) {
        let count = count.min(self.items.len());
        let mut ends = self.items.iter().map(|item| item.from_ms).skip(1).collect::<Vec<_>>();
        ends.truncate(count.saturating_sub(1));
        ends.push(said_ms);
        for (item, end_ms) in self.items.drain(..count).zip(ends) {
            if end_ms <= played_ms as f64 {
                continue;
            }
            let heard_ms = (played_ms as f64 - item.from_ms).max(0.0) as u64;
            let truncate = json!({
                "type": "conversation.item.truncate",
                "item_id": item.id,
                "content_index": item.content_index,
                "audio_end_ms": heard_ms,
            });
            out.text(&truncate.to_string());
        }
        let dropped_ms = said_ms - played_ms as f64;
        self.items.iter_mut().for_each(|item| item.from_ms -= dropped_ms);
        self.said_ms -= dropped_ms;
    }

    /// Asks for a response: now, or when the present one is done.
    fn respond(&mut self, create: String, out: &mut dyn Out) {
        match self.response {
            Some(_) => self.next = Some(create),
            None => out.text(&create),
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
        self.respond(CREATE.to_owned(), out);
    }

    fn delta(&mut self, message: &Value, say: &mut Vec<i16>) -> Result<(), Wrong> {
        let delta = text(message, "delta").ok_or(wrong("no_delta"))?;
        if self.cancelled.is_some() && self.cancelled.as_deref() == text(message, "response_id") {
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
        let id = text(message, "item_id").unwrap_or_default();
        if self.items.back().is_none_or(|item| item.id != id) {
            let content_index = message["content_index"].as_u64().unwrap_or(0);
            let item = Item { id: id.to_owned(), content_index, from_ms: self.said_ms };
            self.items.push_back(item);
            if self.items.len() > ITEMS_MAX {
                self.items.pop_front();
            }
        }
        self.said_ms += (say.len() - from) as f64 * 1_000.0 / f64::from(self.rate_hz);
        Ok(())
    }

    /// A function that the model calls.
    fn function(&mut self, item: &Value, acts: &mut Vec<Act>, out: &mut dyn Out) {
        let arguments: Result<Value, _> =
            serde_json::from_str(text(item, "arguments").unwrap_or("{}"));
        let argument = |name| Some(text(arguments.as_ref().ok()?, name)?.to_owned());
        let reason = argument("reason");
        let (output, goes_on) = match (text(item, "name"), &arguments) {
            (_, Err(_)) => (json!({"ok": false, "error": "the arguments are not JSON"}), true),
            (Some(END_CALL), _) => {
                acts.push(Act::HangUp { after_playback: true, reason });
                (json!({"ok": true}), false)
            }
            (Some(TRANSFER_CALL), _) => {
                acts.push(Act::Transfer { target: argument("target"), reason, mode: None });
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
            self.respond(CREATE.to_owned(), out);
        }
    }

    /// The server says that something is wrong. Most of it is not the end of the session.
    fn error(error: &Value, acts: &mut Vec<Act>) -> Result<(), Wrong> {
        let code = text(error, "code").or(text(error, "type")).unwrap_or_default();
        let names = [Some(code), text(error, "type")];
        if names.into_iter().flatten().any(|name| FATAL.contains(&name)) {
            acts.push(Act::Fail(format!("the model's server says {code}")));
            return Ok(());
        }
        // It was done when we cancelled it.
        if code == "response_cancel_not_active" {
            return Ok(());
        }
        let mut note = Map::new();
        note.insert("error".into(), code.into());
        note.insert("message".into(), text(error, "message").unwrap_or_default().into());
        acts.push(Act::Note(note));
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
            self.respond(say_exactly(&opening), out);
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
            News::Interrupted { played_ms, .. } => {
                if let Some(response) = self.response.take() {
                    out.text(r#"{"type":"response.cancel"}"#);
                    self.cancelled = Some(response);
                }
                self.truncate(self.items.len(), self.said_ms, *played_ms, out);
                // A clear that is under way finds nothing of these.
                self.cleared = (0, *played_ms as f64);
            }
            News::Cleared { played_ms, .. } => {
                let (count, said_ms) = std::mem::take(&mut self.cleared);
                if count > 0 {
                    self.truncate(count, said_ms, *played_ms, out);
                }
            }
            News::Drained { .. } if self.response.is_none() => self.items.clear(),
            News::Digit(digit) => {
                self.user_says(&format!("(The caller pressed the key {digit}.)"), out);
            }
            News::ReEngage { message, .. } | News::PreTransfer { message } => {
                self.respond(say_exactly(message), out);
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
        acts: &mut Vec<Act>,
        out: &mut dyn Out,
    ) -> Result<(), Wrong> {
        let message = parse(message)?;
        match text(&message, "type") {
            Some("response.output_audio.delta" | "response.audio.delta") => {
                let before = say.len();
                self.delta(&message, say)?;
                if say.len() > before {
                    acts.push(Act::Say);
                }
            }
            Some("response.created") => {
                let id = text(&message["response"], "id").unwrap_or_default();
                self.response = Some(id.to_owned());
            }
            Some("response.done") => {
                self.response = None;
                if let Some(create) = self.next.take() {
                    out.text(&create);
                }
            }
            // The server has heard the caller, and has cancelled what it was saying.
            Some("input_audio_buffer.speech_started") => {
                self.cancelled = self.response.take();
                self.cleared = (self.items.len(), self.said_ms);
                acts.push(Act::Clear);
            }
            Some("response.output_item.done") => {
                let item = &message["item"];
                if text(item, "type") == Some("function_call") {
                    self.function(item, acts, out);
                }
            }
            Some("error") => return Self::error(&message["error"], acts),
            // There are dozens of events that tell what we know or do not need.
            Some(_) => {}
            None => return Err(wrong("no_type")),
        }
        Ok(())
    }

    fn stop(&mut self, _: Stop, _: &mut dyn Out) {}
}

/// A response in given words.
fn say_exactly(words: &str) -> String {
    let instructions = format!("Say exactly this to the caller: {words}");
    json!({"type": "response.create", "response": {"instructions": instructions}}).to_string()
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

/// Asks for a response to what was said so far.
const CREATE: &str = r#"{"type":"response.create"}"#;
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
/// Of one answer there is one item; a model that makes more is not followed further back.
const ITEMS_MAX: usize = 64;
