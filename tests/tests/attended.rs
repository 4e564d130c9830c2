//! Attended transfers between real peers: SIPp and baresip as the caller's side and as the target.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use Step::{Answer, AnswerInvite, AnswerInviteWithSdp, Call, Get, GetWith, Pause, Report};
use serde_json::{Value, json};
use tungstenite::Message;
use vox_codecs::wav::Wav;
use vox_tests::baresip::{Baresip, two_free_ports};
use vox_tests::brain::{self, Brain};
use vox_tests::sipp::{Sipp, Step};
use vox_tests::worker::{Worker, free_port};
use vox_tests::{ears, one_at_a_time, wait_for};

/// A worker whose bot `desk` sends its callers to the target `boss` at once, attended, and hangs up
/// when that fails.
struct Scene {
    worker: Worker,
    told: mpsc::Receiver<Value>,
    target: SocketAddr,
}

impl Scene {
    /// `fields` are more of the target's config.
    fn begin(fields: &str) -> Self {
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let desk = Brain::start(move |socket, _| {
            let tell = tell.lock().expect("one call at a time").clone();
            while let Some(event) = brain::event(socket) {
                let wish = match (event["type"].as_str(), &event["ok"]) {
                    (Some("start"), _) => {
                        json!({"type": "transfer", "target": "boss", "mode": "attended"})
                    }
                    (Some("transfer"), Value::Bool(false)) => json!({"type": "hang_up"}),
                    _ => continue,
                };
                if event["type"] == "transfer" {
                    tell.send(event).expect("the test waits");
                }
                socket.send(Message::text(wish.to_string())).expect("the worker listens");
            }
        });
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, two_free_ports()));
        let bots = desk.bot("desk", "vox", "")
            + &format!(
                "transfer_targets = [{{ id = \"boss\", type = \"sip_uri\", enabled = true, \
                 value = \"sip:al@{target}\"{fields} }}]\n"
            );
        let limits = [("VOXCORE_ANSWER_SECONDS", "3")];
        Self { worker: Worker::start(&bots, &limits), told, target }
    }

    /// SIPp as the target, and as the caller; `None` when there is no SIPp.
    fn play(&self, caller: &[Step<'_>], target: &[Step<'_>]) -> Option<Value> {
        let directory = self.worker.directory();
        let (sip, port) = (self.worker.sip, self.target.port());
        let target = Sipp::start(directory, port, "boss", sip, target)?;
        let result = self.call(caller)?;
        target.finish();
        Some(result)
    }

    /// SIPp as the caller; the result of its call, once nothing is left of it.
    fn call(&self, caller: &[Step<'_>]) -> Option<Value> {
        let directory = self.worker.directory();
        Sipp::start(directory, free_port(), "desk", self.worker.sip, caller)?.finish();
        let mut results = self.worker.results(1, Duration::from_secs(30));
        wait_for("both calls to be over", Duration::from_secs(30), || {
            let ports = self.worker.metric("vox_ports_used");
            (self.worker.calls() == 0 && ports == Some(0.0)).then_some(())
        });
        let results_now = self.worker.results(1, Duration::from_secs(1)).len();
        assert_eq!(results_now, 1, "the call to the target has no result of its own");
        Some(results.remove(0))
    }

    /// How many calls ended for this reason.
    fn ended(&self, outcome: &str, reason: &str) -> Option<f64> {
        let text = self.worker.get("/metrics")?;
        let wanted = [format!("outcome=\"{outcome}\""), format!("reason=\"{reason}\"")];
        let line = text.lines().find(|line| {
            line.starts_with("vox_calls_ended_total") && wanted.iter().all(|it| line.contains(it))
        })?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

fn events(result: &Value) -> Vec<&str> {
    let events = result["events"].as_array().expect("events");
    events.iter().filter_map(|event| event["event"].as_str()).collect()
}

const REFER_TO: &str = "Refer-To: <sip:desk@[0-9.:]+[?]Replaces=[^;@ ]+%40[^;@ ]+\
                        %3Bto-tag%3D[^;@ ]+%3Bfrom-tag%3D[^;@ ]+>";
const OK: &str = "200 OK";

#[test]
fn a_caller_takes_over_the_target_that_was_called_first() {
    let _turn = one_at_a_time();
    let scene = Scene::begin("");
    let caller = [
        Call,
        GetWith("REFER", REFER_TO),
        Answer("202 Accepted"),
        Report("100 Trying"),
        Report(OK),
        Get("BYE"),
        Answer(OK),
    ];
    let target = [
        Get("INVITE"),
        AnswerInvite("180 Ringing"),
        AnswerInviteWithSdp(OK),
        Get("ACK"),
        Get("BYE"),
        Answer(OK),
    ];
    let Some(result) = scene.play(&caller, &target) else { return };
    let expected = json!({
        "disconnected_by": "transfer_to_agent", "was_transferred": true,
        "transfer_destination": format!("sip:al@{}", scene.target), "transfer_target": "boss",
        "transfer_method": "sip_refer_attended", "transfer_failed_reason": null,
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(result[key], *value, "{key}: {result}");
    }
    let events = events(&result);
    let steps = ["consultation_started", "consultation_answered", "transfer_done"];
    let at: Vec<_> = steps.map(|step| events.iter().position(|event| *event == step)).into();
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{events:?}");
    assert_eq!(scene.ended("completed", "transferred"), Some(2.0), "both calls");
}

/// The transfer fails for this reason, and the caller's call goes on with its bot, which hangs up.
fn fails(caller: &[Step<'_>], target: &[Step<'_>], why: &str) {
    let _turn = one_at_a_time();
    let scene = Scene::begin("");
    let caller = [&[Call], caller, &[Get("BYE"), Answer(OK)]].concat();
    let Some(result) = scene.play(&caller, target) else { return };
    let told = scene.told.recv_timeout(Duration::from_secs(10)).expect("the brain is told");
    assert_eq!(told["error"], why, "{told}");
    assert_eq!(result["disconnected_by"], "bot", "{result}");
    assert_eq!(result["was_transferred"], false, "{result}");
    assert_eq!(result["transfer_method"], "sip_refer_attended", "{result}");
    assert_eq!(result["transfer_failed_reason"], why, "{result}");
}

#[test]
fn a_busy_target_leaves_the_caller_with_its_bot() {
    let target = [Get("INVITE"), Answer("486 Busy Here"), Get("ACK")];
    fails(&[], &target, "the target: 486 Busy Here");
}

#[test]
fn a_target_that_never_picks_up_is_cancelled() {
    let target = [
        Get("INVITE"),
        Answer("180 Ringing"),
        Get("CANCEL"),
        Answer(OK),
        AnswerInvite("487 Request Terminated"),
        Get("ACK"),
    ];
    fails(&[], &target, "the target did not answer in time");
}

/// A target that answers, and is hung up.
const ANSWERS: [Step<'static>; 5] =
    [Get("INVITE"), AnswerInviteWithSdp(OK), Get("ACK"), Get("BYE"), Answer(OK)];

#[test]
fn a_caller_that_refuses_the_refer_keeps_its_bot() {
    let caller = [GetWith("REFER", REFER_TO), Answer("603 Decline")];
    fails(&caller, &ANSWERS, "REFER: 603 Decline");
}

#[test]
fn a_caller_that_asks_for_a_password_keeps_its_bot() {
    let caller = [GetWith("REFER", REFER_TO), Answer("401 Unauthorized")];
    fails(&caller, &ANSWERS, "REFER: 401 Unauthorized");
}

#[test]
fn a_caller_that_reports_a_failure_keeps_its_bot() {
    let caller = [
        GetWith("REFER", REFER_TO),
        Answer("202 Accepted"),
        Report("100 Trying"),
        Report("486 Busy Here"),
    ];
    fails(&caller, &ANSWERS, "486 Busy Here");
}

#[test]
fn a_softphone_is_called_hears_the_prompt_and_is_hung_up_when_the_caller_stays() {
    let _turn = one_at_a_time();
    let scene = Scene::begin(", consultation_file = \"speech-8000-60.wav\"");
    let Some(speech) = ears::speech(scene.worker.directory(), 8_000, 60) else { return };
    let port = scene.target.port();
    let Some(mut phone) = Baresip::start_at(port, "PCMU/8000/1", &speech) else { return };
    let caller = [Call, Get("REFER"), Pause(2_000), Answer("603 Decline"), Get("BYE"), Answer(OK)];
    let Some(result) = scene.call(&caller) else { return };
    phone.event("CALL_ESTABLISHED");
    phone.event("CALL_CLOSED");
    assert_eq!(result["transfer_failed_reason"], "REFER: 603 Decline", "{result}");
    // Its header is complete some time after the call.
    let heard = wait_for("what the target heard", Duration::from_secs(10), || {
        let wav = Wav::parse(&std::fs::read(phone.heard()?).ok()?).ok()?;
        (!wav.samples.is_empty()).then_some(wav)
    });
    let loud = heard.samples.iter().filter(|sample| sample.unsigned_abs() > 1_000).count();
    assert!(loud > 1_000, "{loud} loud samples of {}", heard.samples.len());
}
