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
fn the_caller_is_heard_frame_by_frame_and_what_found_no_room_is_counted() {
    let mut rig = Rig::new(OPTIONS);
    rig.quiet(RING_FRAMES + 3);
    let mut frames = vec![];
    rig.line.hear(|frame| frames.push((frame.index, frame.samples.to_vec())));
    let expected: Vec<_> = (0..RING_FRAMES as u32).map(|n| (n, vec![n as i16; 160])).collect();
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

/// Something that happens to a port.
#[derive(Debug, Clone)]
enum Step {
    Say(usize),
    Mark,
    Clear,
    Tick(Heard),
    Look,
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
        12 => heard.prop_map(Step::Tick),
        4 => Just(Step::Look),
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
            rig.line.pour();
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
