use vox_call::Direction;
use vox_codecs::CodecKind;

use super::{
    LocalMedia, MediaAgreement, MediaPolicy, Prefer, SdpRefusal, accept, negotiate, offer,
};

const LOCAL: &str = "192.0.2.10:40000";

fn local() -> LocalMedia {
    LocalMedia { rtp: LOCAL.parse().unwrap(), session_id: 7, version: 1 }
}

fn policy(codecs: &[CodecKind], prefer: Prefer) -> MediaPolicy {
    MediaPolicy { codecs: codecs.to_vec(), prefer }
}

/// A description from 198.51.100.5 with these lines after `t=`.
fn sdp(lines: &str) -> String {
    let head = "v=0\r\no=- 1 1 IN IP4 198.51.100.5\r\ns=-\r\nc=IN IP4 198.51.100.5\r\nt=0 0\r\n";
    let lines: String = lines.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    format!("{head}{lines}")
}

fn agreed(lines: &str) -> MediaAgreement {
    negotiate(sdp(lines).as_bytes(), &MediaPolicy::default(), &local()).unwrap().0
}

#[test]
fn the_codec_is_the_first_common_one_in_the_order_that_counts() {
    use CodecKind::{G722, Opus, Pcma, Pcmu};
    let all = [Opus, G722, Pcmu, Pcma];
    type Found = Option<(CodecKind, u8)>;
    let rows: &[(&str, &[CodecKind], Prefer, Found)] = &[
        ("0 8", &all, Prefer::Theirs, Some((Pcmu, 0))),
        ("8 0", &all, Prefer::Theirs, Some((Pcma, 8))),
        ("8 0", &all, Prefer::Ours, Some((Pcmu, 0))),
        ("8 0 9", &all, Prefer::Ours, Some((G722, 9))),
        ("3 18 0", &all, Prefer::Theirs, Some((Pcmu, 0))),
        ("0 111", &all, Prefer::Ours, Some((Opus, 111))),
        ("111 0", &[Pcmu], Prefer::Ours, Some((Pcmu, 0))),
        // Dynamic numbers for static codecs, and names in any case.
        ("97", &all, Prefer::Theirs, Some((Pcmu, 97))),
        ("98", &all, Prefer::Theirs, Some((G722, 98))),
        // Opus only as 48000/2; what is no codec of ours does not count.
        ("112 8", &all, Prefer::Theirs, Some((Pcma, 8))),
        ("113 8", &all, Prefer::Theirs, Some((Pcma, 8))),
        ("101 13", &all, Prefer::Theirs, None),
        ("3 18", &all, Prefer::Theirs, None),
        ("0", &[Opus], Prefer::Theirs, None),
        ("96", &all, Prefer::Theirs, None),
        ("300 x", &all, Prefer::Theirs, None),
    ];
    for (formats, codecs, prefer, expected) in rows {
        let text = sdp(&format!(
            "m=audio 4000 RTP/AVP {formats}
             a=rtpmap:97 pcmu/8000/1
             a=rtpmap:98 g722/8000
             a=rtpmap:111 OPUS/48000/2
             a=rtpmap:112 opus/48000
             a=rtpmap:113 opus/16000/2
             a=rtpmap:101 telephone-event/8000"
        ));
        let result = negotiate(text.as_bytes(), &policy(codecs, *prefer), &local());
        let found = result.ok().map(|(agreement, _)| (agreement.codec, agreement.payload_type));
        assert_eq!(found, *expected, "m=audio {formats}, ours {codecs:?}, {prefer:?}");
    }
}

#[test]
fn telephone_event_has_the_clock_of_the_codec_when_there_is_one() {
    let rows = [
        ("0 101", Some(101)),
        ("0 102", Some(102)),
        ("0 102 101", Some(101)),
        ("111 101 102", Some(102)),
        ("111 101", Some(101)),
        ("0", None),
    ];
    for (formats, expected) in rows {
        let agreement = agreed(&format!(
            "m=audio 4000 RTP/AVP {formats}
             a=rtpmap:111 opus/48000/2
             a=rtpmap:101 telephone-event/8000
             a=rtpmap:102 telephone-event/48000"
        ));
        assert_eq!(agreement.event_payload_type, expected, "{formats}");
    }
}

#[test]
fn comfort_noise_goes_with_g711_only() {
    for (formats, expected) in
        [("0 13", Some(13)), ("8 13", Some(13)), ("9 13", None), ("0", None), ("0 99", Some(99))]
    {
        let agreement = agreed(&format!("m=audio 4000 RTP/AVP {formats}\na=rtpmap:99 CN/8000"));
        assert_eq!(agreement.noise_payload_type, expected, "{formats}");
    }
}

#[test]
fn media_flows_as_the_mirror_of_what_they_said() {
    let rows = [
        ("", "", Direction::SendRecv),
        ("a=sendrecv", "", Direction::SendRecv),
        ("a=sendonly", "", Direction::RecvOnly),
        ("a=recvonly", "", Direction::SendOnly),
        ("a=inactive", "", Direction::Inactive),
        ("", "a=sendonly", Direction::RecvOnly),
        ("a=sendrecv", "a=sendonly", Direction::SendRecv),
        ("c=IN IP4 0.0.0.0", "", Direction::Inactive),
        ("c=IN IP4 0.0.0.0\na=sendonly", "", Direction::Inactive),
    ];
    for (stream, session, expected) in rows {
        let agreement = agreed(&format!("{session}\nm=audio 4000 RTP/AVP 0\n{stream}"));
        assert_eq!(agreement.direction, expected, "stream {stream:?}, session {session:?}");
    }
}

#[test]
fn addresses_come_from_the_nearest_line() {
    let rows = [
        ("", "198.51.100.5:4000", Some("198.51.100.5:4001")),
        ("c=IN IP4 198.51.100.6", "198.51.100.6:4000", Some("198.51.100.6:4001")),
        ("a=rtcp:5555", "198.51.100.5:4000", Some("198.51.100.5:5555")),
        ("a=rtcp:5555 IN IP4 198.51.100.9", "198.51.100.5:4000", Some("198.51.100.9:5555")),
        ("a=rtcp:0", "198.51.100.5:4000", Some("198.51.100.5:4001")),
        ("a=rtcp-mux", "198.51.100.5:4000", Some("198.51.100.5:4000")),
        ("c=IN IP4 0.0.0.0", "0.0.0.0:4000", None),
    ];
    for (lines, rtp, rtcp) in rows {
        let agreement = agreed(&format!("m=audio 4000 RTP/AVP 0\n{lines}"));
        let found = (agreement.remote.to_string(), agreement.remote_rtcp.map(|a| a.to_string()));
        assert_eq!(found, (rtp.to_owned(), rtcp.map(str::to_owned)), "{lines}");
    }
    let last = agreed("m=audio 65535 RTP/AVP 0");
    assert_eq!(last.remote_rtcp, None, "there is no port above 65535");
}

#[test]
fn packets_are_never_longer_than_they_like() {
    let rows = [
        ("0", "", 20),
        ("0", "a=ptime:10", 20),
        ("0", "a=ptime:30", 20),
        ("0", "a=ptime:40", 40),
        ("0", "a=ptime:60", 60),
        ("0", "a=ptime:200", 60),
        ("0", "a=ptime:60\na=maxptime:40", 40),
        ("0", "a=maxptime:60", 20),
        ("0", "a=ptime:abc", 20),
        ("0", "a=ptime:20.0", 20),
        ("111", "a=rtpmap:111 opus/48000/2\na=ptime:60", 20),
    ];
    for (formats, lines, expected) in rows {
        let agreement = agreed(&format!("m=audio 4000 RTP/AVP {formats}\n{lines}"));
        assert_eq!(agreement.ptime_ms, expected, "{formats} {lines}");
    }
}

#[test]
fn refusals_say_what_is_wrong() {
    let plain = "m=audio 4000 RTP/AVP 0";
    let rows: &[(String, u16, Option<u16>)] = &[
        (String::new(), 400, None),
        ("hello".into(), 400, None),
        ("v=0\r\n".into(), 488, Some(304)),
        (sdp(plain).replace("c=IN IP4 198.51.100.5\r\n", ""), 400, None),
        (sdp("m=audio abc RTP/AVP 0"), 400, None),
        (sdp(&format!("{plain}\n").repeat(17)), 400, None),
        (sdp(""), 488, Some(304)),
        (sdp("m=video 4000 RTP/AVP 31"), 488, Some(304)),
        (sdp("m=audio 0 RTP/AVP 0"), 488, Some(304)),
        (sdp("m=audio 4000 RTP/SAVP 0"), 488, Some(302)),
        (sdp("m=audio 4000 UDP/TLS/RTP/SAVPF 0"), 488, Some(302)),
        (sdp("m=audio 4000 RTP/AVP 3"), 488, Some(305)),
        (sdp(plain).replace("c=IN IP4 198.51.100.5", "c=IN IP4 host.example"), 488, Some(301)),
        (sdp(plain).replace("c=IN IP4 198.51.100.5", "c=IN IP4 224.2.1.1/127"), 488, Some(301)),
        (sdp(plain).replace("c=IN IP4 198.51.100.5", "c=IN IP6 2001:db8::1"), 488, Some(301)),
    ];
    for (text, status, warning) in rows {
        let refusal = negotiate(text.as_bytes(), &MediaPolicy::default(), &local()).unwrap_err();
        let found = (refusal.status(), refusal.warning().map(|(code, _)| code));
        assert_eq!(found, (*status, *warning), "{text}\n{refusal}");
    }
}

#[test]
fn the_first_usable_audio_stream_is_taken_and_the_others_are_rejected() {
    let text = sdp("m=audio 4000 RTP/SAVP 0
         m=video 4002 RTP/AVP 96 97
         m=audio 4004 RTP/AVP 8 101
         a=rtpmap:101 telephone-event/8000
         m=audio 4006 RTP/AVP 0
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel");
    let (agreement, answer) =
        negotiate(text.as_bytes(), &MediaPolicy::default(), &local()).unwrap();
    assert_eq!(agreement.remote.port(), 4004);
    insta::assert_snapshot!(answer.replace('\r', ""));
}

#[test]
fn an_answer_names_one_codec_and_what_goes_with_it() {
    let text = sdp("m=audio 4000 RTP/AVPF 111 0 101 102
         a=rtpmap:111 opus/48000/2
         a=fmtp:111 minptime=10;useinbandfec=1
         a=rtpmap:101 telephone-event/8000
         a=rtpmap:102 telephone-event/48000
         a=rtcp-mux
         a=sendonly");
    let (_, answer) = negotiate(text.as_bytes(), &MediaPolicy::default(), &local()).unwrap();
    insta::assert_snapshot!(answer.replace('\r', ""));
}

#[test]
fn our_offer_lists_everything_and_its_answer_is_read_like_an_offer() {
    let ours = offer(&MediaPolicy::default(), &local());
    insta::assert_snapshot!(ours.replace('\r', ""));

    let theirs = sdp("m=audio 4000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000");
    let agreement = accept(theirs.as_bytes(), &MediaPolicy::default(), &local()).unwrap();
    assert_eq!((agreement.codec, agreement.event_payload_type), (CodecKind::Pcma, Some(101)));
    assert!(!agreement.rtcp_mux, "we offered it, they did not take it");

    for (answer, expected) in [
        (sdp("m=audio 0 RTP/AVP 0"), SdpRefusal::NoAudio),
        (
            sdp("m=audio 4000 RTP/AVP 0\nm=audio 4002 RTP/AVP 0"),
            SdpRefusal::Malformed("expected one stream, as offered".into()),
        ),
    ] {
        assert_eq!(accept(answer.as_bytes(), &MediaPolicy::default(), &local()), Err(expected));
    }
}

#[test]
fn what_we_write_another_of_us_agrees_to() {
    for codec in [CodecKind::Opus, CodecKind::G722, CodecKind::Pcmu, CodecKind::Pcma] {
        let policy = policy(&[codec], Prefer::Theirs);
        let ours = offer(&policy, &local());
        let other = LocalMedia { rtp: "192.0.2.20:50000".parse().unwrap(), ..local() };
        let (callee, answer) = negotiate(ours.as_bytes(), &policy, &other).unwrap();
        let caller = accept(answer.as_bytes(), &policy, &local()).unwrap();
        let same = |a: &MediaAgreement| {
            (a.codec, a.payload_type, a.event_payload_type, a.noise_payload_type, a.rtcp_mux)
        };
        assert_eq!(same(&callee), same(&caller));
        assert_eq!((callee.remote, caller.remote), (local().rtp, other.rtp));
    }
}

mod arbitrary {
    use proptest::prelude::*;

    use super::*;

    const WORDS: &[&str] = &[
        "v=0\r\n",
        "o=- 1 1 IN IP4 1.2.3.4\r\n",
        "s=-\r\n",
        "t=0 0\r\n",
        "c=IN IP4 1.2.3.4\r\n",
        "c=IN IP6 ::1\r\n",
        "c=IN IP4 0.0.0.0\r\n",
        "m=audio 4000 RTP/AVP 0 8 96\r\n",
        "m=audio 65535 RTP/AVP 255\r\n",
        "m=video 0 RTP/AVP 0\r\n",
        "a=rtpmap:96 opus/48000/2\r\n",
        "a=rtpmap:\r\n",
        "a=rtcp:1 IN IP4 x\r\n",
        "a=ptime:99999999999\r\n",
        "a=\r\n",
        "m=\r\n",
        "\u{0}",
        "\r\n",
        "=",
        "a=sendonly\n",
        "b=AS:64\r\n",
        "\u{fffd}",
    ];

    proptest! {
        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = negotiate(&bytes, &MediaPolicy::default(), &local());
            let _ = accept(&bytes, &MediaPolicy::default(), &local());
        }

        #[test]
        fn shuffled_lines_never_panic(words in proptest::collection::vec(0..WORDS.len(), 0..24)) {
            let text: String = words.iter().map(|&word| WORDS[word]).collect();
            if let Ok((agreement, answer)) =
                negotiate(text.as_bytes(), &MediaPolicy::default(), &local())
            {
                prop_assert!(agreement.payload_type < 128);
                let read = sdp_types::Session::parse(answer.as_bytes());
                prop_assert!(read.is_ok(), "our answer does not parse: {answer}");
            }
        }
    }
}
