//! Any series of telephone-events into the receiver of digits: one clock byte, then packets of
//! four bytes of timestamp, one of length and that many of payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vox_rtp::event::{EventReceiver, TelephoneEvent};
use vox_rtp::{ClockRate, RtpTime};

fuzz_target!(|bytes: &[u8]| {
    let Some((&clock, mut rest)) = bytes.split_first() else { return };
    let clock = match clock {
        0 => ClockRate::HZ_8000,
        1 => ClockRate::HZ_48000,
        _ => ClockRate::new(u32::MAX / u32::from(clock)).expect("not zero"),
    };
    let mut receiver = EventReceiver::new(clock);
    let mut presses = 0_usize;
    let mut releases = 0_usize;
    while let [t0, t1, t2, t3, len, behind @ ..] = rest {
        let time = RtpTime(u32::from_be_bytes([*t0, *t1, *t2, *t3]));
        let (payload, behind) = behind.split_at(usize::from(*len).min(behind.len()));
        rest = behind;

        let first = TelephoneEvent::parse(payload);
        assert_eq!(first.is_ok(), payload.len() >= TelephoneEvent::LEN);
        let mut events = TelephoneEvent::parse_all(payload, time).peekable();
        assert_eq!(events.peek().copied(), first.ok().map(|event| (time, event)));
        for (start, event) in events {
            let mut written = [0; TelephoneEvent::LEN];
            event.write(&mut written);
            assert_eq!(TelephoneEvent::parse(&written), Ok(event));

            let Some(update) = receiver.receive(start, event) else { continue };
            assert!(update.pressed || update.released);
            assert_eq!(update.code, event.code);
            assert!(update.duration >= u32::from(event.duration));
            presses += usize::from(update.pressed);
            releases += usize::from(update.released);
            // The same packet once more tells nothing new.
            assert_eq!(receiver.receive(start, event), None);
        }
    }
    assert!(releases <= presses);
});
