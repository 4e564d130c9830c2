//! Any bytes as the body of a webhook that LiveKit signed, and as a token.
#![no_main]

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{EncodingKey, Header};
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use sha2::{Digest, Sha256};
use vox_webhooks::{Receiver, Refusal};

const NOW: u64 = 1_800_000_000;

fuzz_target!(|bytes: &[u8]| {
    let mut receiver = Receiver::with_capacity([("key", "secret")], 4);
    let token = String::from_utf8_lossy(bytes);
    assert!(receiver.receive(Some(&token), bytes, NOW).is_err());

    let hash = BASE64_STANDARD.encode(Sha256::digest(bytes));
    let claims = json!({"iss": "key", "exp": NOW + 300, "sha256": hash});
    let signed =
        jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(b"secret"));
    let signed = signed.expect("a token");
    match receiver.receive(Some(&signed), bytes, NOW) {
        Ok(event) => {
            if let Some(call) = event.inbound_call() {
                assert!(!call.room.is_empty() && !call.rule_id.is_empty());
            }
            // Believed once, until it is taken back.
            let again = receiver.receive(Some(&signed), bytes, NOW);
            assert!(matches!(again, Err(Refusal::Replayed(_))));
            receiver.forget(&event, bytes);
            assert_eq!(receiver.receive(Some(&signed), bytes, NOW), Ok(event));
        }
        Err(refusal) => assert_eq!(refusal.status(), 400, "{refusal}"),
    }
});
