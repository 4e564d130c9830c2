//! The dialects without a socket: what is said to them, what they say.

use std::fmt::Write;

use serde_json::{Value, json};
use time::macros::datetime;

use super::{connected, exotel_start, media, pcm, start};
use crate::telephony::dialect::{Dialect, Outbox};
use crate::telephony::exotel::Exotel;
use crate::telephony::generic::Generic;
use vox_contracts::Object;

/// A dialect, and everything that passed it.
struct Transcript {
    dialect: Box<dyn Dialect>,
    out: Outbox,
    text: String,
}

impl Transcript {
    fn new(dialect: impl Dialect + 'static) -> Self {
        Self { dialect: Box::new(dialect), out: Outbox::default(), text: String::new() }
    }

    fn hear(&mut self, message: &Value) {
        self.hear_text(&message.to_string());
    }

    fn hear_text(&mut self, message: &str) {
        let mut audio = Vec::new();
        let heard = self.dialect.receive(message, &mut audio);
        let shown: String = message.chars().take(300).collect();
        writeln!(self.text, "> {shown}").unwrap();
        match heard {
            Ok(heard) if audio.is_empty() => writeln!(self.text, "  {heard:?}").unwrap(),
            Ok(heard) => writeln!(self.text, "  {heard:?}, {} bytes", audio.len()).unwrap(),
            Err(wrong) => {
                writeln!(self.text, "  {} {:?}: {}", wrong.label, wrong.close, wrong.why).unwrap();
            }
        }
    }

    fn speak(&mut self, pcm: &[u8]) {
        self.dialect.speak(pcm, datetime!(2026-01-02 03:04:05 UTC), &mut self.out);
        self.written();
    }

    fn written(&mut self) {
        while let Some(text) = self.out.pop() {
            writeln!(self.text, "< {text}").unwrap();
        }
    }
}

#[test]
fn a_generic_call_from_connected_to_the_bots_goodbye() {
    let mut call = Transcript::new(Generic::default());
    for message in [connected(), start(), json!({"event": "answer"}), media(&pcm(0, 4))] {
        call.hear(&message);
    }
    call.speak(&pcm(0, 4));
    call.speak(&pcm(4, 4));
    call.dialect.flush(&mut call.out);
    call.written();
    assert!(call.dialect.transfer("+911234", &mut call.out));
    call.written();
    assert!(call.dialect.hang_up(&mut call.out));
    call.written();
    call.hear(&json!({"event": "hangup-call", "disconnectedBy": "ai"}));
    insta::assert_snapshot!(call.text);
}

#[test]
fn an_exotel_call_from_connected_to_stop() {
    let parameters = json!({"sample-rate": "8000", "chunk-ms": "40", "lead": "7"});
    let Value::Object(parameters) = parameters else { unreachable!("an object") };
    let mut call = Transcript::new(Exotel::new(parameters).unwrap());
    call.hear(&json!({"event": "connected"}));
    call.hear(&exotel_start());
    let nested = json!({
        "event": "media", "sequence_number": "3", "stream_sid": "MZ1",
        "media": {"chunk": "1", "timestamp": "0", "payload": "AAABAAIA"},
    });
    call.hear(&nested);
    let pressed = json!({"digit": "5", "duration": "100"});
    call.hear(&json!({"event": "dtmf", "stream_sid": "MZ1", "dtmf": pressed}));
    call.hear(&json!({"event": "mark", "stream_sid": "MZ1", "mark": {"name": "m"}}));
    call.hear(&json!({"event": "clear", "stream_sid": "MZ1"}));
    for n in 0..3 {
        call.speak(&[n; 320]);
    }
    call.dialect.flush(&mut call.out);
    call.written();
    assert!(!call.dialect.transfer("+911234", &mut call.out), "Exotel has no such message");
    assert!(!call.dialect.hang_up(&mut call.out), "Exotel hangs up when the socket is closed");
    call.written();
    call.hear(&json!({
        "event": "stop", "stream_sid": "MZ1",
        "stop": {"call_sid": "CA1", "account_sid": "AC1", "reason": "callended"},
    }));
    let payloads = call.text.matches("\"payload\":\"AAAA").count();
    assert_eq!(payloads, 1, "640 bytes in one chunk: {}", call.text);
    insta::assert_snapshot!(shortened(&call.text));
}

/// Payloads cut, for the reader.
fn shortened(text: &str) -> String {
    let line = |line: &str| match line.split_once("\"payload\":\"") {
        Some((before, rest)) if line.starts_with('<') => {
            let (payload, after) = rest.split_once('"').unwrap();
            format!("{before}\"payload\":\"{} characters\"{after}\n", payload.len())
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn every_wrong_message_has_a_reason_and_most_have_a_close_code() {
    let mut generic = Transcript::new(Generic::default());
    for text in ["", "{", "[]", "5", "{}", r#"{"event":7}"#, r#"{"event":"media","payload":5}"#] {
        generic.hear_text(text);
    }
    generic.hear(&media(&[]));
    generic.hear(&start());
    generic.hear(&json!({"event": "connected", "callDirection": "sideways"}));
    generic.hear(&json!({"event": "connected", "callerId": "1"}));
    generic.hear(&json!({"event": "connected", "callerId": "1"}));
    generic.hear(&json!({"event": "start"}));
    let format = |name: &str, value: Value| json!({"event": "start", "streamId": "s", "mediaFormat": {name: value}});
    generic.hear(&format("sampleRate", json!(16_000)));
    generic.hear(&format("encoding", json!("MULAW")));
    generic.hear(&format("channels", json!(2)));
    generic.hear(&format("sampleRate", json!("8000")));
    generic.hear(&media(&[]));
    generic.hear(&json!({"event": "answer"}));
    generic.hear(&json!({"event": "answer"}));
    generic.hear(&json!({"event": "media"}));
    generic.hear(&json!({"event": "media", "payload": "AAA"}));
    generic.hear(&json!({"event": "media", "payload": "A*=="}));
    generic.hear(&json!({"event": "media", "payload": "AAAA"}));
    generic.hear(&json!({"event": "start", "streamId": "s"}));
    generic.hear(&json!({"event": "sing"}));
    let mut exotel = Transcript::new(Exotel::new(Object::new()).unwrap());
    exotel.hear(&exotel_start());
    exotel.hear(&json!({"event": "media", "media": {"payload": "AAA="}}));
    exotel.hear(&json!({"event": "connected"}));
    exotel.hear(&json!({"event": "start", "start": {"call_sid": "CA1"}}));
    for (name, value) in [("sample_rate", "16000"), ("encoding", "audio/x-mulaw")] {
        let start = json!({"stream_sid": "MZ1", "media_format": {name: value}});
        exotel.hear(&json!({"event": "start", "start": start}));
    }
    exotel.hear(&exotel_start());
    exotel.hear(&json!({"event": "dtmf", "dtmf": {"digit": "55"}}));
    exotel.hear(&json!({"event": "connected"}));
    insta::assert_snapshot!(format!("generic\n{}exotel\n{}", generic.text, exotel.text));
}

#[test]
fn parameters_of_the_address_that_cannot_be_served_are_refused() {
    let rows = [
        ("sample-rate", "8000", true),
        ("sample-rate", "16000", false),
        ("chunk-ms", "20", true),
        ("chunk-ms", "1000", true),
        ("chunk-ms", "10", false),
        ("chunk-ms", "1020", false),
        ("chunk-ms", "x", false),
        ("anything", "else", true),
    ];
    for (name, value, expected) in rows {
        let parameters = [(name.to_owned(), Value::from(value))].into_iter().collect();
        assert_eq!(Exotel::new(parameters).is_ok(), expected, "{name}={value}");
    }
}

#[test]
fn facts_are_bounded_and_a_peer_that_does_not_read_loses_the_oldest_audio() {
    let mut generic = Generic::default();
    let large = json!({"event": "connected", "crm": "x".repeat(20_000)}).to_string();
    let wrong = generic.receive(&large, &mut Vec::new()).unwrap_err();
    assert_eq!((wrong.label, wrong.close), ("too_large", Some(1009)));
    let mut out = Outbox::default();
    out.control(&json!({"event": "first"}));
    for _ in 0..60 {
        generic.speak(&[0; 320], datetime!(2026-01-02 03:04:05 UTC), &mut out);
    }
    assert_eq!(out.dropped, 10);
    let first = out.pop().unwrap();
    assert!(first.contains("first"), "control messages stay");
    assert!(out.pop().unwrap().contains("\"chunk\":11,"), "the oldest went");
    assert_eq!(std::iter::from_fn(|| out.pop()).count(), 49);
}
