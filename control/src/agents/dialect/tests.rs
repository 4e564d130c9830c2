//! Transcripts of scripted calls, and what is made of messages that cannot be used.

use std::collections::VecDeque;

use serde_json::{Value, json};
use vox_contracts::{AgentProtocol, Object};

use super::openai::OpenAi;
use super::twilio::Twilio;
use super::vox::Vox;
use super::{Act, Dialect, Frame, News, Out, StartFacts, Stop, Wrong, subprotocol};

/// A dialect, and all that crossed: `>` to the brain, `<` from it, `=` what it means.
struct Talk<D> {
    dialect: D,
    said: Vec<i16>,
    script: Script,
}

#[derive(Default)]
struct Script(String);

impl Script {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }
}

impl Out for Script {
    fn text(&mut self, text: &str) {
        serde_json::from_str::<Value>(text).expect("what we write is JSON");
        self.line(&format!("> {text}"));
    }

    fn samples(&mut self, header: &[u8], samples: &[i16]) {
        let body: Vec<_> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let head: Vec<_> = body.iter().take(4).collect();
        self.line(&format!("> {header:?} {head:?}… {} bytes", body.len()));
    }
}

impl<D: Dialect> Talk<D> {
    /// A call up to its answer and the caller's first two frames.
    fn new(dialect: D) -> Self {
        let mut talk = Self { dialect, said: vec![], script: Script::default() };
        let facts = facts();
        talk.dialect.connected(&facts, &mut talk.script);
        talk.script.line("= the call is answered");
        talk.dialect.start(&StartFacts { codec: "PCMU", ..facts }, &mut talk.script);
        talk.heard(0);
        talk.heard(1);
        talk
    }

    fn heard(&mut self, frame: u32) {
        let samples = vec![1_000; self.dialect.rate_hz() as usize / 50];
        self.dialect.heard(frame, &samples, &mut self.script);
    }

    fn told(&mut self, news: &[News<'_>]) {
        for news in news {
            self.script.line(&format!("= {news:?}"));
            self.dialect.told(news, &mut self.script);
        }
    }

    fn receive(&mut self, frame: Frame<'_>) -> (Vec<Act>, Result<(), Wrong>) {
        let mut acts = VecDeque::new();
        self.said.clear();
        let script = &mut self.script;
        let received = self.dialect.receive(frame, &mut self.said, &mut acts, script);
        (acts.into(), received)
    }

    fn says(&mut self, message: &Value) {
        let text = message.to_string();
        self.script.line(&format!("< {text}"));
        let (acts, received) = self.receive(Frame::Text(&text));
        let samples = self.said.len();
        for act in acts {
            match act {
                Act::Say => self.script.line(&format!("= Say {samples} samples")),
                act => self.script.line(&format!("= {act:?}")),
            }
        }
        if let Err(wrong) = received {
            self.script.line(&format!("= {wrong:?}"));
        }
    }

    fn end(mut self) -> String {
        self.dialect.stop(Stop::CallEnded, &mut self.script);
        self.script.0
    }
}

fn facts() -> StartFacts {
    let object = |value: Value| value.as_object().cloned().expect("an object");
    StartFacts {
        session_id: "session-1".into(),
        stream_id: "stream-1".into(),
        call_id: 7,
        caller: "+911111111111".into(),
        dialed: "+912222222222".into(),
        direction: "inbound",
        bot_id: "reception".into(),
        connected_event: object(json!({"crm": {"tier": "gold"}})),
        custom_parameters: object(json!({"name": "Jane \"J\" Doe", "tries": 3})),
        system_prompt: Some("You are kind.".into()),
        opening_message: Some("Good morning.".into()),
        transfer_targets: vec![json!({"id": "sales", "label": "Sales"})],
        min_words_interruption: 3,
        codec: "",
        reconnects: 0,
    }
}

/// What is known of the call, as it comes.
const NEWS: [News<'_>; 16] = [
    News::Digit('5'),
    News::SpeechStarted { at_ms: 400, playing: true },
    News::Paused { played_ms: 300 },
    News::Resumed,
    News::SpeechStopped { at_ms: 500 },
    News::Interrupted { played_ms: 620, dropped_ms: 380 },
    News::Mark { name: "said", played: false },
    News::Cleared { played_ms: 640, dropped_ms: 0 },
    News::Drained { played_ms: 640 },
    News::Mark { name: "more", played: true },
    News::Warning { seconds_left: 30 },
    News::ReEngage { attempt: 1, message: "Are you there?" },
    News::PreTransfer { message: "One moment." },
    News::Transfer { failed: Some("busy") },
    News::Transfer { failed: None },
    News::Refused { act: "digits", why: "not a digit" },
];

#[test]
fn a_twilio_app_sees_what_twilio_would_send() {
    let mut talk = Talk::new(Twilio::default());
    let sid = talk.dialect.stream_sid().to_owned();
    talk.says(&json!({"event": "media", "streamSid": sid, "media": {"payload": "/////w=="}}));
    talk.says(&json!({"event": "mark", "streamSid": sid, "mark": {"name": "said"}}));
    talk.told(&NEWS);
    talk.says(&json!({"event": "clear", "streamSid": sid}));
    insta::assert_snapshot!(talk.end());
}

#[test]
fn a_vox_brain_sees_all_of_the_call_and_can_ask_for_everything() {
    let mut talk = Talk::new(Vox::new(16_000));
    talk.told(&NEWS);
    for wish in [
        json!({"type": "mark", "name": "said"}),
        json!({"type": "clear"}),
        json!({"type": "digits", "digits": "12#"}),
        json!({"type": "play", "file": "music.wav"}),
        json!({"type": "note", "facts": {"mood": "good"}}),
        json!({"type": "transfer", "target": "sales", "reason": "asked", "mode": "attended"}),
        json!({"type": "transfer"}),
        json!({"type": "hang_up"}),
        json!({"type": "hang_up", "after_playback": true, "reason": "done"}),
    ] {
        talk.says(&wish);
    }
    let audio = [&[1, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0][..], &[1, 0, 255, 255]].concat();
    assert_eq!(talk.receive(Frame::Binary(&audio)), (vec![Act::Say], Ok(())));
    assert_eq!(talk.said, [1, -1]);
    insta::assert_snapshot!(talk.end());
}

/// Half a second of silence of an item.
fn delta(kind: &str, item: &str, response: &str) -> Value {
    let audio = "/".repeat(5_332) + "/w==";
    json!({"type": kind, "response_id": response, "item_id": item, "content_index": 0, "delta": audio})
}

#[test]
fn an_openai_session_is_set_up_answered_truncated_and_ended() {
    let mut talk = Talk::new(OpenAi::new(8_000, Object::new()));
    talk.says(&json!({"type": "session.created"}));
    talk.says(&json!({"type": "response.created", "response": {"id": "resp_1"}}));
    let mut say = |kind, item, response| {
        let (acts, received) = talk.receive(Frame::Text(&delta(kind, item, response).to_string()));
        (acts.len(), received.is_ok(), talk.said.len())
    };
    assert_eq!(say("response.output_audio.delta", "item_1", "resp_1"), (1, true, 4_000));
    assert_eq!(say("response.audio.delta", "item_2", "resp_1"), (1, true, 4_000));
    talk.told(&NEWS[..9]);
    // What the server had under way when it was cancelled is not heard.
    let late = delta("response.output_audio.delta", "item_2", "resp_1").to_string();
    assert_eq!(talk.receive(Frame::Text(&late)), (vec![], Ok(())));
    talk.says(&json!({"type": "response.done"}));
    talk.told(&NEWS[9..]);
    let call = |name: &str, arguments: &str| {
        json!({"type": "response.output_item.done", "item": {"type": "function_call", "name": name,
            "call_id": "call_1", "arguments": arguments}})
    };
    talk.says(&json!({"type": "response.created", "response": {"id": "resp_2"}}));
    talk.says(&call("transfer_call", r#"{"target":"sales","reason":"asked"}"#));
    talk.says(&call("dance", "{}"));
    talk.says(&call("end_call", "{"));
    talk.says(&json!({"type": "response.done"}));
    talk.says(&call("end_call", r#"{"reason":"goodbye"}"#));
    talk.says(&json!({"type": "error", "error": {"type": "invalid_request_error", "code": "odd", "message": "Odd."}}));
    talk.says(&json!({"type": "error", "error": {"type": "invalid_request_error", "code": "session_expired"}}));
    insta::assert_snapshot!(talk.end());
}

#[test]
fn the_servers_own_ear_truncates_what_was_said_before_and_not_after() {
    let mut talk = Talk::new(OpenAi::new(8_000, Object::new()));
    talk.script.0.clear();
    let say = |talk: &mut Talk<OpenAi>, item, response| {
        talk.receive(Frame::Text(&delta("response.output_audio.delta", item, response).to_string()))
    };
    talk.says(&json!({"type": "response.created", "response": {"id": "resp_1"}}));
    say(&mut talk, "item_1", "resp_1").1.unwrap();
    talk.says(&json!({"type": "input_audio_buffer.speech_started"}));
    // A new answer is here before the queue is cleared.
    talk.says(&json!({"type": "response.created", "response": {"id": "resp_2"}}));
    say(&mut talk, "item_2", "resp_2").1.unwrap();
    talk.told(&[
        News::Cleared { played_ms: 200, dropped_ms: 300 },
        News::Interrupted { played_ms: 450, dropped_ms: 250 },
    ]);
    let ends: Vec<_> = talk.script.0.lines().filter(|line| line.contains("truncate")).collect();
    let truncate = |item: &str, ms: u32| {
        format!(
            "> {{\"type\":\"conversation.item.truncate\",\"item_id\":\"{item}\",\"content_index\":0,\"audio_end_ms\":{ms}}}"
        )
    };
    assert_eq!(ends, [truncate("item_1", 200), truncate("item_2", 250)]);
}

/// What the worker sent of these kinds.
fn sent<D>(talk: &Talk<D>, kinds: &[&str]) -> Vec<Value> {
    let lines = talk.script.0.lines().filter_map(|line| line.strip_prefix("> "));
    let messages = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    messages.filter(|message| kinds.iter().any(|kind| message["type"] == *kind)).collect()
}

#[test]
fn two_responses_in_flight_are_cancelled_both_and_each_item_truncated_where_it_was_heard() {
    let mut talk = Talk::new(OpenAi::new(8_000, Object::new()));
    let created = |id: &str| json!({"type": "response.created", "response": {"id": id}});
    let done = |id: &str| json!({"type": "response.done", "response": {"id": id}});
    talk.says(&created("resp_a"));
    talk.says(&created("resp_b"));
    let mut say = |item, response| {
        let delta = delta("response.output_audio.delta", item, response);
        talk.receive(Frame::Text(&delta.to_string())).0
    };
    // Half a second each, and the items take turns.
    for (item, response) in [("a", "resp_a"), ("b", "resp_b"), ("a", "resp_a"), ("b", "resp_b")] {
        assert_eq!(say(item, response), [Act::Say]);
    }
    // The end of one is not the end of the other.
    talk.says(&done("resp_a"));
    talk.told(&[News::Drained { played_ms: 0 }]);
    talk.says(&created("resp_c"));
    talk.script.0.clear();
    talk.told(&[News::Interrupted { played_ms: 1_300, dropped_ms: 700 }]);
    let truncate = |item: &str, ms: u32| json!({"type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": ms});
    let cancel = |id: &str| json!({"type": "response.cancel", "response_id": id});
    assert_eq!(
        sent(&talk, &["response.cancel", "conversation.item.truncate"]),
        [cancel("resp_b"), cancel("resp_c"), truncate("a", 800), truncate("b", 500)]
    );
    let mut late = |response| {
        let delta = delta("response.output_audio.delta", "late", response).to_string();
        talk.receive(Frame::Text(&delta)).0
    };
    assert_eq!((late("resp_b"), late("resp_c")), (vec![], vec![]));
    assert_eq!(late("resp_d"), [Act::Say], "but of others is");
}

#[test]
fn one_response_is_asked_for_at_a_time_and_again_when_the_server_was_faster() {
    let mut talk = Talk::new(OpenAi::new(8_000, Object::new()));
    let asked = |talk: &Talk<OpenAi>| {
        let create = sent(talk, &["response.create"]).pop().expect("a response is asked for");
        let words = create["response"]["instructions"].as_str().unwrap_or("its own").to_owned();
        (words.rsplit(": ").next().unwrap_or_default().to_owned(), create["event_id"].clone())
    };
    let count = |talk: &Talk<OpenAi>| sent(talk, &["response.create"]).len();
    let created = |id: &str| json!({"type": "response.created", "response": {"id": id}});
    let done = |id: &str| json!({"type": "response.done", "response": {"id": id}});
    let error = |code: &str, event: &Value| json!({"type": "error", "error": {"type": "invalid_request_error", "code": code, "event_id": event}});
    // The opening message is asked for; keys are one question, whenever they were pressed.
    talk.told(&[News::Digit('1'), News::Digit('2')]);
    let re_engage = News::ReEngage { attempt: 1, message: "There?" };
    talk.told(std::slice::from_ref(&re_engage));
    assert_eq!((asked(&talk).0.as_str(), count(&talk)), ("Good morning.", 1));
    talk.says(&created("resp_1"));
    talk.says(&done("resp_1"));
    assert_eq!((asked(&talk).0.as_str(), count(&talk)), ("its own", 2));
    // The server answers the caller, whom it hears itself, before it sees that.
    talk.says(&created("resp_own"));
    talk.says(&error("conversation_already_has_active_response", &asked(&talk).1));
    assert_eq!(count(&talk), 2, "not before the server's is done");
    talk.says(&done("resp_own"));
    assert_eq!((asked(&talk).0.as_str(), count(&talk)), ("its own", 3), "in its old place");
    // One that it cannot make is over.
    talk.says(&error("odd", &"another message's".into()));
    assert_eq!(count(&talk), 3);
    talk.says(&error("odd", &asked(&talk).1));
    assert_eq!((asked(&talk).0.as_str(), count(&talk)), ("There?", 4));
    talk.says(&created("resp_2"));
    // After a barge-in nothing waits for what was cancelled.
    talk.told(&[News::Interrupted { played_ms: 0, dropped_ms: 0 }, News::Digit('3')]);
    assert_eq!((asked(&talk).0.as_str(), count(&talk)), ("its own", 5));
    talk.says(&done("resp_2"));
    assert_eq!(count(&talk), 5);
}

#[test]
fn the_bots_session_settings_win_over_ours() {
    let settings =
        json!({"audio": {"output": {"voice": "marin"}, "input": {"turn_detection": null}}});
    let settings = settings.as_object().cloned().expect("an object");
    let mut script = Script::default();
    OpenAi::new(24_000, settings).connected(&facts(), &mut script);
    let update: Value = serde_json::from_str(script.0.trim_start_matches("> ")).expect("JSON");
    let format = json!({"type": "audio/pcm", "rate": 24_000});
    assert_eq!(
        update["session"]["audio"],
        json!({
            "input": {"format": format, "turn_detection": null},
            "output": {"format": format, "voice": "marin"},
        })
    );
    assert_eq!(subprotocol(AgentProtocol::Vox), Some("vox.v1"));
}

#[test]
fn what_cannot_be_used_is_counted_and_says_when_it_ends_the_socket() {
    let mut twilio = Talk::new(Twilio::default());
    let media = |payload: Value| {
        json!({"event": "media", "streamSid": sid_of_facts(), "media": {"payload": payload}})
            .to_string()
    };
    let texts = |dialect: &mut dyn FnMut(&str) -> Result<(), Wrong>,
                 rows: &[(String, &'static str)]| {
        for (text, reason) in rows {
            assert_eq!(dialect(text), Err(Wrong { reason, close: None }), "{text}");
        }
    };
    texts(
        &mut |text| twilio.receive(Frame::Text(text)).1,
        &[
            ("{".into(), "bad_json"),
            ("[]".into(), "bad_json"),
            ("{}".into(), "no_event"),
            (r#"{"event":7}"#.into(), "no_event"),
            (r#"{"event":"dance"}"#.into(), "unknown_type"),
            (r#"{"event":"clear"}"#.into(), "wrong_stream"),
            (r#"{"event":"clear","streamSid":"MZ0"}"#.into(), "wrong_stream"),
            (media(Value::Null), "no_payload"),
            (media(json!(7)), "no_payload"),
            (media(json!("not base64!")), "bad_base64"),
            (
                json!({"event": "mark", "streamSid": sid_of_facts(), "mark": {"name": 7}})
                    .to_string(),
                "bad_mark",
            ),
        ],
    );
    assert_eq!(twilio.receive(Frame::Text(&media(json!("//8")))), (vec![Act::Say], Ok(())));
    assert_eq!(twilio.said.len(), 2, "padding may be missing");

    let mut openai = Talk::new(OpenAi::new(24_000, Object::new()));
    let odd = json!({"type": "response.output_audio.delta", "delta": "AAAA"}).to_string();
    let bad = json!({"type": "response.output_audio.delta", "delta": "!"}).to_string();
    texts(
        &mut |text| openai.receive(Frame::Text(text)).1,
        &[
            ("nonsense".into(), "bad_json"),
            ("{}".into(), "no_type"),
            (r#"{"type":"response.output_audio.delta"}"#.into(), "no_delta"),
            (bad, "bad_base64"),
            (odd, "half_a_sample"),
            (r#"{"type":"error"}"#.into(), "peer_error"),
        ],
    );

    let mut vox = Talk::new(Vox::new(8_000));
    texts(
        &mut |text| vox.receive(Frame::Text(text)).1,
        &[
            ("{".into(), "bad_json"),
            ("{}".into(), "no_type"),
            (r#"{"type":"dance"}"#.into(), "unknown_type"),
            (r#"{"type":"mark","name":7}"#.into(), "missing_field"),
            (r#"{"type":"digits"}"#.into(), "missing_field"),
            (r#"{"type":"play"}"#.into(), "missing_field"),
        ],
    );
    for (bytes, reason, close) in [
        (&[1, 0][..], "too_short", None),
        (&[2, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0], "wrong_version", Some(1_002)),
        (&[1, 9, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0], "unknown_type", None),
        (&[1, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0], "wrong_rate", Some(1_003)),
        (&[1, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 5], "half_a_sample", None),
    ] {
        let wrong = Err(Wrong { reason, close });
        assert_eq!(vox.receive(Frame::Binary(bytes)), (vec![], wrong), "{bytes:?}");
        assert!(vox.said.is_empty(), "nothing of it is played");
    }
    let binary = Wrong { reason: "unexpected_binary", close: Some(1_003) };
    assert_eq!(twilio.receive(Frame::Binary(&[0])).1, Err(binary));
    assert_eq!(openai.receive(Frame::Binary(&[0])).1, Err(binary));
}

fn sid_of_facts() -> String {
    let mut twilio = Twilio::default();
    twilio.connected(&facts(), &mut Script::default());
    twilio.stream_sid().to_owned()
}
