//! Digits both ways.

mod common;

use common::{Caller, World, ms, session};
use vox_call::{Command, DigitSource, Digits, Event, MediaSession};
use vox_codecs::CodecKind;
use vox_codecs::tones::{DtmfDetector, ToneGenerator};
use vox_codecs::{Decoder, Encoder};
use vox_rtp::RtpTime;
use vox_rtp::event::{EventReceiver, EventSender, EventTiming, TelephoneEvent};
use vox_rtp::{ClockRate, DropReason};

const PEER: &str = "192.0.2.7:4000";

fn clock(codec: CodecKind) -> ClockRate {
    ClockRate::new(codec.clock_hz()).unwrap()
}

/// The caller presses a digit by telephone-events; `copies` of each packet arrive.
fn press(world: &mut World, caller: &mut Caller, digit: char, copies: usize) {
    let call = vox_call::CallId(1);
    let mut press =
        EventSender::new(digit, RtpTime(caller.time), EventTiming::new(clock(caller.codec)))
            .unwrap();
    while !press.is_done() {
        let packet = match press.tick() {
            Some(packet) => {
                let mut payload = [0; TelephoneEvent::LEN];
                packet.event.write(&mut payload);
                let packet = caller.packet_of(101, packet.time.0, &payload);
                caller.time = caller.time.wrapping_add(caller.codec.clock_hz() / 50);
                packet
            }
            None => caller.speech(),
        };
        for _ in 0..copies {
            world.deliver(call, caller.address, &packet);
        }
        world.run(ms(20));
    }
}

#[test]
fn a_telephone_event_is_one_digit_whatever_is_repeated_and_costs_no_audio() {
    for codec in [CodecKind::Pcmu, CodecKind::G722, CodecKind::Opus] {
        for copies in [1, 2] {
            let mut world = World::new(4);
            let call = world.echo(1, session(codec, PEER));
            let mut caller = Caller::new(codec, PEER);
            caller.speak(&mut world, call, 10);
            for digit in "0159*#AD55".chars() {
                press(&mut world, &mut caller, digit, copies);
            }
            caller.speak(&mut world, call, 10);
            assert_eq!(world.digits(), "0159*#AD55", "{codec:?}");
            let quality = world.quality(call);
            assert_eq!((quality.digits, quality.lost), (10, 0), "{codec:?}");
            let by_event = |event: &&Event| {
                matches!(event, Event::Digit { source: DigitSource::TelephoneEvent, .. })
            };
            assert_eq!(world.events.iter().filter(by_event).count(), 10);
        }
    }
}

#[test]
fn a_packet_stuffed_with_events_cannot_flood() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    let mut caller = Caller::new(CodecKind::Pcmu, PEER);
    let events: Vec<u8> = (0..360u16).flat_map(|n| [(n % 16) as u8, 0x80, 0, 100]).collect();
    let packet = caller.packet_of(101, 0, &events);
    world.deliver(call, caller.address, &packet);
    assert!(world.digits().len() <= 8, "{}", world.digits());
}

#[test]
fn our_digits_are_telephone_events_in_the_stream_where_these_were_agreed() {
    for codec in [CodecKind::Pcmu, CodecKind::Opus] {
        let mut world = World::new(4);
        let call = world.echo(1, session(codec, PEER));
        world.run(ms(200));
        world.command(Command::Digits { call, digits: Digits::new("42#").unwrap() });
        world.command(Command::Digits { call, digits: Digits::new("0").unwrap() });
        world.run(ms(2_000));
        let mut receiver = EventReceiver::new(clock(codec));
        let mut heard = String::new();
        let mut markers = 0;
        for (_, rtp) in world.rtp(call).filter(|(_, rtp)| rtp.header.payload_type == 101) {
            markers += usize::from(rtp.header.marker);
            let event = TelephoneEvent::parse(rtp.payload).unwrap();
            let update = receiver.receive(rtp.header.time, event).filter(|update| update.pressed);
            heard.extend(update.and_then(|update| update.digit()));
        }
        assert_eq!((heard.as_str(), markers), ("42#0", 4), "{codec:?}");
        let headers: Vec<_> = world.rtp(call).map(|(_, rtp)| rtp.header).collect();
        assert!(headers.windows(2).all(|pair| pair[1].seq == pair[0].seq.next()));
        // Audio's clock has gone on meanwhile.
        let audio: Vec<_> = headers.iter().filter(|header| header.payload_type != 101).collect();
        let units = audio.last().unwrap().time.since(audio[0].time);
        assert_eq!(units, 109 * codec.clock_hz() as i32 / 50);
    }
}

#[test]
fn our_digits_are_tones_where_no_events_were_agreed() {
    for codec in [CodecKind::Pcmu, CodecKind::G722] {
        let mut world = World::new(4);
        let agreed = MediaSession { event_payload_type: None, ..session(codec, PEER) };
        let call = world.echo(1, agreed);
        world.command(Command::Digits { call, digits: Digits::new("147*D").unwrap() });
        world.run(ms(1_500));
        let mut detector = DtmfDetector::new(codec.rate_hz());
        let mut decoder = Decoder::new(codec);
        let mut heard = String::new();
        for (_, rtp) in world.rtp(call) {
            let mut pcm = [0; 2_000];
            let samples = decoder.decode(rtp.payload, &mut pcm).unwrap();
            heard.extend(detector.push(&pcm[..samples]));
        }
        assert_eq!(heard, "147*D", "{codec:?}");
    }
}

#[test]
fn tones_are_heard_only_where_no_events_were_agreed() {
    for (events, expected) in [(None, "8#8"), (Some(101), "")] {
        for codec in [CodecKind::Pcma, CodecKind::G722] {
            let mut world = World::new(4);
            let agreed = MediaSession { event_payload_type: events, ..session(codec, PEER) };
            let call = world.echo(1, agreed);
            let mut caller = Caller::new(codec, PEER);
            let mut encoder = Encoder::new(codec);
            for digit in "8#8".chars() {
                let mut tone = ToneGenerator::dtmf(codec.rate_hz(), digit).unwrap();
                for n in 0..10 {
                    let mut pcm = vec![0; codec.frame_samples()];
                    if n < 5 {
                        tone.fill(&mut pcm);
                    }
                    let mut payload = [0; 500];
                    let len = encoder.encode(&pcm, &mut payload);
                    let packet = caller.packet(&payload[..len]);
                    world.deliver(call, caller.address, &packet);
                    world.run(ms(20));
                }
            }
            caller.speak(&mut world, call, 20);
            assert_eq!(world.digits(), expected, "{codec:?} {events:?}");
        }
    }
}

#[test]
fn digits_that_do_not_fit_are_refused_whole_and_counted() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    let digits = Digits::new("01234567890123456789012345678901").unwrap();
    for _ in 0..3 {
        world.command(Command::Digits { call, digits });
    }
    assert_eq!(world.shard.counters().digits_refused, 1);
    assert_eq!(world.quality(call).dropped[DropReason::BadPayload as usize], 0);
}
