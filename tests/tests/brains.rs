//! Calls whose brain lives elsewhere: three languages, and brains that die, hang, dawdle and rave.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::Message;
use vox_tests::brain::{self, Brain};
use vox_tests::worker::{TERM, Worker};
use vox_tests::{caller, ears, one_at_a_time, wait_for};

/// PESQ that speech must have after it went to the brain and back, with G.711 on the way.
const CLEAN_MIN: f64 = 4.0;

#[test]
fn speech_comes_back_from_a_brain_in_each_language() {
    let _turn = one_at_a_time();
    let brain = Brain::start(|socket, _| brain::echo(socket));
    let off = ", barge_in = { enabled = false }";
    let bots = [
        brain.bot("twilio", "twilio", ""),
        brain.bot("vox", "vox", off),
        brain.bot("wide", "vox", ", sample_rate = 16000, barge_in = { enabled = false }"),
        brain.bot("openai", "openai-realtime", off),
    ];
    let worker = Worker::start(&bots.concat(), &[]);
    for (bot, codec, rate_hz, seconds) in [
        ("twilio", "PCMU", 8_000, 20),
        ("vox", "PCMU", 8_000, 60),
        ("wide", "G722", 16_000, 20),
        ("openai", "PCMA", 8_000, 20),
    ] {
        let Some(speech) = ears::speech(worker.directory(), rate_hz, seconds) else { return };
        let say = || (caller::say(&worker, bot, &speech, &["--codec", codec]), ());
        let Some((call, ())) = caller::undisturbed(say) else { return };
        let Some(score) = ears::pesq(&speech, &call.heard) else { return };
        println!(
            "{bot}: PESQ {:.2}, round trip {} ms, packets apart 20 ms with {} ms of jitter",
            score.pesq, call.report["round_trip_ms"], call.report["jitter_ms"]
        );
        assert!(score.pesq >= CLEAN_MIN, "{bot}: PESQ {:.2} < {CLEAN_MIN}", score.pesq);
        assert_eq!(call.report["lost"], 0, "{bot}");
        let jitter_ms = call.report["jitter_ms"].as_f64().expect("a figure");
        assert!(jitter_ms < 5.0, "{bot}: the worker paces what a brain says");
    }
}

#[test]
fn digits_marks_and_a_wish_to_hang_up_cross_in_order() {
    let _turn = one_at_a_time();
    let brain = Brain::start(|socket, _| {
        let mut digits = String::new();
        while let Some(event) = brain::event(socket) {
            if event["type"] == "digit" {
                digits.push_str(event["digit"].as_str().expect("a digit"));
            }
            if digits == "42#" {
                break;
            }
        }
        let mut half_a_second = vec![1, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        half_a_second.extend([0x00, 0x20].repeat(4_000));
        socket.send(Message::binary(half_a_second)).expect("sent");
        for text in [
            json!({"type": "mark", "name": "said"}),
            json!({"type": "note", "facts": {"digits": digits}}),
            json!({"type": "hang_up", "after_playback": true, "reason": "done"}),
        ] {
            socket.send(Message::text(text.to_string())).expect("sent");
        }
        let mut marks = 0;
        while let Some(event) = brain::event(socket) {
            marks += usize::from(event["type"] == "mark" && event["played"] == true);
        }
        assert_eq!(marks, 1);
    });
    let worker = Worker::start(&brain.bot("keys", "vox", ""), &[]);
    let Some(silence) = ears::speech(worker.directory(), 8_000, 1) else { return };
    let call = caller::say(&worker, "keys", &silence, &["--digits", "42#", "--tail", "5"]);
    assert_eq!(call.report["hung_up_by_peer"], true, "{}", call.report);
    let result = &worker.results(1, Duration::from_secs(10))[0];
    assert_eq!(result["disconnected_by"], "bot");
    assert_eq!(result["media"]["dtmf"], "42#");
    let event = |name: &str| event_of(result, name).cloned().unwrap_or_else(|| panic!("{result}"));
    assert_eq!(event("agent_note")["digits"], "42#");
    assert_eq!(event("agent_hung_up")["reason"], "done");
}

#[test]
fn a_brain_that_dies_is_called_again_and_then_given_up() {
    let _turn = one_at_a_time();
    // Each connection is killed as soon as the call is there: no goodbye.
    let brain =
        Brain::start(
            |socket, _| while brain::event(socket).is_some_and(|event| event["type"] != "start") {},
        );
    let worker = Worker::start(&brain.bot("mortal", "vox", ", reconnects = 2"), &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 20) else { return };
    let call = caller::say(&worker, "mortal", &speech, &[]);
    assert_eq!(call.report["hung_up_by_peer"], true);
    let result = &worker.results(1, Duration::from_secs(10))[0];
    assert_eq!(result["disconnected_by"], "error");
    assert_eq!(brain.connections(), 3);
    let names: Vec<&str> = result["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter_map(|it| it["event"].as_str())
        .collect();
    let count = |name: &str| names.iter().filter(|found| **found == name).count();
    assert_eq!((count("agent_lost"), count("agent_given_up")), (2, 1), "{names:?}");
    assert!(result["recording_key"].is_string(), "nothing is lost with the brain");
}

#[test]
fn a_brain_that_hangs_is_found_out_and_the_caller_hears_an_apology() {
    let _turn = one_at_a_time();
    // It neither reads nor answers pings.
    let brain = Brain::start(|_, _| thread::sleep(Duration::from_secs(60)));
    let sorry = ", idle_seconds = 2, reconnects = 0, apology_file = \"sorry.wav\"";
    let directory = tempfile::tempdir().expect("a directory");
    let Some(apology) = ears::speech(directory.path(), 8_000, 3) else { return };
    let bots = brain.bot("dumb", "vox", sorry).replace("sorry.wav", &apology.display().to_string());
    let worker = Worker::start(&bots, &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 20) else { return };
    let call = caller::say(&worker, "dumb", &speech, &[]);
    assert_eq!(call.report["hung_up_by_peer"], true);
    let result = &worker.results(1, Duration::from_secs(10))[0];
    assert_eq!(result["disconnected_by"], "error");
    let gone = event_of(result, "agent_given_up").expect("it is told");
    assert!(gone["why"].as_str().is_some_and(|why| why.contains("no word")), "{gone}");
    let played = event_of(result, "played").expect("the apology");
    assert_eq!(played["complete"], true);
}

#[test]
fn slow_deaf_and_raving_brains_cost_bounded_memory_and_no_other_call() {
    let _turn = one_at_a_time();
    let echo = Brain::start(|socket, _| brain::echo(socket));
    let slow = Brain::start(|socket, _| {
        while socket.read().is_ok() {
            thread::sleep(Duration::from_millis(200));
        }
    });
    let raving = Brain::start(|socket, _| {
        let mut stream = Value::Null;
        while let Some(event) = brain::event(socket) {
            if event["event"] == "start" {
                stream = event["streamSid"].clone();
                break;
            }
        }
        for bad in ["{", "[]", "{\"event\":\"media\"}", "{\"event\":7}", "hello"] {
            let _ = socket.send(Message::text(bad));
        }
        let wrong = json!("not base64!");
        let _ = socket.send(Message::text(brain::media(&stream, &wrong)));
        // 20 ms each: more than three minutes of speech at once.
        let payload = json!("/".repeat(212) + "/w==");
        for _ in 0..10_000 {
            if socket.send(Message::text(brain::media(&stream, &payload))).is_err() {
                return;
            }
        }
        while socket.read().is_ok() {}
    });
    // It does not read at all.
    let deaf = Brain::narrow(|_, _| thread::sleep(Duration::from_secs(60)));
    let bots = [
        echo.bot("good", "vox", ", barge_in = { enabled = false }"),
        slow.bot("slow", "twilio", ""),
        deaf.bot("deaf", "vox", ", sample_rate = 24000, idle_seconds = 60"),
        raving.bot("raving", "twilio", ", ahead_seconds = 10"),
    ];
    let worker = Worker::start(&bots.concat(), &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 20) else { return };
    let before = resident_bytes(&worker);
    let say = || {
        let others: Vec<_> = ["slow", "raving", "deaf", "slow", "raving", "deaf"]
            .map(|bot| {
                let mut command = caller::command(&worker, bot);
                command.arg("--play").arg(&speech).args(["--codec", "PCMU", "--json"]);
                command.stdout(std::process::Stdio::null()).spawn().expect("vox call")
            })
            .into();
        let (good, memory) = thread::scope(|scope| {
            let good = || caller::say(&worker, "good", &speech, &["--codec", "PCMU"]);
            let good = scope.spawn(good);
            let mut memory = vec![];
            while !good.is_finished() {
                memory.push(resident_bytes(&worker) >> 10);
                thread::sleep(Duration::from_secs(1));
            }
            (good.join().expect("a call"), memory)
        });
        let ended = others.into_iter().map(|mut call| call.wait().expect("a child").success());
        (good, (ended.collect::<Vec<_>>(), memory))
    };
    let Some((good, (ended, memory))) = caller::undisturbed(say) else { return };
    assert_eq!(ended, [true; 6], "their calls went on to the end");
    let Some(score) = ears::pesq(&speech, &good.heard) else { return };
    assert!(score.pesq >= CLEAN_MIN, "beside bad brains: PESQ {:.2}", score.pesq);
    assert_eq!(good.report["lost"], 0);
    let grown = resident_bytes(&worker).saturating_sub(before);
    println!("grown by {} kB with bad brains; kB, second by second: {memory:?}", grown >> 10);
    assert!(grown < 64 << 20, "memory is bounded, found {grown} bytes more");
    let (early, late) = (memory[memory.len() / 2], memory[memory.len() - 1]);
    assert!(late < early + (16 << 10), "memory is flat, found {memory:?} kB");
    let lost = worker.metric("vox_agent_frames_lost_total").expect("a metric");
    assert!(lost > 100.0, "who does not read loses the oldest audio, found {lost} frames lost");
    wait_for("every slot back", Duration::from_secs(5), || (worker.calls() == 0).then_some(()));
}

#[test]
fn a_worker_that_stops_says_so_to_every_brain() {
    let _turn = one_at_a_time();
    let (tell, told) = std::sync::mpsc::channel();
    let brain = Brain::start(move |socket, _| {
        // Whoever knows of the call has heard that it began.
        let begins = ["start", "session.update"];
        let mut begun = String::new();
        while let Some(event) = brain::event(socket) {
            let kind = event["type"].as_str().or(event["event"].as_str()).unwrap_or_default();
            if begins.contains(&kind) {
                begun = kind.to_owned();
                break;
            }
        }
        tell.send((vec![], None)).expect("the test");
        let (mut kinds, code) = brain::last_words(socket);
        kinds.push(begun);
        tell.send((kinds, code)).expect("the test");
    });
    let protocols = ["vox", "twilio", "openai-realtime"];
    let mut worker =
        Worker::start(&protocols.map(|protocol| brain.bot(protocol, protocol, "")).concat(), &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 60) else { return };
    let calls = protocols.map(|protocol| {
        let mut command = caller::command(&worker, protocol);
        command.arg("--play").arg(&speech).args(["--codec", "PCMU", "--json"]);
        command.stdout(std::process::Stdio::null()).spawn().expect("vox call")
    });
    let next = || told.recv_timeout(Duration::from_secs(20)).expect("word of the brain's");
    assert_eq!(protocols.map(|_| next()), [(); 3].map(|()| (vec![], None)));
    worker.process.signal(TERM);
    wait_for("the drain", Duration::from_secs(5), || {
        worker.get("/health")?.contains("\"total_available\":0").then_some(())
    });
    assert!(told.try_recv().is_err(), "calls run to their end while it drains");
    worker.process.signal(TERM);
    let mut words = protocols.map(|_| next());
    words.sort();
    for (kinds, code) in &words {
        assert_eq!(*code, Some(1_001), "{words:?}");
        let stops = kinds.iter().filter(|kind| *kind == "stop").count();
        // OpenAI's protocol has no word for it.
        let expected = usize::from(!kinds.iter().any(|kind| kind == "session.update"));
        assert_eq!(stops, expected, "{words:?}");
    }
    let status = wait_for("the worker's end", Duration::from_secs(10), || {
        worker.process.0.try_wait().expect("a child")
    });
    assert!(status.success(), "{status}");
    for result in worker.results(3, Duration::from_secs(1)) {
        assert_eq!(result["disconnected_by"], "error", "{result}");
    }
    for mut call in calls {
        let _ = call.wait();
    }
}

fn event_of<'r>(result: &'r Value, name: &str) -> Option<&'r Value> {
    result["events"].as_array()?.iter().find(|event| event["event"] == name)
}

fn resident_bytes(worker: &Worker) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", worker.process.0.id()));
    let pages = statm.expect("statm").split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number") * 4_096
}
