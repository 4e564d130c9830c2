//! Calls in rooms whose server, connection or media fail in mid-call: each comes back, or ends by
//! itself within the limits of docs/src/livekit.md.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vox_tests::livekit::{Phone, Server, own_network};
use vox_tests::wire::{Cut, Wire};
use vox_tests::worker::{Worker, http_post};
use vox_tests::{ears, one_at_a_time, wait_for};

/// For everything that was lost to be back; then the call ends.
const RECOVERY_LIMIT: Duration = Duration::from_secs(15);
/// Until a path that carries nothing is called lost.
const PATH_LIMIT: Duration = Duration::from_secs(6);
/// For the last word to be written.
const SPARE: Duration = Duration::from_secs(3);
/// Speech through Opus twice, and through two jitter buffers.
const PESQ_MIN: f64 = 3.0;
/// Where the worker's media come from, so that they alone can be cut.
const PORTS: (u16, u16) = (20_000, 20_999);
const SECRET: &str = "X-VoxCore-Secret: between-services\r\n";

#[test]
fn signalling_that_is_cut_is_resumed_and_nobody_hears_it() {
    let _turn = one_at_a_time();
    if !own_network("signalling_that_is_cut_is_resumed_and_nobody_hears_it") {
        return;
    }
    let Some(server) = Server::start() else { return };
    let wire = Wire::to(server.address(), None);
    let worker = worker(&server, &format!("ws://{}", wire.address));
    let Some(speech) = ears::speech(worker.directory(), 48_000, 10) else { return };
    // They stay until the last cut is made up for, which takes longer each time.
    let phones = calls(&server, &worker, 0..4, &speech, "15");
    let mut took = Vec::new();
    for _ in 0..5 {
        let cut = Instant::now();
        // Requests to the server's API go through it, too.
        assert!(wire.cut() >= phones.len());
        wait_for("all calls to be back", RECOVERY_LIMIT, || {
            (wire.open() >= phones.len()).then_some(())
        });
        took.push(cut.elapsed().as_millis());
        // A connection that is cut again while it comes back is another case.
        std::thread::sleep(Duration::from_secs(1));
    }
    for phone in phones {
        let (_, heard) = phone.ended();
        let Some(echo) = ears::pesq(&speech, &heard) else { return };
        println!("signalling cut 5 times: echo PESQ {:.2}", echo.pesq);
        assert!(echo.pesq >= PESQ_MIN, "{echo:?}");
    }
    println!("signalling connected again after {took:?} ms");
    for result in worker.results(4, Duration::from_secs(5)) {
        assert_eq!(result["disconnected_by"], "customer", "{result}");
        let events = events(&result);
        assert_eq!((events.get("room_interrupted"), events.get("room_back")), (Some(&5), Some(&5)));
    }
    nothing_is_left(&worker);
}

#[test]
fn a_server_that_is_killed_ends_its_calls_within_the_limit() {
    let _turn = one_at_a_time();
    if !own_network("a_server_that_is_killed_ends_its_calls_within_the_limit") {
        return;
    }
    for _ in 0..2 {
        let Some(server) = Server::start() else { return };
        let worker = worker(&server, &server.url);
        let Some(speech) = ears::speech(worker.directory(), 48_000, 10) else { return };
        let phones = calls(&server, &worker, 0..10, &speech, "60");
        drop(server);
        let killed = Instant::now();
        let results = worker.results(10, RECOVERY_LIMIT + SPARE);
        println!("server killed: 10 calls over {:.1} s later", killed.elapsed().as_secs_f64());
        for result in &results {
            assert_eq!(result["disconnected_by"], "error", "{result}");
            assert_eq!(events(result).get("room_lost"), Some(&1), "{result}");
        }
        nothing_is_left(&worker);
        drop(phones);
    }
}

#[test]
fn media_that_are_cut_for_a_while_come_back_in_the_same_call() {
    let _turn = one_at_a_time();
    if !own_network("media_that_are_cut_for_a_while_come_back_in_the_same_call") {
        return;
    }
    let Some(server) = Server::start() else { return };
    let worker = worker(&server, &server.url);
    let Some(speech) = ears::speech(worker.directory(), 48_000, 10) else { return };
    // A call that has ended in a room is not begun again there at once.
    let mut first = 0;
    // Shorter than what is noticed; noticed; longer than a path is waited for.
    for outage in [2, 7, 11].map(Duration::from_secs) {
        let hold = (outage.as_secs() + 8).to_string();
        let phones = calls(&server, &worker, first..first + 4, &speech, &hold);
        first += 4;
        let cut = Cut::ports(PORTS.0, PORTS.1);
        std::thread::sleep(outage);
        drop(cut);
        for phone in phones {
            let (said, _) = phone.ended();
            assert!(said.iter().any(|said| said["event"] == "hanging_up"), "{outage:?}: {said:?}");
        }
        nothing_is_left(&worker);
    }
    let results = worker.results(12, Duration::from_secs(5));
    let counts: Vec<_> = results.iter().map(events).collect();
    assert!(results.iter().all(|result| result["disconnected_by"] == "customer"), "{counts:?}");
    let with = |event| counts.iter().filter(|events| events.contains_key(event)).count();
    println!("media cut for 2, 7 and 11 s, 4 calls each: {} noticed it", with("room_interrupted"));
    assert_eq!((with("room_interrupted"), with("room_back")), (8, 8), "{counts:?}");
}

#[test]
fn media_that_are_cut_for_good_end_their_calls_within_the_limit() {
    let _turn = one_at_a_time();
    if !own_network("media_that_are_cut_for_good_end_their_calls_within_the_limit") {
        return;
    }
    let Some(server) = Server::start() else { return };
    let worker = worker(&server, &server.url);
    let Some(speech) = ears::speech(worker.directory(), 48_000, 10) else { return };
    let phones = calls(&server, &worker, 0..8, &speech, "60");
    let _cut = Cut::ports(PORTS.0, PORTS.1);
    let cut = Instant::now();
    let results = worker.results(8, PATH_LIMIT + RECOVERY_LIMIT + SPARE);
    println!("media cut: 8 calls over {:.1} s later", cut.elapsed().as_secs_f64());
    for result in &results {
        assert_eq!(result["disconnected_by"], "error", "{result}");
    }
    nothing_is_left(&worker);
    drop(phones);
}

#[test]
fn a_server_that_starts_again_gets_its_calls_back() {
    let _turn = one_at_a_time();
    if !own_network("a_server_that_starts_again_gets_its_calls_back") {
        return;
    }
    let Some(mut server) = Server::start() else { return };
    let worker = worker(&server, &server.url);
    let Some(speech) = ears::speech(worker.directory(), 48_000, 10) else { return };
    let phones = calls(&server, &worker, 0..4, &speech, "60");
    server.restart();
    drop(phones);
    // As a gateway does, the telephones come again.
    let again = ["--listen", "4", "--hold", "1"];
    let again = (0..4).map(|nth| server.call(&room(nth), &speech, &again));
    for mut phone in again.collect::<Vec<_>>() {
        phone.wait_for("active");
        let (_, heard) = phone.ended();
        let Some(echo) = ears::pesq(&speech, &heard) else { return };
        println!("server started again: echo PESQ {:.2}", echo.pesq);
        assert!(echo.pesq >= PESQ_MIN, "{echo:?}");
    }
    for result in worker.results(4, RECOVERY_LIMIT) {
        assert_eq!(result["disconnected_by"], "customer", "{result}");
        let events = events(&result);
        assert_eq!((events.get("room_interrupted"), events.get("room_back")), (Some(&1), Some(&1)));
    }
    nothing_is_left(&worker);
}

#[test]
fn a_caller_who_does_not_come_back_ends_the_call() {
    let _turn = one_at_a_time();
    if !own_network("a_caller_who_does_not_come_back_ends_the_call") {
        return;
    }
    let Some(mut server) = Server::start() else { return };
    let worker = worker(&server, &server.url);
    let Some(speech) = ears::speech(worker.directory(), 48_000, 10) else { return };
    let phones = calls(&server, &worker, 0..1, &speech, "60");
    drop(phones);
    server.restart();
    let result = worker.results(1, RECOVERY_LIMIT).remove(0);
    assert_eq!(result["disconnected_by"], "customer", "{result}");
    nothing_is_left(&worker);
}

#[test]
fn a_server_that_does_not_know_the_newest_path_is_joined_by_the_older_one() {
    let _turn = one_at_a_time();
    if !own_network("a_server_that_does_not_know_the_newest_path_is_joined_by_the_older_one") {
        return;
    }
    let Some(server) = Server::start() else { return };
    let wire = Wire::to(server.address(), Some("/rtc/v1"));
    let worker = worker(&server, &format!("ws://{}", wire.address));
    let Some(speech) = ears::speech(worker.directory(), 48_000, 10) else { return };
    for phone in calls(&server, &worker, 0..1, &speech, "1") {
        phone.ended();
    }
    let result = worker.results(1, Duration::from_secs(5)).remove(0);
    assert_eq!(result["disconnected_by"], "customer", "{result}");
}

fn worker(server: &Server, url: &str) -> Worker {
    let ports = format!("{}-{}", PORTS.0, PORTS.1);
    let mut environment = server.environment().to_vec();
    environment[0] = ("LIVEKIT_URL", url);
    environment.push(("VOXCORE_MEDIA_PORTS", &ports));
    Worker::start("", &environment)
}

/// Telephones that are in a call each, and stay for `hold` seconds after their speech.
fn calls(
    server: &Server,
    worker: &Worker,
    rooms: Range<usize>,
    speech: &Path,
    hold: &str,
) -> Vec<Phone> {
    let call = |nth| server.call(&room(nth), speech, &["--hold", hold, "--patient"]);
    let mut phones: Vec<Phone> = rooms.clone().map(call).collect();
    for (nth, phone) in rooms.zip(&mut phones) {
        let body = json!({"room_name": room(nth), "caller_number": "1", "dialed_number": "echo"});
        let (status, body) = http_post(worker.http, "/livekit/dispatch", SECRET, &body.to_string());
        assert_eq!(status, 200, "{body}");
        phone.wait_for("active");
    }
    phones
}

/// Not by a name of those that are watched: some telephones ring for longer than one should.
fn room(nth: usize) -> String {
    format!("room-{nth}")
}

/// How often each event is in a result.
fn events(result: &Value) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for event in result["events"].as_array().into_iter().flatten() {
        *counts.entry(event["event"].as_str().unwrap_or_default()).or_default() += 1;
    }
    counts
}

/// No slot, no socket.
fn nothing_is_left(worker: &Worker) {
    wait_for("free slots", Duration::from_secs(2), || (worker.calls() == 0).then_some(()));
    wait_for("closed sockets", Duration::from_secs(5), || open_ports().is_empty().then_some(()));
}

/// Which of the worker's media ports are bound in this network.
fn open_ports() -> Vec<u16> {
    let sockets = std::fs::read_to_string("/proc/self/net/udp").expect("a list of sockets");
    let port = |line: &str| {
        let local = line.split_whitespace().nth(1)?;
        u16::from_str_radix(local.rsplit(':').next()?, 16).ok()
    };
    let ports = sockets.lines().filter_map(port);
    ports.filter(|port| (PORTS.0..=PORTS.1).contains(port)).collect()
}
