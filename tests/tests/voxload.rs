//! The load generator says what is so: beside a worker's own counters, beside SIPp, and with faults
//! that are put into the path on purpose.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use vox_tests::peers::Process;
use vox_tests::worker::{Worker, binary, free_port};
use vox_tests::{one_at_a_time, peers, wait_for};

/// Exit status of a run in which the generator was the limit.
const GENERATOR_WAS_THE_LIMIT: i32 = 3;

struct Run {
    report: Value,
    status: i32,
    said: String,
}

impl Run {
    fn of(directory: &Path, arguments: &[&str]) -> Self {
        let child = start(directory, arguments);
        Self::finish(directory, child)
    }

    fn finish(directory: &Path, child: Child) -> Self {
        let output = child.wait_with_output().expect("a child");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        let json = std::fs::read(directory.join("run.json"));
        let json = json.unwrap_or_else(|_| panic!("no report: {} {said}{why}", output.status));
        println!("{said}");
        let report = serde_json::from_slice(&json).expect("JSON");
        Self { report, status: output.status.code().unwrap_or(-1), said: said + &why }
    }

    fn count(&self, path: &str) -> u64 {
        let value = self.report.pointer(path).unwrap_or(&Value::Null);
        value.as_u64().unwrap_or_else(|| panic!("{path} is {value}: {}", self.said))
    }

    fn number(&self, path: &str) -> f64 {
        let value = self.report.pointer(path).unwrap_or(&Value::Null);
        value.as_f64().unwrap_or_else(|| panic!("{path} is {value}: {}", self.said))
    }

    /// Failed calls by reason, refused ones by status.
    fn reasons(&self, kind: &str) -> String {
        self.report["calls"][kind].to_string()
    }
}

fn start(directory: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(binary("voxload"));
    command.arg("run").args(arguments).arg("--json").arg(directory.join("run.json"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("voxload starts")
}

/// SIPp's built-in answering side.
fn sipp_uas(directory: &Path, arguments: &[&str]) -> Option<(Process, SocketAddr)> {
    let program = peers::find("sipp")?;
    let port = free_port();
    let mut command = Command::new(program);
    command.args(arguments).args(["-i", "127.0.0.1", "-mi", "127.0.0.1"]);
    command.args(["-p", &port.to_string(), "-mp", &free_port().to_string(), "-nostdin"]);
    command.args(["-timeout", "120"]).current_dir(directory);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let process = Process::start(&mut command);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    wait_for("SIPp to listen", Duration::from_secs(10), || {
        let taken = std::net::UdpSocket::bind(address).is_err();
        taken.then_some(())
    });
    Some((process, address))
}

#[test]
fn what_it_counts_of_a_worker_the_worker_counts_too() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &[]);
    let run = Run::of(
        worker.directory(),
        &[
            "echo",
            "--target",
            &worker.uri("echo"),
            "--calls",
            "20",
            "--rate",
            "20",
            "--hold",
            "1m",
            "--settle",
            "2",
            "--seconds",
            "10",
            "--pass",
            "failed=0,refused=0,one_way=0",
            "--metrics",
            &format!("http://{}/metrics", worker.http),
        ],
    );
    assert!([0, GENERATOR_WAS_THE_LIMIT].contains(&run.status), "{}", run.said);
    for path in ["/calls/placed", "/calls/answered", "/calls/ended_well", "/calls/peak"] {
        assert_eq!(run.count(path), 20, "{path}: {}", run.said);
    }
    assert_eq!((run.reasons("failed"), run.reasons("refused")), ("{}".into(), "{}".into()));
    let ended = r#"vox_calls_ended_total{reason="caller_hung_up",outcome="completed"}"#;
    wait_for("the worker to count its calls", Duration::from_secs(5), || {
        (worker.metric(ended) == Some(20.0)).then_some(())
    });
    assert_eq!(run.count("/heard/echoed"), 20);
    assert_eq!(run.count("/heard/one_way"), 0);
    // 20 calls of 50 packets a second, for 10 seconds.
    let received = run.number("/heard/received");
    assert!((9_000.0..=10_400.0).contains(&received), "{received}");
    let mos = run.number("/heard/mos/p50");
    println!("loss {}, MOS {mos}", run.number("/heard/lost") / received);
    assert!(run.report["target_agent"].as_str().is_some_and(|agent| !agent.is_empty()));
    assert!(run.number("/watched/cpu_cores") > 0.0, "it finds the process that listens there");
    assert!(run.report["watched"]["metrics"].as_object().is_some_and(|grown| !grown.is_empty()));
}

#[test]
fn refusals_of_a_full_worker_are_reported_as_many_as_it_counts() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &[("MAX_CONCURRENT_CALLS", "5")]);
    let run = Run::of(
        worker.directory(),
        &[
            "echo",
            "--target",
            &worker.uri("echo"),
            "--rate",
            "4",
            "--hold",
            "1m",
            "--settle",
            "0",
            "--seconds",
            "5",
            "--pass",
            "refused=0",
        ],
    );
    assert!([1, GENERATOR_WAS_THE_LIMIT].contains(&run.status), "{}", run.said);
    let refused: u64 = run.report["calls"]["refused"]
        .as_object()
        .map(|each| each.values().filter_map(Value::as_u64).sum())
        .unwrap_or_default();
    let counted = worker.metric(r#"vox_calls_refused_total{reason="at_capacity"}"#);
    assert_eq!(Some(refused as f64), counted, "{}", run.said);
    assert_eq!(run.count("/calls/answered"), 5);
    assert_eq!(run.count("/calls/placed"), refused + 5);
}

#[test]
fn callers_who_vanish_say_nothing_and_the_worker_notices_by_itself() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &[]);
    let run = Run::of(
        worker.directory(),
        &[
            "echo",
            "--target",
            &worker.uri("echo"),
            "--rate",
            "3",
            "--hold",
            "1s",
            "--settle",
            "0",
            "--seconds",
            "3",
            "--set",
            "callers.vanish=100%",
        ],
    );
    let placed = run.count("/calls/placed");
    let gone = placed.min(run.count("/calls/answered"));
    assert!(gone >= 6 && run.reasons("failed") == "{}", "{}", run.said);
    let silent = r#"vox_calls_ended_total{reason="media_timeout",outcome="failed"}"#;
    let said_good_bye = r#"vox_calls_ended_total{reason="caller_hung_up",outcome="completed"}"#;
    let (silent, said) = wait_for("the worker to miss them", Duration::from_secs(90), || {
        let counts = (worker.metric(silent)?, worker.metric(said_good_bye)?);
        (counts.0 + counts.1 == gone as f64).then_some(counts)
    });
    // Those whose second was not over when the run was hang up as usual.
    assert!(silent >= 5.0, "{silent} missed, {said} said good-bye");
}

#[test]
fn an_interrupted_run_ends_its_calls_and_reports() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &[]);
    let child = start(
        worker.directory(),
        &["echo", "--target", &worker.uri("echo"), "--calls", "4", "--seconds", "300"],
    );
    wait_for("its calls", Duration::from_secs(20), || (worker.calls() == 4).then_some(()));
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()));
    let run = Run::finish(worker.directory(), child);
    assert_eq!(run.report["interrupted"], true);
    assert_eq!(run.count("/calls/ended_well"), 4, "{}", run.said);
    wait_for("no call", Duration::from_secs(5), || (worker.calls() == 0).then_some(()));
}

/// SIPp gives each packet back as it came: what we put into the path is what we hear.
#[test]
fn faults_in_the_path_are_reported_as_large_as_they_are() {
    let _turn = one_at_a_time();
    let directory = TempDir::new().expect("a directory");
    let Some((_sipp, address)) = sipp_uas(directory.path(), &["-sn", "uas", "-rtp_echo"]) else {
        return;
    };
    type Check = fn(&Run);
    let rows: [(&str, Check); 4] = [
        ("seed=1", |run| {
            assert_eq!(run.count("/heard/duplicates"), 0);
            assert!(run.number("/heard/round_trip_ms/p50") < 60.0);
        }),
        ("loss=1%", |run| {
            let loss = run.number("/heard/lost") / run.number("/heard/expected");
            assert!((0.004..0.018).contains(&loss), "{loss}");
        }),
        ("delay=200ms", |run| {
            let trip = run.number("/heard/round_trip_ms/p50");
            assert!((200.0..260.0).contains(&trip), "{trip}");
        }),
        ("jitter=30ms", |run| {
            // Uniform up to 30 ms: half of it is late by 15 ms or more, most by less than 30.
            let (half, most) = (run.number("/heard/late_ms/p50"), run.number("/heard/late_ms/p99"));
            assert!((10.0..25.0).contains(&half) && (25.0..60.0).contains(&most), "{half} {most}");
        }),
    ];
    for (network, check) in rows {
        println!("-- {network}");
        let run = Run::of(
            directory.path(),
            &[
                "echo",
                "--target",
                &format!("sip:echo@{address}"),
                "--calls",
                "10",
                "--rate",
                "20",
                "--hold",
                "1m",
                "--settle",
                "1",
                "--seconds",
                "9",
                "--set",
                &format!("callers.network={network}"),
            ],
        );
        assert_eq!(run.count("/calls/answered"), 10, "{}", run.said);
        check(&run);
    }
}

#[test]
fn calls_without_audio_are_found() {
    let _turn = one_at_a_time();
    let directory = TempDir::new().expect("a directory");
    let Some((_sipp, address)) = sipp_uas(directory.path(), &["-sn", "uas"]) else { return };
    let run = Run::of(
        directory.path(),
        &[
            "echo",
            "--target",
            &format!("sip:echo@{address}"),
            "--calls",
            "5",
            "--hold",
            "1m",
            "--settle",
            "1",
            "--seconds",
            "4",
        ],
    );
    assert_eq!(run.count("/heard/one_way"), 5, "{}", run.said);
    assert_eq!(run.reasons("failed"), r#"{"no audio":5}"#);
    assert_eq!(run.count("/heard/received"), 0);
}

#[test]
fn three_refusals_in_a_hundred_are_three_in_a_hundred() {
    let _turn = one_at_a_time();
    let directory = TempDir::new().expect("a directory");
    let scenario = directory.path().join("uas.xml");
    std::fs::write(&scenario, REFUSES_3_PERCENT).expect("the scenario");
    let scenario = scenario.to_string_lossy().into_owned();
    let Some((_sipp, address)) = sipp_uas(directory.path(), &["-sf", &scenario]) else { return };
    let run = Run::of(
        directory.path(),
        &[
            "echo",
            "--target",
            &format!("sip:echo@{address}"),
            "--rate",
            "40",
            "--hold",
            "100ms",
            "--expect",
            "silence",
            "--settle",
            "0",
            "--seconds",
            "10",
        ],
    );
    let (placed, refused) = (run.count("/calls/placed"), run.count("/calls/refused/486"));
    let share = refused as f64 / placed as f64;
    assert!(placed >= 390 && (0.01..0.06).contains(&share), "{refused} of {placed}");
    assert_eq!(run.reasons("failed"), "{}", "{}", run.said);
}

#[test]
fn sipp_calls_us_and_both_count_the_same() {
    let _turn = one_at_a_time();
    let directory = TempDir::new().expect("a directory");
    let Some(sipp) = peers::find("sipp") else { return };
    let port = free_port();
    let child = start(
        directory.path(),
        &[
            "dial-out",
            "--settle",
            "0",
            "--seconds",
            "9",
            "--set",
            &format!("callees.listen=127.0.0.1:{port}"),
            "--set",
            "callees.expect=silence",
            "--set",
            "callees.refuse={ share = \"0%\" }",
            "--set",
            "callees.ring_only=0%",
            "--set",
            "callees.answer_after=200ms",
            "--set",
            "callees.hang_up_after=1h",
        ],
    );
    wait_for("voxload to listen", Duration::from_secs(20), || {
        std::net::UdpSocket::bind(("127.0.0.1", port)).is_err().then_some(())
    });
    let status = Command::new(sipp)
        .arg(format!("127.0.0.1:{port}"))
        .args(["-sn", "uac", "-i", "127.0.0.1", "-m", "20", "-r", "10", "-d", "2000"])
        .args(["-p", &free_port().to_string(), "-timeout", "30", "-timeout_error", "-nostdin"])
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .status()
        .expect("sipp runs");
    let run = Run::finish(directory.path(), child);
    assert!(status.success(), "SIPp counts a failed call: {status}; {}", run.said);
    for path in ["/calls/placed", "/calls/answered", "/calls/ended_well"] {
        assert_eq!(run.count(path), 20, "{path}: {}", run.said);
    }
}

/// Stopped half of the time, in pieces of 50 ms: as under a quota of half a core.
#[test]
fn a_generator_with_half_a_core_says_that_it_was_the_limit() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &[]);
    let child = start(
        worker.directory(),
        &[
            "echo",
            "--target",
            &worker.uri("echo"),
            "--calls",
            "20",
            "--rate",
            "20",
            "--settle",
            "0",
            "--seconds",
            "5",
            "--pass",
            "loss<1%",
        ],
    );
    let until = Instant::now() + Duration::from_secs(6);
    let signal = |name: &str| {
        _ = Command::new("kill").args([name, &child.id().to_string()]).status();
    };
    while Instant::now() < until {
        signal("-STOP");
        sleep(Duration::from_millis(50));
        signal("-CONT");
        sleep(Duration::from_millis(50));
    }
    let run = Run::finish(worker.directory(), child);
    assert_eq!(run.status, GENERATOR_WAS_THE_LIMIT, "{}", run.said);
    assert_eq!(run.report["verdict"]["is"], "generator_was_the_limit");
    println!("it says: {}", run.report["verdict"]["why"]);
}

const REFUSES_3_PERCENT: &str = r#"<?xml version="1.0" encoding="ISO-8859-1"?>
<scenario name="refuses 3 %">
<recv request="INVITE"/>
<nop next="1" chance="0.03"/>
<send retrans="500"><![CDATA[

SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]SIPpTag[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port];transport=[transport]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=user1 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
]]></send>
<recv request="ACK"/>
<recv request="BYE"/>
<send next="2"><![CDATA[

SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
<label id="1"/>
<send retrans="500"><![CDATA[

SIP/2.0 486 Busy Here
[last_Via:]
[last_From:]
[last_To:];tag=[pid]SIPpTag[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
<recv request="ACK"/>
<label id="2"/>
</scenario>
"#;
