//! Any bytes as an offer, and as the answer to ours.
#![no_main]

use libfuzzer_sys::fuzz_target;
use voxcore::sip::sdp::{LocalMedia, MediaPolicy, accept, negotiate};

fuzz_target!(|bytes: &[u8]| {
    let policy = MediaPolicy::default();
    let local = LocalMedia {
        rtp: "192.0.2.1:40000".parse().expect("an address"),
        session_id: 1,
        version: 1,
    };
    // Both read a description in the same way: what can be an answer can be an offer.
    let accepted = accept(bytes, &policy, &local);
    match negotiate(bytes, &policy, &local) {
        Ok((agreement, answer)) => {
            assert!(agreement.payload_type <= 127);
            assert!(agreement.remote.is_ipv4());
            let mirrored = answer.as_bytes();
            assert!(answer.starts_with("v=0\r\n") && answer.ends_with("\r\n"));
            // Another of us can read our answer, unless it has more streams than one.
            if accepted.is_ok() {
                accept(mirrored, &policy, &local).expect("our own answer");
            }
        }
        Err(refusal) => {
            assert!((400..700).contains(&refusal.status()), "{refusal:?}");
            assert!(accepted.is_err());
        }
    }
});
