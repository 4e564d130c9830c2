use proptest::prelude::*;

use super::*;

const OPTIONS: PortOptions = PortOptions {
    rate_hz: 8_000,
    barge_in: Some(BargeIn { min_speech: Duration::from_millis(300) }),
    ahead_max: Duration::from_secs(10),
};

/// Both ends, and the call's frames.
struct Rig {
    port: AgentPort,
    line: AgentLine,
    frame: u32,
}

impl Rig {
    fn new(options: PortOptions) -> Self {
        let (port, line) = agent_port(options);
        Self { port, line, frame: 0 }
    }

    /// One tick; what went out.
    fn tick(&mut self, heard: Heard) -> Vec<i16> {
        let (mut out, caller) = (vec![7; 160], [self.frame as i16; 160]);
        self.port.hear(Turn { frame: self.frame, rate_hz: 8_000, caller: &caller, heard });
        self.port.fill(8_000, &mut out);
        self.frame += 1;
        out
    }

    /// A tick in which something else is on the wire.
    fn elsewhere(&mut self, heard: Heard) {
        self.port.hear(Turn { frame: self.frame, rate_hz: 8_000, caller: &[0; 160], heard });
        self.frame += 1;
    }

    fn quiet(&mut self, ticks: usize) -> Vec<i16> {
        (0..ticks).flat_map(|_| self.tick(Heard::default())).collect()
    }

    fn tidings(&mut self) -> Vec<Tiding> {
        let mut tidings = vec![];
        self.line.tidings(|tiding| tidings.push(tiding));
        tidings
    }
}

fn started(frames_ago: u8) -> Heard {
    Heard { edge: Some(Edge::Started { frames_ago }), speech: true }
}

fn stopped(frames_ago: u8) -> Heard {
    Heard { edge: Some(Edge::Stopped { frames_ago }), speech: false }
}

const SPEECH: Heard = Heard { edge: None, speech: true };

#[test]
fn what_is_said_is_played_in_order_and_marks_come_where_they_stand() {
    let mut rig = Rig::new(OPTIONS);
    assert_eq!(rig.line.say(&[1; 160]), 160);
    assert!(rig.line.mark(1));
    assert_eq!(rig.line.say(&[2; 240]), 240);
    assert!(rig.line.mark(2));
    assert_eq!(rig.quiet(1), [1; 160]);
    assert_eq!(rig.tidings(), [Tiding::Mark { id: 1, played: true }]);
    assert_eq!(rig.quiet(1), [2; 160]);
    assert_eq!(rig.tidings(), []);
    assert_eq!(rig.quiet(1)[..80], [2; 80]);
    assert_eq!(rig.tidings(), [Tiding::Mark { id: 2, played: true }]);
    rig.quiet(2);
    assert_eq!(rig.tidings(), [Tiding::Drained { played: 400 }]);
    assert_eq!((rig.line.played(), rig.line.queued()), (400, 0));
}

#[test]
fn a_line_is_stirred_by_whatever_there_is_to_look_at_and_by_nothing_else() {
    let mut rig = Rig::new(OPTIONS);
    let mut stirs = rig.line.stirs();
    assert!(!stirs.take(), "nothing has happened");
    for (what, tick) in [
        ("a frame and a position", Rig::tick as fn(&mut Rig, Heard) -> Vec<i16>),
        ("a frame while something else is on the wire", |rig, heard| {
            rig.elsewhere(heard);
            vec![]
        }),
    ] {
        tick(&mut rig, Heard::default());
        assert!(stirs.take(), "{what}");
        assert!(!stirs.take(), "{what}, once");
    }
    rig.line.say(&[1; 160]);
    rig.line.clear();
    assert!(!stirs.take(), "what the line does itself is no news to it");
}

#[test]
fn the_caller_is_heard_frame_by_frame_and_a_late_reader_loses_the_oldest() {
    let mut rig = Rig::new(OPTIONS);
    rig.quiet(RING_FRAMES + 3);
    let mut frames = vec![];
    rig.line.hear(|frame| frames.push((frame.index, frame.samples.to_vec())));
    let expected: Vec<_> = (3..3 + RING_FRAMES as u32).map(|n| (n, vec![n as i16; 160])).collect();
    assert_eq!(frames, expected);
    assert_eq!(rig.line.overruns(), 3);
}

#[test]
fn an_agent_can_be_ahead_by_so_much_and_no_more() {
    let mut rig = Rig::new(OPTIONS);
    assert_eq!(rig.line.say(&vec![3; 100_000]), 80_000);
    assert_eq!((rig.line.room(), rig.line.say(&[3; 1])), (0, 0));
    rig.quiet(1);
    assert_eq!(rig.line.say(&[4; 1_000]), 160);
    let mut heard = vec![];
    while rig.line.queued() > 0 {
        heard.extend(rig.quiet(5));
        rig.line.pour();
    }
    assert_eq!(heard.iter().filter(|&&sample| sample == 4).count(), 160);
    assert_eq!(heard.iter().position(|&sample| sample == 4), Some(80_000 - 160));
}

#[test]
fn clear_fades_within_a_frame_and_gives_every_mark_back() {
    let mut rig = Rig::new(OPTIONS);
    rig.line.say(&[1_000; 8_000]);
    rig.line.mark(1);
    rig.quiet(2);
    rig.line.clear();
    rig.line.mark(2);
    let fade = rig.quiet(1);
    assert!(fade.is_sorted_by(|a, b| a >= b) && fade[0] > 900 && fade[159] == 0, "{fade:?}");
    assert_eq!(rig.quiet(2), [0; 320]);
    let cleared = Tiding::Cleared { played: 480, dropped: 7_520 };
    let marks = [1, 2].map(|id| Tiding::Mark { id, played: false });
    assert_eq!(rig.tidings(), [cleared, marks[0], marks[1]]);
    rig.line.say(&[5; 160]);
    assert_eq!(rig.quiet(1), [5; 160]);
    // With nothing to drop it is answered, too.
    rig.quiet(1);
    rig.tidings();
    rig.line.clear();
    rig.quiet(1);
    assert_eq!(rig.tidings(), [Tiding::Cleared { played: 640, dropped: 0 }]);
}

#[test]
fn speech_pauses_the_agent_in_its_tick_and_interrupts_it_when_it_lasts() {
    let mut rig = Rig::new(OPTIONS);
    rig.line.say(&[1_000; 8_000]);
    rig.line.mark(1);
    rig.quiet(3);
    assert_eq!(rig.tick(started(1))[159], 0, "faded out in the very tick");
    let paused = Tiding::Paused { played: 640 };
    assert_eq!(rig.tidings(), [Tiding::SpeechStarted { frame: 2, playing: true }, paused]);
    // Frames 4 to 15: the speech began with frame 2, and is 300 ms long with frame 16.
    for _ in 4..16 {
        assert_eq!(rig.tick(SPEECH), [0; 160]);
    }
    assert_eq!(rig.tidings(), []);
    rig.tick(SPEECH);
    let interrupted = Tiding::Interrupted { played: 640, dropped: 7_360 };
    assert_eq!(rig.tidings(), [interrupted, Tiding::Mark { id: 1, played: false }]);
    // What the brain says now is its answer to the interruption.
    rig.line.say(&[5; 160]);
    assert_eq!(rig.tick(SPEECH), [5; 160]);
}

#[test]
fn a_cough_lets_the_agent_go_on_where_it_was() {
    let mut rig = Rig::new(OPTIONS);
    rig.line.say(&(0..1_600).collect::<Vec<i16>>());
    rig.quiet(2);
    rig.tick(started(0));
    rig.tick(SPEECH);
    for _ in 0..6 {
        assert_eq!(rig.tick(Heard::default()), [0; 160]);
    }
    let back = rig.tick(stopped(6));
    assert_eq!((back[0], back[159]), (0, 635), "faded in from sample 480 on");
    assert_eq!(rig.tick(Heard::default())[0], 640);
    let tidings = rig.tidings();
    assert_eq!(tidings[1], Tiding::Paused { played: 480 });
    assert_eq!(tidings[2..], [Tiding::SpeechStopped { frame: 4 }, Tiding::Resumed]);
}

#[test]
fn without_barge_in_or_without_audio_speech_is_only_told() {
    for (options, audio) in [(PortOptions { barge_in: None, ..OPTIONS }, 4_000), (OPTIONS, 0)] {
        let mut rig = Rig::new(options);
        rig.line.say(&vec![9; audio]);
        rig.quiet(1);
        rig.tick(started(0));
        (0..20).for_each(|_| drop(rig.tick(SPEECH)));
        rig.tick(stopped(1));
        let playing = audio > 0;
        let expected =
            [Tiding::SpeechStarted { frame: 1, playing }, Tiding::SpeechStopped { frame: 21 }];
        let speech: Vec<_> = rig
            .tidings()
            .into_iter()
            .filter(|tiding| !matches!(tiding, Tiding::Drained { .. }))
            .collect();
        assert_eq!(speech, expected);
    }
}

#[test]
fn a_call_of_the_other_rate_is_converted_and_keeps_its_level() {
    for (own, call) in [(8_000, 16_000), (16_000, 8_000)] {
        let (mut port, mut line) = agent_port(PortOptions { rate_hz: own, ..OPTIONS });
        let (own, call_samples) = (own as usize / 50, call as usize / 50);
        line.say(&vec![1_000; own * 20]);
        let (mut heard, mut out) = (vec![], vec![0; call_samples]);
        for frame in 0..20 {
            let caller = vec![2_000; call_samples];
            let heard = Heard::default();
            port.hear(Turn { frame, rate_hz: call, caller: &caller, heard });
            port.fill(call, &mut out);
        }
        line.hear(|frame| heard.extend_from_slice(frame.samples));
        let near =
            |samples: &[i16], level: i16| samples.iter().all(|sample| sample.abs_diff(level) < 30);
        assert!(near(&out, 1_000), "{out:?}");
        assert!(heard.len() == own * 20 && near(&heard[own * 10..], 2_000));
    }
}

#[test]
fn a_port_that_is_closed_or_dropped_says_so() {
    let (mut port, line) = agent_port(OPTIONS);
    assert!(!line.is_closed());
    port.close();
    assert!(line.is_closed());
    let (port, line) = agent_port(OPTIONS);
    drop(port);
    assert!(line.is_closed());
}

#[test]
fn a_pause_that_is_confirmed_at_once_is_none() {
    let min_speech = Duration::from_millis(20);
    let mut rig = Rig::new(PortOptions { barge_in: Some(BargeIn { min_speech }), ..OPTIONS });
    rig.line.say(&[1_000; 8_000]);
    rig.quiet(1);
    assert_eq!(rig.tick(started(0))[159], 0);
    assert_eq!(rig.tidings()[1..], [Tiding::Interrupted { played: 320, dropped: 7_680 }]);
}

#[test]
fn what_waits_behind_the_ring_is_not_heard_after_an_interruption() {
    let mut rig = Rig::new(OPTIONS);
    rig.line.say(&[1_000; 80_000]);
    rig.quiet(2);
    rig.tick(started(0));
    (0..15).for_each(|_| drop(rig.tick(SPEECH)));
    // Whoever holds the line does not know yet, and moves on what waits.
    rig.line.pour();
    assert_eq!(rig.quiet(3), [0; 480]);
    rig.line.pour();
    let told = rig.tidings();
    assert_eq!(told[2], Tiding::Interrupted { played: 480, dropped: 79_520 });
    assert_eq!(rig.line.queued(), 0);
    rig.line.say(&[5; 160]);
    assert_eq!(rig.quiet(1), [0; 160], "the ring is full of what goes now");
    rig.line.pour();
    assert_eq!(rig.quiet(2), [[5; 160], [0; 160]].concat());
}

#[test]
fn a_clear_before_the_interruption_is_known_keeps_what_was_said_after_it() {
    let mut rig = Rig::new(OPTIONS);
    rig.line.say(&[1_000; 800]);
    rig.quiet(1);
    rig.tick(started(0));
    rig.line.clear();
    rig.line.say(&[5; 160]);
    rig.line.mark(1);
    // The clear ends the pause: its author has heard the caller.
    assert_eq!(rig.tick(SPEECH), [5; 160]);
    (0..20).for_each(|_| drop(rig.tick(SPEECH)));
    let told = rig.tidings();
    assert_eq!(told[2], Tiding::Cleared { played: 320, dropped: 480 });
    assert_eq!(told[3..], [Tiding::Drained { played: 480 }, Tiding::Mark { id: 1, played: true }]);
}

#[test]
fn what_is_said_after_a_clear_is_not_faded_out_with_it() {
    let mut rig = Rig::new(OPTIONS);
    rig.line.say(&[1_000; 240]);
    rig.quiet(1);
    rig.line.clear();
    rig.line.say(&[5; 320]);
    let fade = rig.quiet(1);
    assert_eq!((fade[0] > 900, fade[79]), (true, 0));
    assert_eq!(fade[80..], [0; 80]);
    assert_eq!(rig.quiet(2), [5; 320]);
    assert_eq!(rig.tidings()[0], Tiding::Cleared { played: 240, dropped: 0 });
}

#[test]
fn during_a_hold_or_a_prompt_the_agent_waits_and_the_caller_does_not_interrupt_it() {
    let mut rig = Rig::new(OPTIONS);
    rig.line.say(&[1_000; 1_600]);
    rig.quiet(2);
    for n in 0..40 {
        rig.elsewhere(if n == 1 { started(0) } else { SPEECH });
    }
    rig.elsewhere(stopped(1));
    let playing = Tiding::SpeechStarted { frame: 3, playing: false };
    assert_eq!(rig.tidings(), [playing, Tiding::SpeechStopped { frame: 41 }]);
    assert_eq!((rig.line.played(), rig.line.queued()), (320, 1_280));
    let back = rig.quiet(2);
    assert_eq!((back[0], back[160]), (0, 1_000), "faded in");
    assert!(back.is_sorted());
}

#[test]
fn speech_that_began_over_the_agent_pauses_it_even_where_a_prompt_comes_over_both() {
    let mut rig = Rig::new(OPTIONS);
    rig.line.say(&[1_000; 1_600]);
    rig.quiet(2);
    rig.elsewhere(started(0));
    rig.elsewhere(SPEECH);
    assert_eq!(rig.tidings()[1], Tiding::Paused { played: 320 });
    (0..13).for_each(|_| rig.elsewhere(SPEECH));
    assert_eq!(rig.tidings(), [Tiding::Interrupted { played: 320, dropped: 1_280 }]);
    // A clear is carried out there, too.
    rig.line.say(&[1_000; 160]);
    rig.line.clear();
    rig.elsewhere(SPEECH);
    rig.elsewhere(SPEECH);
    assert_eq!(rig.tidings(), [Tiding::Cleared { played: 320, dropped: 160 }]);
}

#[test]
fn a_line_that_is_not_read_loses_tidings_but_no_interruption_and_no_clear() {
    let mut rig = Rig::new(OPTIONS);
    for _ in 0..50 {
        rig.tick(started(0));
        rig.tick(stopped(0));
    }
    rig.line.say(&[1_000; 4_000]);
    rig.line.mark(1);
    rig.quiet(1);
    rig.tick(started(0));
    (0..20).for_each(|_| drop(rig.tick(SPEECH)));
    let frames = 122 - RING_FRAMES as u64;
    rig.line.hear(|_| ());
    assert_eq!(rig.line.overruns() - frames, 100 + 2 - (NEWS - NEWS_RESERVE) as u64);
    let told = rig.tidings();
    let is_dropped = |tiding: &Tiding| match tiding {
        Tiding::Interrupted { played, dropped } => played + dropped == 4_000,
        _ => false,
    };
    assert_eq!(told.iter().filter(|tiding| is_dropped(tiding)).count(), 1, "{told:?}");
    assert_eq!(told.last(), Some(&Tiding::Mark { id: 1, played: false }));
    // More clears than there is room to tell of: they are carried out as they can be.
    for _ in 0..2 * NEWS {
        rig.line.say(&[1; 160]);
        rig.line.clear();
        rig.quiet(1);
    }
    let mut dropped = 0;
    for _ in 0..3 {
        for tiding in rig.tidings() {
            let Tiding::Cleared { dropped: now, .. } = tiding else { continue };
            dropped += now;
        }
        rig.quiet(1);
    }
    assert_eq!(dropped, 2 * NEWS as u64 * 160);
    rig.line.say(&[5; 160]);
    assert_eq!(rig.quiet(1), [5; 160], "it is heard again");
}

/// The two ends on two threads, as fast as they can.
#[test]
fn nothing_is_lost_between_two_threads() {
    const TICKS: u32 = 60_000;
    let (mut port, mut line) = agent_port(OPTIONS);
    let shard = move || {
        let mut out = [0; 160];
        for frame in 0..TICKS {
            let heard = match frame % 97 {
                10 => started(1),
                11..50 => SPEECH,
                50 => stopped(2),
                _ => Heard::default(),
            };
            port.hear(Turn { frame, rate_hz: 8_000, caller: &[frame as i16; 160], heard });
            if frame % 13 != 0 {
                port.fill(8_000, &mut out);
            }
            if frame % 16 == 0 {
                std::thread::yield_now();
            }
        }
        port
    };
    let (mut said, mut dropped, mut marks) = (0, 0, 0);
    let (mut back, mut frames, mut next) = (0, 0, 0);
    let mut look = |line: &mut AgentLine| {
        line.tidings(|tiding| match tiding {
            Tiding::Mark { id, .. } => {
                assert_eq!(id, back, "in order");
                back += 1;
            }
            Tiding::Cleared { dropped: now, .. } | Tiding::Interrupted { dropped: now, .. } => {
                dropped += now;
            }
            _ => {}
        });
        line.hear(|frame| {
            assert!(frame.index >= next && frame.samples == [frame.index as i16; 160]);
            (next, frames) = (frame.index + 1, frames + 1);
        });
    };
    let port = std::thread::scope(|scope| {
        let shard = scope.spawn(shard);
        for turn in 0_usize.. {
            said += line.say(&vec![1; turn * 37 % 1_000]) as u64;
            marks += u32::from(line.mark(marks));
            if turn % 51 == 0 {
                line.clear();
            }
            look(&mut line);
            if shard.is_finished() {
                break;
            }
            std::thread::yield_now();
        }
        shard.join().unwrap()
    });
    let mut rig = Rig { port, line, frame: TICKS };
    rig.tick(stopped(0));
    while rig.line.queued() > 0 || rig.line.clear_is_pending() {
        look(&mut rig.line);
        rig.tick(Heard::default());
    }
    look(&mut rig.line);
    assert_eq!(said, rig.line.played() + dropped);
    assert_eq!((back, frames > 0), (marks, true));
}

/// Something that happens to a port.
#[derive(Debug, Clone)]
enum Step {
    Say(usize),
    Mark,
    Clear,
    Tick(Heard),
    Elsewhere(Heard),
    Look,
    Pour,
}

fn step() -> impl Strategy<Value = Step> {
    let edge = prop_oneof![
        8 => Just(None),
        1 => (0u8..5).prop_map(|frames_ago| Some(Edge::Started { frames_ago })),
        1 => (0u8..5).prop_map(|frames_ago| Some(Edge::Stopped { frames_ago })),
    ];
    let heard = (edge, any::<bool>()).prop_map(|(edge, speech)| Heard { edge, speech });
    prop_oneof![
        3 => (0usize..6_000).prop_map(Step::Say),
        2 => Just(Step::Mark),
        1 => Just(Step::Clear),
        12 => heard.clone().prop_map(Step::Tick),
        2 => heard.prop_map(Step::Elsewhere),
        4 => Just(Step::Look),
        1 => Just(Step::Pour),
    ]
}

proptest! {
    #[test]
    fn every_sample_is_played_or_dropped_or_queued_and_every_mark_comes_back_once_in_order(
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut rig = Rig::new(OPTIONS);
        let (mut said, mut dropped, mut marks, mut back) = (0, 0, 0, vec![]);
        let mut look = |rig: &mut Rig, dropped: &mut u64| {
            rig.line.tidings(|tiding| match tiding {
                Tiding::Mark { id, .. } => back.push(id),
                Tiding::Cleared { dropped: now, .. } | Tiding::Interrupted { dropped: now, .. } => {
                    *dropped += now;
                }
                _ => {}
            });
        };
        for step in steps {
            match step {
                Step::Say(samples) => said += rig.line.say(&vec![1; samples]) as u64,
                Step::Mark => {
                    assert!(rig.line.mark(marks));
                    marks += 1;
                }
                Step::Clear => rig.line.clear(),
                Step::Tick(heard) => drop(rig.tick(heard)),
                Step::Elsewhere(heard) => rig.elsewhere(heard),
                Step::Pour => rig.line.pour(),
                Step::Look => look(&mut rig, &mut dropped),
            }
        }
        // A pause that nobody ended.
        rig.tick(stopped(0));
        rig.tick(Heard::default());
        for _ in 0..600 {
            look(&mut rig, &mut dropped);
            rig.tick(Heard::default());
        }
        look(&mut rig, &mut dropped);
        prop_assert_eq!(said, rig.line.played() + dropped + rig.line.queued());
        prop_assert_eq!(rig.line.queued(), 0);
        prop_assert_eq!(back, (0..marks).collect::<Vec<_>>());
    }
}
