//! OpenAI's Realtime API (the general-availability events; the beta's names of audio deltas are
//! understood, too). The worker is the client: the caller's audio is appended to the input buffer,
//! deltas are played, and what the caller did not hear is truncated from the conversation.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use vox_codecs::{CodecKind, Decoder, Encoder};

use super::{Act, Dialect, Frame, News, Out, StartFacts, Stop, Wrong, json as parse, text, wrong};

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
    /// Played when it was last told.
    played_ms: u64,
    responding: bool,
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
            played_ms: 0,
            responding: false,
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
    fn truncate(&mut self, played_ms: u64, out: &mut dyn Out) {
        self.played_ms = played_ms;
        let ends = self.items.iter().map(|item| item.from_ms).skip(1).collect::<Vec<_>>();
        let ends = ends.into_iter().chain([self.said_ms]);
        for (item, end_ms) in self.items.drain(..).zip(ends) {
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
        // What follows is played from here on.
        self.said_ms = played_ms as f64;
    }

    fn delta(&mut self, message: &Value, say: &mut Vec<i16>) -> Result<(), Wrong> {
        let delta = text(message, "delta").ok_or(wrong("no_delta"))?;
        self.payload.clear();
        STANDARD.decode_vec(delta, &mut self.payload).map_err(|_| wrong("bad_base64"))?;
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
    fn function(item: &Value, acts: &mut Vec<Act>, out: &mut dyn Out) -> Result<(), Wrong> {
        let arguments = text(item, "arguments").unwrap_or("{}");
        let arguments: Value =
            serde_json::from_str(arguments).map_err(|_| wrong("bad_arguments"))?;
        let reason = text(&arguments, "reason").map(str::to_owned);
        let output = match text(item, "name") {
            Some(END_CALL) => {
                acts.push(Act::HangUp { after_playback: true, reason });
                json!({"ok": true})
            }
            Some(TRANSFER_CALL) => {
                let target = text(&arguments, "target").map(str::to_owned);
                acts.push(Act::Transfer { target, reason });
                json!({"ok": true, "status": "transferring"})
            }
            _ => json!({"ok": false, "error": "this function is not known here"}),
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
        Ok(())
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
            let instructions = format!("Say exactly this to the caller: {opening}");
            let create =
                json!({"type": "response.create", "response": {"instructions": instructions}});
            out.text(&create.to_string());
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
        STANDARD.encode_string(&self.payload, &mut self.message);
        self.message.push_str(r#""}"#);
        out.text(&self.message);
    }

    fn told(&mut self, news: &News<'_>, out: &mut dyn Out) {
        match news {
            News::Interrupted { played_ms, .. } => {
                if std::mem::take(&mut self.responding) {
                    out.text(r#"{"type":"response.cancel"}"#);
                }
                self.truncate(*played_ms, out);
            }
            News::Cleared { played_ms, .. } => self.truncate(*played_ms, out),
            News::Drained { .. } if !self.responding => self.items.clear(),
            News::Digit(digit) => user_says(&format!("(The caller pressed the key {digit}.)"), out),
            News::ReEngage { message, .. } | News::PreTransfer { message } => {
                let instructions = format!("Say exactly this to the caller: {message}");
                let create =
                    json!({"type": "response.create", "response": {"instructions": instructions}});
                out.text(&create.to_string());
            }
            News::Transfer { failed: Some(why) } => {
                user_says(&format!("(The transfer failed: {why}.)"), out);
            }
            News::Refused { act, why } => user_says(&format!("({act} is refused: {why}.)"), out),
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
                self.delta(&message, say)?;
                acts.push(Act::Say);
            }
            Some("response.created") => self.responding = true,
            Some("response.done") => self.responding = false,
            // The server has heard the caller, and has cancelled what it was saying.
            Some("input_audio_buffer.speech_started") => {
                self.responding = false;
                acts.push(Act::Clear);
            }
            Some("response.output_item.done") => {
                let item = &message["item"];
                if text(item, "type") == Some("function_call") {
                    Self::function(item, acts, out)?;
                }
            }
            Some("error") => {
                let error = &message["error"];
                let code = text(error, "code").or(text(error, "type")).unwrap_or_default();
                if FATAL.contains(&code) {
                    acts.push(Act::Fail(format!("the model's server says {code}")));
                    return Ok(());
                }
                return Err(wrong("peer_error"));
            }
            // There are dozens of events that tell what we know or do not need.
            Some(_) => {}
            None => return Err(wrong("no_type")),
        }
        Ok(())
    }

    fn stop(&mut self, _: Stop, _: &mut dyn Out) {}
}

/// A text of the user's turn, and a response to it.
fn user_says(words: &str, out: &mut dyn Out) {
    let item = json!({
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": words}],
        },
    });
    out.text(&item.to_string());
    out.text(r#"{"type":"response.create"}"#);
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
/// Of one answer there is one item; a model that makes more is not followed further back.
const ITEMS_MAX: usize = 64;
