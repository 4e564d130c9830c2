//! A real softphone is sent elsewhere by a bot's brain: baresip takes REFER, calls the target and
//! reports.

use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::Message;
use vox_tests::baresip::Baresip;
use vox_tests::brain::{self, Brain};
use vox_tests::worker::Worker;
use vox_tests::{ears, one_at_a_time};

#[test]
fn baresip_goes_where_the_brain_sends_it_and_stays_where_that_fails() {
    let _turn = one_at_a_time();
    let at: Arc<OnceLock<String>> = Arc::default();
    let (tell, told) = mpsc::channel();
    let (targets, tell) = (at.clone(), Mutex::new(tell));
    let desk = Brain::start(move |socket, _| {
        let tell = tell.lock().expect("one call at a time").clone();
        let mut left = vec!["tone", "nobody"];
        while let Some(event) = brain::event(socket) {
            if event["type"] == "transfer" {
                tell.send(event.clone()).expect("the test waits");
            }
            if matches!(event["type"].as_str(), Some("start" | "transfer"))
                && let Some(user) = left.pop()
            {
                let target = format!("sip:{user}@{}", targets.get().expect("the worker runs"));
                let wish = json!({"type": "transfer", "target": target, "reason": "asked for it"});
                socket.send(Message::text(wish.to_string())).expect("the worker listens");
            }
        }
    });
    let bots = desk.bot("desk", "vox", "") + "[bots.tone]\nagent = { kind = \"tone\" }\n";
    let worker = Worker::start(&bots, &[]);
    at.set(worker.sip.to_string()).expect("set once");
    let Some(speech) = ears::speech(worker.directory(), 8_000, 60) else { return };
    let Some(mut phone) = Baresip::start("PCMU/8000/1", &speech) else { return };

    phone.command("dial", &worker.uri("desk"));
    let next = || told.recv_timeout(Duration::from_secs(30)).expect("an outcome");
    let failed = next();
    assert_eq!(failed["ok"], false, "{failed}");
    assert!(failed["error"].as_str().expect("why").starts_with("404"), "{failed}");
    let done = next();
    assert_eq!((&done["ok"], &done["error"]), (&true.into(), &Value::Null), "{done}");
    let results = worker.results(1, Duration::from_secs(30));
    let result = &results[0];
    assert_eq!(result["disconnected_by"], "transfer_to_agent", "{result}");
    assert_eq!(result["was_transferred"], true, "{result}");
    assert_eq!(result["transfer_destination"], worker.uri("tone"), "{result}");
    assert_eq!(result["transfer_method"], "sip_refer", "{result}");
    assert_eq!(result["transfer_reason"], "asked for it", "{result}");
    assert_eq!(worker.calls(), 1, "the caller is with the other bot");
    phone.command("hangup", "");
    worker.results(2, Duration::from_secs(30));
    assert_eq!(worker.calls(), 0);
}
