//! What a media leg asks of any codec.

mod support;

use proptest::prelude::*;
use vox_codecs::codec::{BadPayload, PAYLOAD_BYTES_MAX, PCM_SAMPLES_MAX};
use vox_codecs::{CodecKind, Decoder, Encoder};

const KINDS: [CodecKind; 5] =
    [CodecKind::Pcmu, CodecKind::Pcma, CodecKind::G722, CodecKind::Opus, CodecKind::L16];

fn encode(kind: CodecKind, pcm: &[i16], frame_samples: usize) -> Vec<Vec<u8>> {
    encode_with(&mut Encoder::new(kind), pcm, frame_samples)
}

fn encode_with(encoder: &mut Encoder, pcm: &[i16], frame_samples: usize) -> Vec<Vec<u8>> {
    let packet = |pcm: &[i16]| {
        let mut payload = vec![0; PAYLOAD_BYTES_MAX];
        let written = encoder.encode(pcm, &mut payload);
        payload.truncate(written);
        payload
    };
    pcm.chunks_exact(frame_samples).map(packet).collect()
}

fn decode(decoder: &mut Decoder, payload: &[u8]) -> Vec<i16> {
    let mut pcm = vec![0; PCM_SAMPLES_MAX];
    let written = decoder.decode(payload, &mut pcm).unwrap();
    pcm.truncate(written);
    pcm
}

fn loudest(pcm: &[i16]) -> u16 {
    pcm.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
}

#[test]
fn speech_survives_every_codec_in_packets_of_any_length_it_allows() {
    for (kind, frames_samples, snr_min_db) in [
        (CodecKind::Pcmu, &[40, 37, 80, 160, 240, 480][..], 33.0),
        (CodecKind::Pcma, &[40, 37, 80, 160, 240, 480], 33.0),
        (CodecKind::G722, &[80, 74, 160, 320, 480, 960], 25.0),
        (CodecKind::Opus, &[320, 640, 960], 5.0),
        (CodecKind::L16, &[40, 37, 80, 160, 240, 480], 90.0),
    ] {
        for frame_samples in frames_samples {
            let voice = support::voice(kind.rate_hz(), 2.0);
            let (mut decoder, mut heard) = (Decoder::new(kind), Vec::new());
            for payload in encode(kind, &voice, *frame_samples) {
                assert_eq!(decoder.samples_in(&payload), Ok(*frame_samples));
                heard.extend(decode(&mut decoder, &payload));
            }
            let said = &voice[..heard.len() - 400];
            let (_, snr_db) = support::best_alignment(said, &heard, 400);
            assert!(snr_db > snr_min_db, "{kind:?} of {frame_samples}: {snr_db:.1} dB");
        }
    }
}

#[test]
fn payloads_that_hold_nothing_or_more_than_120_ms_are_refused() {
    for (kind, payload) in [
        (CodecKind::Pcmu, vec![]),
        (CodecKind::Pcmu, vec![0; 961]),
        (CodecKind::Pcma, vec![]),
        (CodecKind::Pcma, vec![0; 961]),
        (CodecKind::G722, vec![]),
        (CodecKind::G722, vec![0; 961]),
        (CodecKind::L16, vec![]),
        (CodecKind::L16, vec![0; 3]),
        (CodecKind::L16, vec![0; 1_922]),
        (CodecKind::Opus, vec![]),
        // RFC 6716 §3.2.5: code 3 without a frame count, with none, with 3 × 60 ms.
        (CodecKind::Opus, vec![0x1B]),
        (CodecKind::Opus, vec![0x1B, 0]),
        (CodecKind::Opus, vec![0x1B, 3, 0, 0, 0]),
    ] {
        let mut decoder = Decoder::new(kind);
        assert_eq!(decoder.samples_in(&payload), Err(BadPayload), "{kind:?} {payload:?}");
        let decoded = decoder.decode(&payload, &mut [0; PCM_SAMPLES_MAX]);
        assert_eq!(decoded, Err(BadPayload), "{kind:?} {payload:?}");
    }
}

#[test]
fn a_packet_of_120_ms_is_taken_and_an_output_too_short_for_it_is_refused() {
    for kind in KINDS {
        // Opus: code 3, six empty frames of 20 ms.
        let payload = match kind {
            CodecKind::Opus => vec![0x4B, 6],
            CodecKind::L16 => vec![0x55; 1_920],
            _ => vec![0x55; 960],
        };
        let mut decoder = Decoder::new(kind);
        let samples = decoder.samples_in(&payload).unwrap();
        assert_eq!(samples, kind.rate_hz() as usize * 120 / 1_000, "{kind:?}");
        let mut pcm = [0; PCM_SAMPLES_MAX];
        assert_eq!(decoder.decode(&payload, &mut pcm[..samples - 1]), Err(BadPayload));
        assert_eq!(decoder.decode(&payload, &mut pcm), Ok(samples));
    }
}

#[test]
fn a_lost_frame_is_answered_with_sound_and_the_next_one_fades_in() {
    for kind in KINDS {
        let frame = kind.frame_samples();
        let packets = encode(kind, &support::voice(kind.rate_hz(), 1.0), frame);
        let (mut decoder, mut lossless) = (Decoder::new(kind), Decoder::new(kind));
        for packet in &packets[..8] {
            assert_eq!(decode(&mut decoder, packet), decode(&mut lossless, packet));
        }
        let mut concealed = vec![0; frame];
        decoder.conceal(&mut concealed);
        assert!(loudest(&concealed) > loudest(&decode(&mut lossless, &packets[8])) / 4, "{kind:?}");
        let (after, plain) =
            (decode(&mut decoder, &packets[9]), decode(&mut lossless, &packets[9]));
        assert_ne!(after[..frame / 4], plain[..frame / 4], "{kind:?}");
        let step = concealed[frame - 1].abs_diff(after[0]);
        assert!(step < loudest(&plain) / 2, "{kind:?}: a step of {step}");
        if matches!(kind, CodecKind::Pcmu | CodecKind::Pcma | CodecKind::L16) {
            assert_eq!(after[frame / 2..], plain[frame / 2..], "{kind:?}");
        }
    }
}

#[test]
fn only_opus_has_forward_error_correction() {
    for kind in KINDS {
        let voice = support::voice(kind.rate_hz(), 1.0);
        let mut encoder = Encoder::new(kind);
        encoder.set_expected_loss(10);
        let packets = encode_with(&mut encoder, &voice, kind.frame_samples());
        let mut decoder = Decoder::new(kind);
        let with_fec = packets.iter().filter(|packet| decoder.has_fec(packet)).count();
        let mut lost = vec![0; kind.frame_samples()];
        let recovered = decoder.decode_fec(&packets[9], &mut lost);
        if kind == CodecKind::Opus {
            assert!(with_fec > packets.len() / 2, "{with_fec} of {}", packets.len());
            assert_eq!(recovered, Ok(()));
        } else {
            assert_eq!(with_fec, 0);
            assert_eq!(recovered, Err(BadPayload));
        }
    }
}

#[test]
fn an_encoder_without_room_writes_what_fits_and_never_beyond() {
    for kind in KINDS {
        let pcm = support::voice(kind.rate_hz(), 0.02);
        for room in [0, 1, 2, 7, 50] {
            let mut payload = vec![0; room];
            assert!(Encoder::new(kind).encode(&pcm, &mut payload) <= room, "{kind:?}");
        }
        assert_eq!(Encoder::new(kind).encode(&[], &mut [0; 50]), 0, "{kind:?}");
    }
}

#[test]
fn a_call_holds_pointers_not_codec_state() {
    assert!(size_of::<Encoder>() <= 24, "{}", size_of::<Encoder>());
    assert!(size_of::<Decoder>() <= 32, "{}", size_of::<Decoder>());
}

/// What a jitter buffer may ask of a decoder, in any order.
#[derive(Debug, Clone)]
enum Request {
    Decode(Vec<u8>),
    Recover(Vec<u8>, usize),
    Conceal(usize),
}

fn request() -> impl Strategy<Value = Request> {
    let payload = || {
        let arbitrary = prop::collection::vec(any::<u8>(), 0..200);
        // Opus' code 3 with plausible counts, since arbitrary bytes rarely have them.
        let frames = (any::<u8>(), 0..8u8, prop::collection::vec(any::<u8>(), 0..120));
        let frames = frames.prop_map(|(toc, count, body)| [&[toc | 3, count][..], &body].concat());
        prop_oneof![2 => arbitrary, 1 => frames, 1 => prop::collection::vec(any::<u8>(), 900..1_300)]
    };
    prop_oneof![
        4 => payload().prop_map(Request::Decode),
        1 => (payload(), 0..2_000usize).prop_map(|(next, samples)| Request::Recover(next, samples)),
        2 => (0..700usize).prop_map(Request::Conceal),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_sequence_of_arbitrary_payloads_and_losses_breaks_a_decoder(
        requests in prop::collection::vec(request(), 1..12)
    ) {
        for kind in KINDS {
            let mut decoder = Decoder::new(kind);
            for request in &requests {
                let mut pcm = [0; PCM_SAMPLES_MAX + 100];
                match request {
                    Request::Decode(payload) => {
                        decoder.has_fec(payload);
                        let promised = decoder.samples_in(payload);
                        let decoded = decoder.decode(payload, &mut pcm);
                        if let Ok(samples) = decoded {
                            prop_assert_eq!(promised, Ok(samples));
                            prop_assert!((1..=PCM_SAMPLES_MAX).contains(&samples));
                            prop_assert_eq!(pcm[samples..].iter().find(|sample| **sample != 0), None);
                        }
                    }
                    Request::Recover(next, samples) => {
                        let _ = decoder.decode_fec(next, &mut pcm[..*samples]);
                    }
                    Request::Conceal(samples) => decoder.conceal(&mut pcm[..*samples]),
                }
            }
        }
    }

    #[test]
    fn any_sound_can_be_encoded_and_decoded(
        pcm in prop::collection::vec(any::<i16>(), 960..=960)
    ) {
        for kind in KINDS {
            for payload in encode(kind, &pcm, kind.frame_samples()) {
                prop_assert!(!payload.is_empty());
                let decoded = decode(&mut Decoder::new(kind), &payload);
                prop_assert_eq!(decoded.len(), kind.frame_samples());
            }
        }
    }
}
