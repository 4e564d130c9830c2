//! Any bytes as what a brain's WebSocket sends. The first byte says in what pieces it comes: the
//! same messages, and the same fault, must come of it however it is cut; what is kept is bounded;
//! and what could be read is read again from what we write of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use voxcore::agents::websocket::{
    Decoder, Fault, HEADER_BYTES_MAX, Kind, MESSAGE_BYTES_MAX, Message, write,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let (whole, fault) = decoded(bytes, bytes.len().max(1));
    assert_eq!(decoded(bytes, usize::from(step).max(1)), (whole.clone(), fault));
    for (kind, payload) in whole {
        assert!(payload.len() <= MESSAGE_BYTES_MAX);
        let mut out = vec![];
        write(&mut out, kind, payload.len(), [0; 4], |room| room.copy_from_slice(&payload));
        assert!(out.len() <= HEADER_BYTES_MAX + payload.len());
        // As a server would send it: without the mask, which is all zeros here.
        let masked = out.len() - payload.len() - 4;
        out.drain(masked..masked + 4);
        out[1] &= 0x7f;
        assert_eq!(decoded(&out, out.len()), (vec![(kind, payload)], None));
    }
});

fn decoded(bytes: &[u8], step: usize) -> (Vec<(Kind, Vec<u8>)>, Option<Fault>) {
    let (mut decoder, mut there, mut said) = (Decoder::default(), vec![], vec![]);
    for piece in bytes.chunks(step) {
        there.extend_from_slice(piece);
        let mut rest = &there[..];
        loop {
            match decoder.next(&mut rest) {
                Ok(Some(message)) => said.push(owned(message)),
                Ok(None) => break,
                Err(fault) => return (said, Some(fault)),
            }
        }
        there = rest.to_vec();
    }
    (said, None)
}

fn owned(message: Message<'_>) -> (Kind, Vec<u8>) {
    match message {
        Message::Text(text) => (Kind::Text, text.into()),
        Message::Binary(bytes) => (Kind::Binary, bytes.into()),
        Message::Ping(bytes) => (Kind::Ping, bytes.into()),
        Message::Pong => (Kind::Pong, vec![]),
        Message::Close(None) => (Kind::Close, vec![]),
        Message::Close(Some((code, reason))) => {
            (Kind::Close, [&code.to_be_bytes(), reason.as_bytes()].concat())
        }
    }
}
