use proptest::prelude::*;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::{CloseFrame, Role, WebSocketContext};
use tungstenite::{Bytes, Message as Other};

use super::*;

/// A message with its bytes.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<(u16, String)>),
}

impl From<Message<'_>> for Said {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.into()),
            Message::Binary(bytes) => Self::Binary(bytes.into()),
            Message::Ping(bytes) => Self::Ping(bytes.into()),
            Message::Pong => Self::Pong,
            Message::Close(said) => Self::Close(said.map(|(code, why)| (code, why.into()))),
        }
    }
}

/// What comes out when `bytes` come in pieces of `step`.
fn decoded(bytes: &[u8], step: usize) -> Result<Vec<Said>, Fault> {
    let (mut decoder, mut there, mut said) = (Decoder::default(), vec![], vec![]);
    for piece in bytes.chunks(step.max(1)) {
        there.extend_from_slice(piece);
        let mut rest = &there[..];
        while let Some(message) = decoder.next(&mut rest)? {
            said.push(message.into());
        }
        there = rest.to_vec();
    }
    assert!(there.len() <= HEADER_BYTES_MAX + MESSAGE_BYTES_MAX, "bounded");
    Ok(said)
}

/// `bytes` come out as `expected`, however they are cut.
fn check(what: &str, bytes: &[u8], expected: Result<Vec<Said>, Fault>) {
    for step in [1, 2, 3, 7, 100, bytes.len()] {
        assert_eq!(decoded(bytes, step), expected, "{what}, in pieces of {step}");
    }
}

#[test]
fn what_the_standard_has_as_examples_is_read() {
    // RFC 6455 §5.7, the unmasked ones.
    let hello = Said::Text("Hello".into());
    check("a text", b"\x81\x05Hello", Ok(vec![hello.clone()]));
    check("one in fragments", b"\x01\x03Hel\x80\x02lo", Ok(vec![hello.clone()]));
    let with_ping = b"\x01\x03Hel\x89\x05Hello\x80\x02lo";
    check("a ping between", with_ping, Ok(vec![Said::Ping(b"Hello".into()), hello.clone()]));
    check("a pong, a text", b"\x8a\x00\x81\x05Hello", Ok(vec![Said::Pong, hello]));
    for length in [0, 125, 126, 256, 65_535, 65_536] {
        let bytes = vec![7; length];
        let frame = [header(0x82, length), bytes.clone()].concat();
        check("bytes", &frame, Ok(vec![Said::Binary(bytes)]));
    }
    let close = |said: Option<(u16, &str)>| {
        Ok(vec![Said::Close(said.map(|(code, why)| (code, why.to_owned())))])
    };
    check("no code", b"\x88\x00", close(None));
    check("a code", b"\x88\x02\x03\xe8", close(Some((1_000, ""))));
    check("and why", b"\x88\x05\x03\xe9bye", close(Some((1_001, "bye"))));
}

#[test]
fn what_breaks_the_protocol_is_a_fault_with_its_code() {
    let too_large = [header(0x82, MESSAGE_BYTES_MAX + 1), vec![0; 20]].concat();
    let half = [header(0x02, MESSAGE_BYTES_MAX), vec![0; MESSAGE_BYTES_MAX]].concat();
    let too_large_in_parts = [&half[..], b"\x80\x01x"].concat();
    let rows: [(&str, &[u8], Fault); 17] = [
        ("a reserved bit", b"\xc1\x00", BAD_FRAME),
        ("a mask", b"\x81\x81aaaab", BAD_FRAME),
        ("an opcode for data that is not known", b"\x83\x00", BAD_FRAME),
        ("one for control that is not known", b"\x8b\x00", BAD_FRAME),
        ("a ping in fragments", b"\x09\x00", BAD_FRAME),
        ("a ping of 126 bytes", b"\x89\x7e\x00\x7e", BAD_FRAME),
        ("a fragment of nothing", b"\x80\x00", BAD_FRAME),
        ("a text between fragments", b"\x01\x00\x81\x00", BAD_FRAME),
        ("half a code", b"\x88\x01\x03", BAD_FRAME),
        ("a text that is none", b"\x81\x02\xc3\x28", BAD_UTF8),
        ("one in fragments", b"\x01\x01\xc3\x80\x01\x28", BAD_UTF8),
        ("a text cut within a character", b"\x81\x01\xc3", BAD_UTF8),
        ("a reason that is no text", b"\x88\x03\x03\xe8\xff", BAD_UTF8),
        ("a megabyte and one", &too_large, TOO_LARGE),
        ("in fragments", &too_large_in_parts, TOO_LARGE),
        ("2^63 bytes", b"\x82\x7f\x80\0\0\0\0\0\0\0", TOO_LARGE),
        ("2^64 - 1 bytes", b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", TOO_LARGE),
    ];
    for (what, bytes, fault) in rows {
        let steps: &[usize] = if bytes.len() > 1_000 { &[1 << 14] } else { &[1, 3, 100] };
        for &step in steps {
            assert_eq!(decoded(bytes, step), Err(fault), "{what}, in pieces of {step}");
        }
    }
}

/// Of a server, with the shortest length.
fn header(first: u8, length: usize) -> Vec<u8> {
    match length {
        0..=125 => vec![first, length as u8],
        126..=0xffff => [&[first, 126], &(length as u16).to_be_bytes()[..]].concat(),
        _ => [&[first, 127], &(length as u64).to_be_bytes()[..]].concat(),
    }
}

fn message() -> impl Strategy<Value = Said> {
    prop_oneof![
        ".{0,200}".prop_map(Said::Text),
        prop::collection::vec(any::<u8>(), 0..1_000).prop_map(Said::Binary),
        prop::collection::vec(any::<u8>(), 65_530..65_540).prop_map(Said::Binary),
        prop::collection::vec(any::<u8>(), 0..=125).prop_map(Said::Ping),
        Just(Said::Pong),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn another_implementation_understands_what_is_written(
        messages in prop::collection::vec(message(), 1..6),
        key: [u8; 4],
    ) {
        let mut out = vec![];
        for said in &messages {
            let (kind, bytes): (_, &[u8]) = match said {
                Said::Text(text) => (Kind::Text, text.as_bytes()),
                Said::Binary(bytes) => (Kind::Binary, bytes),
                Said::Ping(bytes) => (Kind::Ping, bytes),
                Said::Pong => (Kind::Pong, &[]),
                Said::Close(_) => unreachable!("not among them"),
            };
            write(&mut out, kind, bytes.len(), key, |room| room.copy_from_slice(bytes));
        }
        write(&mut out, Kind::Close, 6, key, |room| room.copy_from_slice(b"\x03\xe8done"));
        let mut wire = std::io::Cursor::new(out);
        let mut server = WebSocketContext::new(Role::Server, None);
        for said in messages {
            let expected = match said {
                Said::Text(text) => Other::text(text),
                Said::Binary(bytes) => Other::binary(bytes),
                Said::Ping(bytes) => Other::Ping(bytes.into()),
                Said::Pong | Said::Close(_) => Other::Pong(Bytes::new()),
            };
            // Its pongs go nowhere.
            prop_assert_eq!(server.read(&mut Half(&mut wire)).expect("a message"), expected);
        }
        let close = CloseFrame { code: 1_000.into(), reason: "done".into() };
        prop_assert_eq!(server.read(&mut Half(&mut wire)).expect("goodbye"), Other::Close(Some(close)));
    }

    #[test]
    fn what_another_implementation_writes_is_understood(
        messages in prop::collection::vec(message(), 1..6),
        step in 1usize..5_000,
    ) {
        let mut wire = std::io::Cursor::new(vec![]);
        let mut server = WebSocketContext::new(Role::Server, None);
        for said in &messages {
            let other = match said.clone() {
                Said::Text(text) => Other::text(text),
                Said::Binary(bytes) => Other::binary(bytes),
                Said::Ping(bytes) => Other::Ping(bytes.into()),
                Said::Pong | Said::Close(_) => Other::Pong(Bytes::new()),
            };
            server.write(&mut wire, other).expect("room");
        }
        server.flush(&mut wire).expect("room");
        prop_assert_eq!(decoded(&wire.into_inner(), step), Ok(messages));
    }

    #[test]
    fn no_bytes_at_all_make_it_panic_or_keep_more_than_a_message(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        step in 1usize..40,
    ) {
        // However they are cut, the same comes out.
        prop_assert_eq!(decoded(&bytes, step), decoded(&bytes, bytes.len()));
    }

    #[test]
    fn two_implementations_make_the_same_of_any_frames(
        frames in prop::collection::vec(frame(), 1..8),
        step in 1usize..40,
    ) {
        let bytes = frames.concat();
        let (theirs, ours) = (another(&bytes), as_another(&bytes, step));
        prop_assert_eq!(theirs, ours, "{:02x?}", bytes);
    }
}

/// Frames of a server: mostly such as follow each other well, fragments with control frames between
/// them among them; some that break the protocol. Text is ASCII: the other implementation finds
/// what is no text as soon as it comes, we when the message is complete.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        4 => prop::sample::select(vec![0x01, 0x02, 0x80, 0x00, 0x81, 0x82, 0x89, 0x8a]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        Just(vec![]),
        prop::collection::vec(0x20u8..0x7f, 2),
        prop::collection::vec(0x20u8..0x7f, 0..130),
    ];
    (first, payload, prop::bool::weighted(0.02)).prop_map(|(first, mut payload, masked)| {
        if first & 0x0f == CLOSE && payload.len() >= 2 {
            payload[..2].copy_from_slice(&1_000u16.to_be_bytes());
        }
        let mut frame = header(first, payload.len());
        if masked {
            frame[1] |= MASKED;
            frame.extend([0; 4]);
        }
        frame.extend(payload);
        frame
    })
}

/// What the other implementation makes of it as a client: up to a goodbye, and whether it ends with
/// a fault.
fn another(bytes: &[u8]) -> (Vec<Said>, bool) {
    let mut wire = std::io::Cursor::new(bytes.to_vec());
    let mut client = WebSocketContext::new(Role::Client, None);
    let mut said = vec![];
    loop {
        match client.read(&mut Half(&mut wire)) {
            Ok(Other::Text(text)) => said.push(Said::Text(text.to_string())),
            Ok(Other::Binary(bytes)) => said.push(Said::Binary(bytes.into())),
            Ok(Other::Ping(bytes)) => said.push(Said::Ping(bytes.into())),
            Ok(Other::Pong(_)) => said.push(Said::Pong),
            Ok(Other::Close(close)) => {
                let close = close.map(|it| (it.code.into(), it.reason.to_string()));
                said.push(Said::Close(close));
                return (said, false);
            }
            Ok(Other::Frame(_)) => unreachable!("is not read"),
            // The wire's end.
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                return (said, false);
            }
            Err(_) => return (said, true),
        }
    }
}

/// What we make of it, cut into pieces of `step`, up to a goodbye.
fn as_another(bytes: &[u8], step: usize) -> (Vec<Said>, bool) {
    let (mut decoder, mut there, mut said) = (Decoder::default(), vec![], vec![]);
    for piece in bytes.chunks(step) {
        there.extend_from_slice(piece);
        let mut rest = &there[..];
        loop {
            match decoder.next(&mut rest) {
                Ok(Some(message)) => said.push(Said::from(message)),
                Ok(None) => break,
                Err(_) => return (said, true),
            }
            if matches!(said.last(), Some(Said::Close(_))) {
                return (said, false);
            }
        }
        there = rest.to_vec();
    }
    (said, false)
}

/// Reads from a cursor; what is written is forgotten.
struct Half<'a>(&'a mut std::io::Cursor<Vec<u8>>);

impl std::io::Read for Half<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

impl std::io::Write for Half<'_> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
