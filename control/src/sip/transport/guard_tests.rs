use proptest::prelude::*;

use super::*;

const GOOD: &str = "OPTIONS sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1;rport, \
                    SIP/2.0/UDP i\r\nFrom: <sip:b@h>;tag=1\r\nTo: <sip:a@h>\r\nCall-ID: c\r\n\
                    CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

fn source() -> SocketAddr {
    "192.0.2.7:5071".parse().unwrap()
}

fn judged(raw: &[u8]) -> Verdict {
    inspect(raw, Transport::Udp, source())
}

#[test]
fn a_refusal_goes_back_the_way_the_request_came_with_a_tag_that_stays() {
    let old = GOOD.replacen("SIP/2.0", "SIP/1.0", 1);
    let Verdict::Refuse(first) = judged(old.as_bytes()) else { panic!("expected an answer") };
    let Verdict::Refuse(again) = judged(old.as_bytes()) else { panic!("expected an answer") };
    assert_eq!(first, again);
    let text = String::from_utf8(first.response).unwrap();
    insta::assert_snapshot!(text.replace('\r', ""));
}

#[test]
fn an_ack_is_never_answered() {
    let ack = GOOD.replace("OPTIONS", "ACK");
    assert!(matches!(judged(ack.as_bytes()), Verdict::Pass(_)));
    for bad in [ack.replacen("SIP/2.0", "SIP/1.0", 1), ack.replace("1 ACK", "1 BYE")] {
        assert!(matches!(judged(bad.as_bytes()), Verdict::Drop(_)), "{bad}");
    }
}

#[test]
fn a_datagram_without_content_length_keeps_its_body() {
    let raw = format!("{}body", GOOD.replace("Content-Length: 0\r\n", ""));
    let Verdict::Pass(message) = judged(raw.as_bytes()) else { panic!("expected it to pass") };
    let SipMessage::Request(request) = *message else { panic!("expected a request") };
    assert_eq!(request.body, b"body");
    assert!(matches!(
        inspect(raw.as_bytes(), Transport::Tcp, source()),
        Verdict::Refuse(Refusal { status: 400, .. })
    ));
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = judged(&bytes);
    }

    #[test]
    fn a_damaged_request_never_panics(at in 0..GOOD.len(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes[at] = byte;
        if cut {
            bytes.remove((at * 7) % bytes.len());
        }
        // What passes has what the stack relies on.
        if let Verdict::Pass(message) = judged(&bytes) {
            use rsipstack::sip::HeadersExt;
            prop_assert!(message.call_id_header().is_ok() && message.cseq_header().is_ok());
        }
    }
}
