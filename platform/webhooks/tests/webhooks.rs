//! Real webhooks are believed and understood, anything else is refused for a reason.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vox_webhooks::{BODY_BYTES_MAX, Event, Receiver, Refusal, TOKEN_BYTES_MAX};

const KEY: &str = "devkey";
const SECRET: &str = "secret-of-32-or-more-characters-xxxx";
const NOW: u64 = 1_800_000_000;
const BODY: &str = r#"{"event":"participant_joined", "id":"EV_1"}"#;

/// A request as a real server sent it.
struct Capture {
    name: String,
    token: String,
    body: String,
    received_at: u64,
}

impl Capture {
    fn read(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let text = std::fs::read_to_string(directory.join(name)).expect("a fixture");
        let capture: Value = serde_json::from_str(&text).expect("JSON");
        let headers = capture["headers"].as_array().expect("headers");
        let token = headers.iter().find(|header| header[0] == "Authorization").expect("a token");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let received_at = capture["received_at"].as_f64().expect("a time") as u64;
        Self {
            name: name.into(),
            token: text(&token[1]),
            body: text(&capture["body"]),
            received_at,
        }
    }

    fn all() -> Vec<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let files = std::fs::read_dir(directory).expect("fixtures");
        let names =
            files.map(|file| file.expect("a file").file_name().into_string().expect("text"));
        let mut names: Vec<_> = names.collect();
        names.sort();
        names.iter().map(|name| Self::read(name)).collect()
    }

    fn receive(&self) -> Result<Event, Refusal> {
        receiver().receive(Some(&self.token), self.body.as_bytes(), self.received_at)
    }
}

fn receiver() -> Receiver {
    Receiver::new([("another", "another-secret"), (KEY, SECRET)])
}

fn claims(body: &str) -> Value {
    let hash = BASE64_STANDARD.encode(Sha256::digest(body));
    json!({"iss": KEY, "nbf": NOW, "exp": NOW + 300, "sha256": hash})
}

fn sign(claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).expect("a token")
}

fn receive(token: &str, body: &str) -> Result<Event, Refusal> {
    receiver().receive(Some(token), body.as_bytes(), NOW)
}

#[test]
fn every_captured_webhook_is_believed_once_and_with_its_own_body_only() {
    let captures = Capture::all();
    assert_eq!(captures.len(), 24);
    let mut receiver = receiver();
    for capture in captures {
        let (name, now) = (&capture.name, capture.received_at);
        let mut receive = |body: &[u8]| receiver.receive(Some(&capture.token), body, now);
        let event = receive(capture.body.as_bytes()).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(name.contains(&event.event) && event.id.starts_with("EV_"), "{name}: {event:?}");
        assert!(event.room.is_some_and(|room| room.sid.starts_with("RM_")), "{name}");

        let again = receive(capture.body.as_bytes());
        assert_eq!(again, Err(Refusal::Replayed(event.id)), "{name}");
        // Parsed and written again it says the same, in other bytes.
        let parsed: Value = serde_json::from_str(&capture.body).expect("JSON");
        assert_eq!(receive(parsed.to_string().as_bytes()), Err(Refusal::OtherBody), "{name}");
    }
}

#[test]
fn a_body_changed_in_any_one_byte_is_refused() {
    let capture = Capture::read("02_participant_joined_sip.json");
    let mut receiver = receiver();
    for at in 0..capture.body.len() {
        let mut body = capture.body.clone().into_bytes();
        body[at] ^= 1;
        let outcome = receiver.receive(Some(&capture.token), &body, capture.received_at);
        assert_eq!(outcome, Err(Refusal::OtherBody), "byte {at}");
    }
}

#[test]
fn a_caller_who_waits_is_told_from_a_callee_who_is_dialled_and_from_everything_else() {
    let inbound = Capture::read("02_participant_joined_sip.json").receive().expect("a webhook");
    let call = inbound.inbound_call().expect("an inbound call");
    assert_eq!((call.caller, call.dialed), ("+15105550111", "+15105550100"));
    assert_eq!((call.room, call.identity), ("call_+15105550111_PmHD7mywTLUD", "sip_+15105550111"));
    assert_eq!((call.trunk_id, call.rule_id), ("ST_UXzDJsyiZVi5", "SDR_mAVbjiiGkGHs"));
    assert_eq!(call.call_id, "SCL_48JqKNrPQt8X");

    let outbound = Capture::read("out_participant_joined_sip.json").receive().expect("a webhook");
    assert!(outbound.participant.as_ref().is_some_and(|callee| callee.is_sip()));
    for capture in Capture::all() {
        let event = capture.receive().expect("a webhook");
        let is_it = capture.name == "02_participant_joined_sip.json";
        assert_eq!(event.inbound_call().is_some(), is_it, "{}", capture.name);
    }
}

#[test]
fn names_and_fields_of_a_newer_server_are_passed_over() {
    let check = |body: Value| {
        let body = body.to_string();
        receive(&sign(&claims(&body), SECRET), &body).expect("believed")
    };
    let new = json!({
        "event": "participant_teleported", "id": "EV_2", "createdAt": 12, "newField": [1, {"a": null}],
        "room": {"name": "call-1", "enabledCodecs": "none"},
        "participant": {"kind": "HOLOGRAM", "state": 17, "attributes": {"a": "b", "c": 3}},
        "track": {"type": "SMELL"},
    });
    let event = check(new);
    assert_eq!((event.event.as_str(), event.created_at), ("participant_teleported", Some(12)));
    let participant = event.participant.expect("one");
    assert_eq!((participant.kind.as_str(), participant.state.as_str()), ("HOLOGRAM", "17"));
    assert_eq!(participant.attributes.into_iter().collect::<Vec<_>>(), [("a".into(), "b".into())]);

    let bare = check(json!({"event": "room_started", "room": 3, "participant": null}));
    assert_eq!((bare.id.as_str(), bare.room, bare.participant), ("", None, None));
}

#[test]
fn what_is_not_a_webhook_of_ours_is_refused_for_the_reason() {
    let good = claims(BODY);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        sign(&claims, SECRET)
    };
    let token = sign(&good, SECRET);
    let (head, signature) = token.rsplit_once('.').expect("three parts");
    let none = head.replacen("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJub25lIn0", 1);
    assert_ne!(none, head);
    let jwt = "a bare JWT, found something else";
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    let other_hash = BASE64_STANDARD.encode(Sha256::digest("other"));
    let rows: Vec<(String, Refusal)> = vec![
        (String::new(), Refusal::NoToken("a bare JWT, found nothing")),
        (format!("Bearer {token}"), Refusal::NoToken(jwt)),
        ("a.b.c".into(), Refusal::NoToken(jwt)),
        (head.into(), Refusal::NoToken(jwt)),
        (long, Refusal::NoToken("a JWT of up to 4096 bytes, found more")),
        (format!("{none}.{signature}"), Refusal::NoToken(jwt)),
        (with("iss", json!("stranger")), Refusal::UnknownKey("stranger".into())),
        (with("iss", json!(7)), Refusal::UnknownKey(String::new())),
        (with("iss", json!("another")), Refusal::Forged("another".into())),
        (sign(&good, "another-secret"), Refusal::Forged(KEY.into())),
        (with("exp", json!(NOW - 31)), Refusal::Expired(31)),
        (with("nbf", json!(NOW + 31)), Refusal::NotYetValid(31)),
        (with("exp", Value::Null), Refusal::NoToken("the claim \"exp\", found none")),
        (with("sha256", Value::Null), Refusal::NoToken("the claim \"sha256\", found none")),
        (
            with("sha256", json!("?")),
            Refusal::NoToken("the claim \"sha256\" in base64, found something else"),
        ),
        (with("sha256", json!("")), Refusal::OtherBody),
        (with("sha256", json!(other_hash)), Refusal::OtherBody),
    ];
    for (token, expected) in rows {
        let refusal = receive(&token, BODY).expect_err("refused");
        assert_eq!(refusal, expected);
        assert_eq!(refusal.status(), 401);
        assert!(token.len() < 20 || !refusal.to_string().contains(&token[..20]), "{refusal}");
    }
    let mut keyless = Receiver::new([("", ""); 0]);
    let outcome = keyless.receive(Some(&token), BODY.as_bytes(), NOW);
    assert_eq!(outcome, Err(Refusal::UnknownKey(KEY.into())));
    assert_eq!(
        receiver().receive(None, b"", NOW),
        Err(Refusal::NoToken("a bare JWT, found nothing"))
    );
}

#[test]
fn clocks_may_differ_by_half_a_minute() {
    for now in [NOW - 30, NOW, NOW + 330] {
        let token = sign(&claims(BODY), SECRET);
        assert!(receiver().receive(Some(&token), BODY.as_bytes(), now).is_ok(), "at {now}");
    }
}

#[test]
fn signed_bodies_that_cannot_be_read_are_refused_and_large_ones_not_even_hashed() {
    let deep = "[".repeat(10_000);
    for body in
        ["", "null", "[]", "{", "{}", r#"{"event":""}"#, r#"{"event":[]}"#, "\u{feff}{}", &deep]
    {
        let refusal = receive(&sign(&claims(body), SECRET), body).expect_err("refused");
        assert!(matches!(refusal, Refusal::Unreadable(_)) && refusal.status() == 400, "{refusal}");
    }
    let large = " ".repeat(BODY_BYTES_MAX + 1);
    let refusal = receive("", &large).expect_err("refused");
    assert_eq!((refusal.status(), refusal), (413, Refusal::TooLarge(BODY_BYTES_MAX + 1)));
}

#[test]
fn an_event_that_could_not_be_acted_on_is_believed_at_the_next_attempt() {
    let mut receiver = receiver();
    let token = |now: u64| {
        let mut claims = claims(BODY);
        claims["exp"] = json!(now + 300);
        sign(&claims, SECRET)
    };
    let body = BODY.as_bytes();
    let event = receiver.receive(Some(&token(NOW)), body, NOW).expect("believed");
    receiver.forget(&event, body);
    assert_eq!(receiver.receive(Some(&token(NOW + 1)), body, NOW + 1), Ok(event));
    let again = receiver.receive(Some(&token(NOW + 2)), body, NOW + 2).expect_err("refused");
    assert_eq!(again.status(), 200);
}

#[test]
fn secrets_do_not_show_in_debug() {
    let shown = format!("{:?}", receiver());
    assert!(shown.contains(KEY) && !shown.contains(SECRET), "{shown}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(token in "\\PC{0,400}", body: Vec<u8>, now: u64) {
        prop_assert!(receiver().receive(Some(&token), &body, now).is_err());
    }

    #[test]
    fn no_signed_json_makes_it_panic(fields in json_fields(), exp: u64, nbf: u64, now: u64) {
        let body = fields.to_string();
        let mut claims = claims(&body);
        claims["exp"] = json!(exp);
        claims["nbf"] = json!(nbf);
        if let Ok(event) = receiver().receive(Some(&sign(&claims, SECRET)), body.as_bytes(), now) {
            let _ = event.inbound_call();
        }
    }
}

/// Objects with the names that are looked for, and any values below them.
fn json_fields() -> impl Strategy<Value = Value> {
    let names = [
        "event",
        "id",
        "createdAt",
        "room",
        "participant",
        "kind",
        "attributes",
        "name",
        "sip.ruleID",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("participant_joined")),
        Just(json!("SIP")),
    ];
    let name = prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}
