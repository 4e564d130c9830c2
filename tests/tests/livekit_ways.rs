//! The ways in besides a plain dispatch, on a real LiveKit server; its SIP service answers as a real one
//! was captured to answer.

use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::Message;
use vox_tests::backend::{Backend, DID};
use vox_tests::brain::{self, Brain};
use vox_tests::http::Reply;
use vox_tests::livekit::{KEYS, Phone, Server, has_network};
use vox_tests::twirp::{Asked, SipService};
use vox_tests::worker::{Worker, http_post};
use vox_tests::{ears, one_at_a_time, wait_for};

const SECRET: &str = "X-VoxCore-Secret: between-services\r\n";
const CALLEE: &str = "+15105550222";

fn post(worker: &Worker, path: &str, body: &Value) -> (u16, Value) {
    let (status, answer) = http_post(worker.http, path, SECRET, &body.to_string());
    (status, serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer} is no JSON")))
}

fn accepted(worker: &Worker, path: &str, body: &Value) -> Value {
    let (status, answer) = post(worker, path, body);
    assert_eq!((status, &answer["status"]), (200, &json!("accepted")), "{path}: {answer}");
    answer
}

fn environment<'a>(url: &'a str, backend: &'a str) -> Vec<(&'a str, &'a str)> {
    let [key, secret] = KEYS;
    let mut environment = vec![
        ("LIVEKIT_URL", url),
        ("LIVEKIT_API_KEY", key),
        ("LIVEKIT_API_SECRET", secret),
        ("VOXCORE_SECRET", "between-services"),
    ];
    if !backend.is_empty() {
        environment.push(("VOXBRIDGE_CONFIG_URL", backend));
    }
    environment
}

fn events(result: &Value) -> Vec<&str> {
    let events = result["events"].as_array().expect("events").iter();
    events.filter_map(|event| event["event"].as_str()).collect()
}

fn event<'a>(result: &'a Value, name: &str) -> &'a Value {
    let events = result["events"].as_array().expect("events");
    let found = events.iter().find(|event| event["event"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {result}"))
}

fn is_idle(worker: &Worker) {
    wait_for("a free slot", Duration::from_secs(2), || (worker.calls() == 0).then_some(()));
}

/// A telephone that LiveKit has put out of its room.
fn is_hung_up(mut phone: Phone) {
    let gone = phone.wait_for("disconnected");
    assert_eq!(gone["reason"], "4", "PARTICIPANT_REMOVED: {gone}");
}

#[test]
fn no_way_in_is_open_without_the_secret_livekit_or_what_it_needs_to_know() {
    let _turn = one_at_a_time();
    let bodies = [
        (
            "/livekit/dispatch",
            json!({"room_name": "r", "caller_number": "1", "dialed_number": "echo"}),
            "dialed_number",
        ),
        ("/livekit/dialout", json!({"bot_id": "echo", "to_number": CALLEE}), "to_number"),
        ("/attach", json!({"room_name": "r", "bot_id": "echo"}), "bot_id"),
        ("/livekit/widget", json!({"room_name": "r", "bot_id": "echo"}), "bot_id"),
    ];
    let worker = Worker::start("", &[("VOXCORE_SECRET", "between-services")]);
    for (path, body, _) in &bodies {
        let (status, _) = http_post(worker.http, path, "", &body.to_string());
        assert_eq!(status, 403, "{path}");
        let (status, answer) = post(&worker, path, body);
        assert_eq!((status, &answer["detail"]), (503, &json!("livekit_not_configured")), "{path}");
    }
    drop(worker);
    let worker = Worker::start("", &environment("ws://127.0.0.1:9", ""));
    for (path, body, needed) in &bodies {
        let mut less = body.clone();
        less.as_object_mut().expect("an object").remove(*needed);
        let (status, answer) = post(&worker, path, &less);
        let detail = answer["detail"].as_str().expect("words");
        assert!(status == 422 && detail.contains(needed), "{path}: {status} {detail}");
        let mut more = body.clone();
        more["config_url"] = json!("ftp://elsewhere/api/v1/config");
        assert_eq!(post(&worker, path, &more).0, 422, "{path}");
    }
    let (status, _) =
        post(&worker, "/livekit/dialout", &json!({"bot_id": "b", "to_number": "a@b"}));
    assert_eq!((status, worker.calls()), (422, 0));
}

#[test]
fn a_call_that_cannot_be_had_still_has_its_result() {
    let _turn = one_at_a_time();
    let rows = [
        (503, json!({"detail": "outside_active_hours: 09:00-18:00"}), "outside_hours"),
        (404, json!({"detail": "unknown bot"}), "error"),
        (500, json!({"detail": "bug"}), "error"),
    ];
    for (status, body, expected) in rows {
        let backend = Backend::start(move |_| Reply::Json(status, body.clone()));
        let worker = Worker::start("", &environment("ws://127.0.0.1:9", &backend.config_url()));
        let call = json!({
            "room_name": "dial-1", "bot_id": "b", "to_number": CALLEE, "from_number": DID,
            "campaign_call_id": "cc-7", "connected_event": {"_campaign_session_id": "s-7", "name": "Ann"},
        });
        let answer = accepted(&worker, "/attach", &call);
        let result = backend.results(1, Duration::from_secs(5)).remove(0);
        assert_eq!(result["disconnected_by"], expected, "{result}");
        assert_eq!(
            (&result["session_id"], &result["stream_id"]),
            (&json!("s-7"), &answer["call_id"])
        );
        assert_eq!((&result["caller_id"], &result["from_number"]), (&json!(CALLEE), &json!(DID)));
        assert_eq!(result["call_direction"], "outbound");
        assert_eq!(result["connected_event"]["_campaign_call_id"], "cc-7", "{result}");
        assert_eq!(events(&result), ["not_opened"]);

        accepted(&worker, "/livekit/dialout", &json!({"bot_id": "b", "to_number": CALLEE}));
        let results = backend.results(2, Duration::from_secs(5));
        assert_eq!((&results[1]["disconnected_by"], worker.calls()), (&json!(expected), 0));
    }
}

#[test]
fn a_call_without_a_trunk_is_an_error_and_nobody_is_called() {
    let _turn = one_at_a_time();
    let backend = Backend::of(json!({"kind": "tone"}));
    let worker = Worker::start("", &environment("ws://127.0.0.1:9", &backend.config_url()));
    let call = json!({"bot_id": "b", "to_number": CALLEE, "from_number": "+15105550199"});
    accepted(&worker, "/livekit/dialout", &call);
    let result = backend.results(1, Duration::from_secs(5)).remove(0);
    assert_eq!(
        (&result["disconnected_by"], &result["session_id"]),
        (&json!("error"), &json!("session-0"))
    );
    let why = event(&result, "no_trunk")["why"].as_str().expect("words");
    assert!(why.contains("+15105550199"), "{result}");
    is_idle(&worker);
}

/// Whom the stub calls for, and how the server's answer is made: name, status that is in the events.
struct Row {
    answer: &'static str,
    disconnected_by: &'static str,
    sip_status: Value,
}

#[test]
fn each_outcome_of_a_dialled_call_is_told_by_its_sip_status_and_the_slot_is_free() {
    let _turn = one_at_a_time();
    let Some(livekit) = Server::start() else { return };
    let row =
        |answer, disconnected_by, sip_status: Value| Row { answer, disconnected_by, sip_status };
    let rows = [
        row("create_participant_486", "rejected", json!(486)),
        row("create_participant_603", "rejected", json!(603)),
        row("create_participant_480", "no_answer", json!(480)),
        row("create_participant_408", "no_answer", json!(408)),
        row("create_participant_503", "error", json!(503)),
        row("create_participant_404", "error", json!(404)),
        row("create_participant_no_answer_ringing_timeout", "no_answer", Value::Null),
        row("create_participant_no_response", "no_answer", Value::Null),
        row("create_participant_cpu_exhausted", "error", Value::Null),
        row("create_participant_unknown_trunk", "error", Value::Null),
        row("create_participant_no_sip_service", "error", Value::Null),
        row("unauthenticated_bad_signature", "error", Value::Null),
    ];
    let next = Arc::new(Mutex::new(""));
    let asked = Arc::new(Mutex::new(None));
    let (answer, seen) = (next.clone(), asked.clone());
    let sip = SipService::before(livekit.address(), move |request| {
        *seen.lock().expect("one at a time") = Some(request.clone());
        // Long enough for the room to be joined meanwhile.
        std::thread::sleep(Duration::from_millis(500));
        *answer.lock().expect("one at a time")
    });
    let backend = Backend::of(json!({"kind": "tone"}));
    let worker = Worker::start("", &environment(&sip.url(), &backend.config_url()));
    for (nth, row) in rows.iter().enumerate() {
        *next.lock().expect("one at a time") = row.answer;
        let body = json!({"bot_id": "b", "to_number": CALLEE, "connected_event": {"name": "Ann"}});
        let begun = Instant::now();
        let answer = accepted(&worker, "/livekit/dialout", &body);
        let room = answer["room_name"].as_str().expect("a room");
        assert!(room.starts_with("dialout-"), "{answer}");
        let result = backend.results(nth + 1, Duration::from_secs(10)).remove(nth);
        let took = begun.elapsed();
        println!("{}: {} after {} ms", row.answer, row.disconnected_by, took.as_millis());
        assert_eq!(result["disconnected_by"], row.disconnected_by, "{}: {result}", row.answer);
        let told = event(&result, "not_reached");
        assert_eq!(told["sip_status"], row.sip_status, "{told}");
        assert!(!result.to_string().contains("eyJ"), "no token: {result}");
        assert_eq!((&result["caller_id"], &result["from_number"]), (&json!(CALLEE), &json!(DID)));
        assert_eq!(result["connected_event"]["name"], "Ann");
        assert!(took < Duration::from_secs(3), "{took:?}");
        is_idle(&worker);
        let Some(Asked::Call(call)) = asked.lock().expect("one at a time").take() else {
            panic!("nobody was called");
        };
        assert_eq!((call.sip_trunk_id.as_str(), call.sip_call_to.as_str()), ("ST_1", CALLEE));
        assert_eq!((call.room_name.as_str(), call.sip_number.as_str()), (room, DID));
        assert_eq!(call.participant_identity, format!("sip-{CALLEE}"));
        assert_eq!(call.ringing_timeout.map(|limit| limit.seconds), Some(45));
        assert!(call.wait_until_answered);
    }
    wait_for("no room of ours", Duration::from_secs(5), || {
        (sip.count("RoomService/DeleteRoom") == rows.len()).then_some(())
    });
}

#[test]
fn a_call_whose_bot_dies_while_the_phone_rings_ends_as_an_error_within_two_seconds() {
    let _turn = one_at_a_time();
    let Some(livekit) = Server::start() else { return };
    // The phone rings until its room is gone, as a real one's does.
    let rings: Arc<OnceLock<SipService>> = Arc::default();
    let service = rings.clone();
    let sip = SipService::before(livekit.address(), move |_| {
        wait_for("the room's end", Duration::from_secs(10), || {
            (service.get()?.count("RoomService/DeleteRoom") > 0).then_some(())
        });
        "create_participant_no_answer_ringing_timeout"
    });
    rings.set(sip.clone()).expect("set once");
    let agent = json!({"kind": "websocket", "url": "ws://127.0.0.1:9/", "protocol": "vox"});
    let backend = Backend::of(agent);
    let worker = Worker::start("", &environment(&sip.url(), &backend.config_url()));
    let begun = Instant::now();
    accepted(&worker, "/livekit/dialout", &json!({"bot_id": "b", "to_number": CALLEE}));
    let result = backend.results(1, Duration::from_secs(10)).remove(0);
    println!("a dead brain: {} ms", begun.elapsed().as_millis());
    assert_eq!(result["disconnected_by"], "error", "{result}");
    event(&result, "agent_given_up");
    is_idle(&worker);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn whom_we_call_hears_the_bot_once_it_has_answered() {
    let _turn = one_at_a_time();
    if !has_network("whom_we_call_hears_the_bot_once_it_has_answered") {
        return;
    }
    let Some(livekit) = Server::start() else { return };
    let livekit = Arc::new(livekit);
    let directory = tempfile::tempdir().expect("a directory");
    let Some(speech) = ears::speech(directory.path(), 48_000, 3) else { return };
    let (tell, told) = mpsc::channel();
    // The service outlives the test, and the server must not.
    let (server, tell) = (Arc::downgrade(&livekit), Mutex::new(tell));
    let sip = SipService::before(livekit.address(), move |request| {
        let Asked::Call(call) = request else { panic!("{request:?}") };
        let arguments = ["--identity", &call.participant_identity, "--active-after", "2"];
        let server = server.upgrade().expect("the test waits");
        let mut phone = server.call(&call.room_name, &speech, &arguments);
        phone.wait_for("active");
        tell.lock().expect("one call").send((phone, Instant::now())).expect("the test waits");
        "create_participant_answered"
    });
    let opened = Arc::new(Mutex::new(Vec::new()));
    let started = opened.clone();
    let brain = Brain::start(move |socket, _| {
        while let Some(event) = brain::event(socket) {
            if event["type"] == "start" {
                started.lock().expect("one call").push(Instant::now());
                brain::echo(socket);
            }
        }
    });
    let backend = Backend::of(brain.agent("vox"));
    let worker = Worker::start("", &environment(&sip.url(), &backend.config_url()));
    let asked = Instant::now();
    accepted(&worker, "/livekit/dialout", &json!({"bot_id": "b", "to_number": CALLEE}));
    wait_for("the brain's socket", Duration::from_secs(2), || {
        (brain.connections() == 1).then_some(())
    });
    let connected = asked.elapsed();
    let (mut phone, answered) = told.recv_timeout(Duration::from_secs(30)).expect("a callee");
    phone.wait_for("heard");
    let (_, _) = phone.ended();
    let result = backend.results(1, Duration::from_secs(5)).remove(0);
    assert_eq!(result["disconnected_by"], "customer", "{result}");
    assert_eq!(result["call_direction"], "outbound");
    let started = opened.lock().expect("one call")[0];
    println!(
        "dial-out: the brain's socket after {} ms, its start {} ms after the answer",
        connected.as_millis(),
        started.saturating_duration_since(answered).as_millis()
    );
    assert!(started + Duration::from_millis(50) >= answered, "not before the answer");
    is_idle(&worker);
}

#[test]
fn whom_the_dialler_called_hears_the_bot_and_the_backend_that_the_call_names_has_the_result() {
    let _turn = one_at_a_time();
    let name =
        "whom_the_dialler_called_hears_the_bot_and_the_backend_that_the_call_names_has_the_result";
    if !has_network(name) {
        return;
    }
    let Some(livekit) = Server::start() else { return };
    let (own, named) = (Backend::of(json!({"kind": "tone"})), Backend::of(json!({"kind": "echo"})));
    let worker = Worker::start("", &environment(&livekit.url, &own.config_url()));
    let Some(speech) = ears::speech(worker.directory(), 48_000, 4) else { return };
    let arguments = ["--identity", &format!("sip-{CALLEE}"), "--status", "active"];
    // Somebody else is in the room first: the call is not with them.
    let _other = livekit.call("dial-1", &speech, &["--visitor", "--identity", "someone"]);
    let phone = livekit.call("dial-1", &speech, &arguments);
    let call = json!({
        "room_name": "dial-1", "bot_id": "b", "to_number": CALLEE, "from_number": DID,
        "config_url": named.config_url(), "connected_event": {"name": "Ann"}, "campaign_call_id": 7,
    });
    let answer = accepted(&worker, "/attach", &call);
    let (events, _) = phone.ended();
    assert!(events.iter().any(|event| event["event"] == "heard"), "{events:?}");
    let result = named.results(1, Duration::from_secs(5)).remove(0);
    assert_eq!(
        (&result["disconnected_by"], &result["stream_id"]),
        (&json!("customer"), &answer["call_id"])
    );
    assert_eq!((&result["caller_id"], &result["from_number"]), (&json!(CALLEE), &json!(DID)));
    assert_eq!(result["connected_event"], json!({"name": "Ann", "_campaign_call_id": 7}));
    assert!(own.asked().is_empty(), "{:?}", own.asked());
    assert!(named.asked()[0].contains("_campaign_call_id"), "{:?}", named.asked());
    is_idle(&worker);
}

#[test]
fn a_visitor_is_spoken_to_at_once() {
    let _turn = one_at_a_time();
    if !has_network("a_visitor_is_spoken_to_at_once") {
        return;
    }
    let Some(livekit) = Server::start() else { return };
    // A worker with bots of its own asks the Backend that a call names all the same.
    let worker = Worker::start("", &environment(&livekit.url, ""));
    let backend = Backend::of(json!({"kind": "tone"}));
    let Some(speech) = ears::speech(worker.directory(), 48_000, 3) else { return };
    let phone = livekit.call("widget-1", &speech, &["--visitor", "--identity", "visitor-1"]);
    accepted(
        &worker,
        "/livekit/widget",
        &json!({
            "room_name": "widget-1", "bot_id": "b", "config_url": backend.config_url(),
        }),
    );
    let (events, _) = phone.ended();
    assert!(events.iter().any(|event| event["event"] == "heard"), "{events:?}");
    let result = backend.results(1, Duration::from_secs(5)).remove(0);
    assert_eq!(
        (&result["disconnected_by"], &result["caller_id"]),
        (&json!("customer"), &json!("widget-user"))
    );
    is_idle(&worker);
}

#[test]
fn a_caller_for_whom_there_is_no_bot_or_no_place_is_hung_up() {
    let _turn = one_at_a_time();
    if !has_network("a_caller_for_whom_there_is_no_bot_or_no_place_is_hung_up") {
        return;
    }
    let Some(livekit) = Server::start() else { return };
    let backend = Backend::of(json!({"kind": "tone"}));
    let backend_url = backend.config_url();
    let mut environment = environment(&livekit.url, &backend_url);
    environment.push(("MAX_CONCURRENT_CALLS", "1"));
    let worker = Worker::start("", &environment);
    let Some(speech) = ears::speech(worker.directory(), 48_000, 3) else { return };
    let dispatch = |room: &str, dialed: &str| {
        let body =
            json!({"room_name": room, "caller_number": "+15105550111", "dialed_number": dialed});
        post(&worker, "/livekit/dispatch", &body)
    };
    let phone = livekit.call("call-1", &speech, &[]);
    let (status, answer) = dispatch("call-1", "+15105550199");
    assert_eq!((status, &answer["detail"]), (404, &json!("no_such_bot")));
    is_hung_up(phone);
    is_idle(&worker);

    let mut first = livekit.call("call-2", &speech, &["--hold", "30"]);
    assert_eq!(dispatch("call-2", DID).0, 200);
    first.wait_for("active");
    let second = livekit.call("call-3", &speech, &[]);
    let (status, answer) = dispatch("call-3", DID);
    assert_eq!((status, &answer["detail"]), (429, &json!("at_capacity")));
    is_hung_up(second);
    assert_eq!(worker.calls(), 1, "the first one goes on");
}

#[test]
fn a_phone_is_sent_elsewhere_by_refer_and_stays_where_that_fails() {
    let _turn = one_at_a_time();
    if !has_network("a_phone_is_sent_elsewhere_by_refer_and_stays_where_that_fails") {
        return;
    }
    let Some(livekit) = Server::start() else { return };
    let asked = Arc::new(Mutex::new(Vec::new()));
    let transfers = asked.clone();
    let sip = SipService::before(livekit.address(), move |request| {
        let Asked::Transfer(transfer) = request else { panic!("{request:?}") };
        let mut transfers = transfers.lock().expect("one at a time");
        transfers.push((transfer.participant_identity.clone(), transfer.transfer_to.clone()));
        if transfers.len() == 1 { "transfer_486" } else { "transfer_ok" }
    });
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let brain = Brain::start(move |socket, _| {
        let mut left = vec!["sip:desk@pbx.example", "+15105550333"];
        while let Some(event) = brain::event(socket) {
            if event["type"] == "transfer" {
                tell.lock().expect("one call").send(event.clone()).expect("the test waits");
            }
            if matches!(event["type"].as_str(), Some("start" | "transfer"))
                && let Some(target) = left.pop()
            {
                let wish = json!({"type": "transfer", "target": target, "reason": "asked for it"});
                socket.send(Message::text(wish.to_string())).expect("the worker listens");
            }
        }
    });
    let worker = Worker::start(&brain.bot("desk", "vox", ""), &environment(&sip.url(), ""));
    let Some(speech) = ears::speech(worker.directory(), 48_000, 30) else { return };
    let phone = livekit.call("call-1", &speech, &[]);
    let body =
        json!({"room_name": "call-1", "caller_number": "+15105550111", "dialed_number": "desk"});
    accepted(&worker, "/livekit/dispatch", &body);
    let next = || told.recv_timeout(Duration::from_secs(20)).expect("an outcome");
    let failed = next();
    assert_eq!((&failed["ok"], &failed["error"]), (&json!(false), &json!("REFER: 486 Busy Here")));
    assert_eq!(next()["ok"], true);
    is_hung_up(phone);
    let result = worker.results(1, Duration::from_secs(5)).remove(0);
    assert_eq!(result["disconnected_by"], "transfer_to_agent", "{result}");
    assert_eq!(result["transfer_method"], "livekit_sip_refer");
    assert_eq!(result["transfer_destination"], "sip:desk@pbx.example");
    let identity = "sip_+15105550111".to_owned();
    let expected = [
        (identity.clone(), "tel:+15105550333".to_owned()),
        (identity, "sip:desk@pbx.example".to_owned()),
    ];
    assert_eq!(*asked.lock().expect("one at a time"), expected);
}

#[test]
fn a_phone_is_hung_up_at_once_when_the_bot_hangs_up() {
    let _turn = one_at_a_time();
    if !has_network("a_phone_is_hung_up_at_once_when_the_bot_hangs_up") {
        return;
    }
    let Some(livekit) = Server::start() else { return };
    let brain = Brain::start(|socket, _| {
        while let Some(event) = brain::event(socket) {
            if event["type"] == "start" {
                socket.send(Message::text(r#"{"type":"hang_up"}"#)).expect("the worker listens");
            }
        }
    });
    let worker = Worker::start(&brain.bot("curt", "vox", ""), &environment(&livekit.url, ""));
    let Some(speech) = ears::speech(worker.directory(), 48_000, 30) else { return };
    let mut phone = livekit.call("call-1", &speech, &[]);
    let body =
        json!({"room_name": "call-1", "caller_number": "+15105550111", "dialed_number": "curt"});
    accepted(&worker, "/livekit/dispatch", &body);
    let active = phone.wait_for("active")["at"].as_f64().expect("a time");
    let gone = phone.wait_for("disconnected");
    let after = gone["at"].as_f64().expect("a time") - active;
    println!("the bot hangs up: the phone is off {:.0} ms after it was active", after * 1e3);
    assert_eq!(gone["reason"], "4", "PARTICIPANT_REMOVED: {gone}");
    assert_eq!(worker.results(1, Duration::from_secs(5))[0]["disconnected_by"], "bot");
    assert!(after < 2.0, "{after} s");
}
