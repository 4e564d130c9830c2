//! Digits sent by [`EventSender`], mistreated, and received by [`EventReceiver`].

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;
use vox_rtp::event::{EventPacket, EventReceiver, EventSender, EventTiming, PressUpdate};
use vox_rtp::{ClockRate, RtpTime};

const DIGITS: &str = "0123456789*#ABCD";
/// Packets that may overtake one. When all but one packet of each press are lost, this is as many
/// presses: fewer than the eight that a receiver remembers.
const REORDERING: usize = 6;

/// The packets of each press; presses follow each other without further pause.
fn send(presses: &[(usize, u32)], base: EventTiming, start: RtpTime) -> Vec<Vec<EventPacket>> {
    let mut now = start;
    let mut sent = Vec::new();
    for (digit, tone_ms) in presses {
        let digit = DIGITS.chars().nth(*digit).expect("below 16");
        let timing = EventTiming { tone_ms: *tone_ms, ..base };
        let mut sender = EventSender::new(digit, now, timing).expect("a digit");
        let mut packets = Vec::new();
        while !sender.is_done() {
            packets.extend(sender.tick());
            now = now.plus(base.clock.units_in_ms(base.tick_ms) as i32);
        }
        sent.push(packets);
    }
    sent
}

fn receive(packets: impl IntoIterator<Item = EventPacket>, clock: ClockRate) -> Vec<PressUpdate> {
    let mut receiver = EventReceiver::new(clock);
    packets.into_iter().filter_map(|packet| receiver.receive(packet.time, packet.event)).collect()
}

/// Checks that each press counts once and lasts as long as its packets say.
fn check(sent: &[Vec<EventPacket>], updates: &[PressUpdate]) -> Result<(), TestCaseError> {
    let pressed = updates.iter().filter(|update| update.pressed);
    let mut pressed: Vec<_> = pressed.map(|update| (update.start, update.code)).collect();
    let origin = sent[0][0].time;
    pressed.sort_by_key(|(start, _)| start.since(origin));
    let expected: Vec<_> = sent.iter().map(|p| (p[0].time, p[0].event.code)).collect();
    prop_assert_eq!(pressed, expected);
    for packets in sent {
        let releases =
            updates.iter().filter(|update| update.released && update.start == packets[0].time);
        prop_assert!(releases.clone().count() <= 1);
        let last = packets.last().expect("at least one");
        let duration = last.time.since(packets[0].time) as u32 + u32::from(last.event.duration);
        prop_assert!(releases.into_iter().all(|update| update.duration == duration));
    }
    Ok(())
}

fn clocks() -> impl Strategy<Value = ClockRate> {
    prop::sample::select(vec![ClockRate::HZ_8000, ClockRate::HZ_48000])
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(1_000) })]

    /// Any subset of a press's packets will do, as long as it is not empty.
    #[test]
    fn one_digit_per_press_whatever_is_lost_duplicated_or_reordered(
        presses in vec((0..16_usize, 20..300_u32), 1..20),
        clock in clocks(),
        start: u32,
        keep in vec(prop::bool::weighted(0.4), 400),
        survivors in vec(any::<Index>(), 20),
        copies in vec(any::<Index>(), 0..40),
        delays in vec(0..=REORDERING, 400),
    ) {
        let sent = send(&presses, EventTiming::new(clock), RtpTime(start));
        let mut keep = keep.into_iter().cycle();
        let mut arriving = Vec::new();
        for (packets, survivor) in sent.iter().zip(survivors) {
            let survivor = survivor.index(packets.len());
            let kept = packets.iter().enumerate().filter(|(i, _)| keep.next() == Some(true) || *i == survivor);
            arriving.extend(kept.map(|(_, packet)| *packet));
        }
        for copy in copies {
            let at = copy.index(arriving.len());
            arriving.insert(at, arriving[at]);
        }
        let mut arriving: Vec<_> = arriving.into_iter().enumerate().collect();
        arriving.sort_by_key(|(at, _)| at + delays[at % delays.len()]);
        let arriving = arriving.into_iter().map(|(_, packet)| packet);
        check(&sent, &receive(arriving, clock))?;
    }

    /// Up to 16 s at 8 kHz, 13 segments at 48 kHz, with up to half of the packets lost.
    #[test]
    fn one_digit_per_press_however_long(
        presses in vec((0..16_usize, 20..16_000_u32), 1..4),
        clock in clocks(),
        start: u32,
        keep in vec(prop::bool::weighted(0.5), 400),
    ) {
        let sent = send(&presses, EventTiming::new(clock), RtpTime(start));
        let mut keep = keep.into_iter().cycle();
        // The end stays: it is what tells the duration.
        let kept = sent.iter().flat_map(|packets| {
            packets.iter().filter(|packet| packet.event.end || keep.next() == Some(true)).copied().collect::<Vec<_>>()
        });
        let updates = receive(kept, clock);
        check(&sent, &updates)?;
        prop_assert_eq!(updates.iter().filter(|update| update.released).count(), presses.len());
    }

    #[test]
    fn any_payloads_in_any_order_are_survived(
        events in vec((any::<u32>(), vec(any::<u8>(), 0..12)), 0..200),
        clock in any::<u32>(),
    ) {
        let Some(clock) = ClockRate::new(clock) else { return Ok(()) };
        let mut receiver = EventReceiver::new(clock);
        for (time, payload) in events {
            let parsed = vox_rtp::event::TelephoneEvent::parse_all(&payload, RtpTime(time));
            for (time, event) in parsed {
                let update = receiver.receive(time, event);
                prop_assert!(update.is_none_or(|update| update.pressed || update.released));
            }
        }
    }
}
