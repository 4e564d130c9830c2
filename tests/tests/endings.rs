//! Whatever ends a call, it ends as the contract says and gives everything back.

use std::net::UdpSocket;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use vox_tests::peers::Process;
use vox_tests::worker::{TERM, Worker};
use vox_tests::{caller, ears, one_at_a_time, wait_for};

const NO_AUDIO_S: u64 = 3;

fn bots(extra: &str) -> String {
    format!(
        "[bots.echo]\nagent = {{ kind = \"echo\" }}\nno_audio_seconds = {NO_AUDIO_S}\n{extra}\n"
    )
}

fn only_result(worker: &Worker, limit: Duration) -> Value {
    worker.results(1, limit).remove(0)
}

fn has_event(result: &Value, name: &str) -> bool {
    result["events"]
        .as_array()
        .is_some_and(|events| events.iter().any(|event| event["event"] == name))
}

#[test]
fn a_caller_that_vanishes_is_noticed_and_its_recording_is_whole() {
    let _turn = one_at_a_time();
    let worker = Worker::start(&bots(""), &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 30) else { return };
    let mut command = caller::command(&worker, "echo");
    let victim = Process::start(
        command.arg("--play").arg(&speech).args(["--codec", "PCMU"]).stdout(Stdio::null()),
    );
    wait_for("the call", Duration::from_secs(5), || (worker.calls() == 1).then_some(()));
    let talked = Instant::now();
    wait_for("two seconds of talk", Duration::from_secs(5), || {
        (talked.elapsed() > Duration::from_secs(2)).then_some(())
    });
    victim.signal(9);
    let vanished = Instant::now();
    let result = only_result(&worker, Duration::from_secs(NO_AUDIO_S + 5));
    assert!(vanished.elapsed() >= Duration::from_secs(NO_AUDIO_S - 1), "ended before its limit");
    assert_eq!(result["disconnected_by"], "error", "{result}");
    assert!(has_event(&result, "media_timeout"), "{result}");
    assert_eq!(worker.calls(), 0);
    assert!(
        worker.metric("vox_calls_ended_total{reason=\"media_timeout\"").is_some_and(|n| n == 1.0)
    );
    let wav = ears::wav(&worker.recordings(1, Duration::from_secs(10))[0]);
    let heard = wav.samples.len() as f64 / 2.0 / f64::from(wav.rate_hz);
    let call = result["call_duration_seconds"].as_f64().expect("a duration");
    assert!((heard - call).abs() <= 0.04, "recording {heard} s, call {call} s");
}

#[test]
fn a_call_past_its_limit_ends_as_timeout() {
    let _turn = one_at_a_time();
    let worker = Worker::start(&bots("max_call_duration_seconds = 2"), &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 10) else { return };
    let call = caller::say(&worker, "echo", &speech, &["--codec", "PCMA"]);
    assert_eq!(call.report["hung_up_by_peer"], true);
    let result = only_result(&worker, Duration::from_secs(5));
    assert_eq!(result["disconnected_by"], "timeout", "{result}");
    assert!(
        (result["call_duration_seconds"].as_f64().expect("a duration") - 2.0).abs() < 0.1,
        "{result}"
    );
}

#[test]
fn a_full_worker_refuses_before_any_side_effect() {
    let _turn = one_at_a_time();
    let worker = Worker::start(&bots(""), &[("MAX_CONCURRENT_CALLS", "1")]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 30) else { return };
    let mut first = caller::command(&worker, "echo");
    let first = Process::start(first.arg("--play").arg(&speech).stdout(Stdio::null()));
    wait_for("the call", Duration::from_secs(5), || (worker.calls() == 1).then_some(()));
    let second =
        caller::command(&worker, "echo").args(["--duration", "1"]).output().expect("vox call runs");
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(
        !second.status.success() && error.contains("486") && error.contains("retry after"),
        "{error}"
    );
    first.signal(2);
    let result = only_result(&worker, Duration::from_secs(5));
    assert_eq!(result["disconnected_by"], "customer", "{result}");
}

#[test]
fn an_invite_that_is_never_acknowledged_ends_as_an_error() {
    let _turn = one_at_a_time();
    // A long media limit, so that it is the missing ACK that ends the call.
    let worker =
        Worker::start("[bots.echo]\nagent = { kind = \"echo\" }\nno_audio_seconds = 120\n", &[]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let local = socket.local_addr().expect("bound");
    socket.connect(worker.sip).expect("connected");
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";
    let invite = format!(
        "INVITE sip:echo@{} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK-no-ack\r\nMax-Forwards: 70\r\n\
         From: <sip:deaf@{local}>;tag=1\r\nTo: <sip:echo@{}>\r\nCall-ID: no-ack\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:deaf@{local}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        worker.sip,
        worker.sip,
        sdp.len()
    );
    socket.send(invite.as_bytes()).expect("sent");
    // 64 * T1 = 32 s (RFC 3261 §13.3.1.4).
    let result = only_result(&worker, Duration::from_secs(45));
    assert_eq!(result["disconnected_by"], "error", "{result}");
    assert_eq!(worker.calls(), 0);
}

#[test]
fn a_draining_worker_lets_its_call_run_and_then_ends() {
    let _turn = one_at_a_time();
    let mut worker = Worker::start(&bots(""), &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 4) else { return };
    let mut command = caller::command(&worker, "echo");
    let mut call =
        Process::start(command.arg("--play").arg(&speech).arg("--json").stdout(Stdio::null()));
    wait_for("the call", Duration::from_secs(5), || (worker.calls() == 1).then_some(()));
    worker.process.signal(TERM);
    wait_for("the drain", Duration::from_secs(5), || {
        worker.get("/health")?.contains("\"total_available\":0").then_some(())
    });
    let refused =
        caller::command(&worker, "echo").args(["--duration", "1"]).output().expect("vox call runs");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("503"), "{refused:?}");
    assert!(call.0.wait().expect("a child").success(), "the call was cut");
    let status = wait_for("the worker's end", Duration::from_secs(10), || {
        worker.process.0.try_wait().expect("a child")
    });
    assert!(status.success(), "{status}");
    assert_eq!(only_result(&worker, Duration::from_secs(1))["disconnected_by"], "customer");
}
