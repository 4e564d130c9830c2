//! A real softphone: baresip calls in with each codec, sends and receives digits, holds, resumes
//! and hangs up.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use vox_tests::baresip::Baresip;
use vox_tests::worker::Worker;
use vox_tests::{ears, one_at_a_time, wait_for};

/// baresip's name for a codec, ours, and the rate and channels that it wants its WAV in.
const CODECS: [(&str, &str, u32, u32); 4] = [
    ("PCMU/8000/1", "PCMU", 8_000, 1),
    ("PCMA/8000/1", "PCMA", 8_000, 1),
    ("G722/16000/1", "G722", 16_000, 1),
    ("opus/48000/2", "opus", 48_000, 2),
];
const BOTS: &str = "[bots.keys]\nagent = { kind = \"echo\" }\ndigits_on_answer = \"4*2\"\n";

#[test]
fn baresip_calls_with_each_codec_presses_keys_holds_resumes_and_hangs_up() {
    let _turn = one_at_a_time();
    let worker = Worker::start(BOTS, &[]);
    for (nth, (codec, name, rate_hz, channels)) in CODECS.into_iter().enumerate() {
        let Some(speech) = speech(worker.directory(), rate_hz, channels) else { return };
        let Some(mut phone) = Baresip::start(codec, &speech) else { return };
        call(&mut phone, &worker);
        let results = worker.results(nth + 1, Duration::from_secs(30));
        let result = results.iter().find(|result| result["media"]["codec"] == name);
        check(result.unwrap_or_else(|| panic!("no call by {name}: {results:?}")));
    }
    let recordings = worker.recordings(CODECS.len(), Duration::from_secs(30));
    for path in recordings {
        let wav = ears::wav(&path);
        assert!(wav.samples.len() > 2 * wav.rate_hz as usize, "{} is empty", path.display());
    }
    assert_eq!(worker.calls(), 0);
    assert_eq!(worker.metric("vox_ports_used"), Some(0.0));
}

fn call(phone: &mut Baresip, worker: &Worker) {
    phone.command("dial", &worker.uri("keys"));
    phone.event("CALL_ESTABLISHED");
    for key in ["4", "*", "2"] {
        let pressed = phone.event("CALL_DTMF_START");
        assert_eq!(pressed["param"], key, "{pressed}");
        phone.event("CALL_DTMF_END");
    }
    phone.event("CALL_REMOTE_SDP");
    for key in ["7", "#", "0"] {
        phone.command("sndcode", key);
    }
    phone.command("hold", "");
    phone.event("CALL_REMOTE_SDP");
    phone.command("resume", "");
    phone.event("CALL_REMOTE_SDP");
    // baresip still has keys to send, each for about 200 ms.
    let received = || worker.metric("vox_packets_received_total").expect("a counter");
    let before = received();
    wait_for("2 s of media", Duration::from_secs(20), || {
        (received() >= before + 100.0).then_some(())
    });
    phone.command("hangup", "");
    phone.event("CALL_CLOSED");
}

fn check(result: &Value) {
    assert_eq!(result["disconnected_by"], "customer", "{result}");
    assert_eq!(result["media"]["dtmf"], "7#0", "{result}");
    assert_eq!(result["media"]["lost"], 0, "{result}");
    let events = result["events"].as_array().expect("events");
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    let found = ["answered", "media_started", "renegotiated", "caller_hung_up"].map(count);
    assert_eq!(found, [1, 1, 2, 1], "{result}");
}

/// Speech at the codec's own rate: baresip does not resample a file.
fn speech(directory: &Path, rate_hz: u32, channels: u32) -> Option<PathBuf> {
    let mono = ears::speech(directory, rate_hz, 60)?;
    if channels == 1 {
        return Some(mono);
    }
    let stereo = mono.with_extension("stereo.wav");
    let sox = Command::new("sox").arg(&mono).args(["-c", "2"]).arg(&stereo).status();
    assert!(sox.is_ok_and(|status| status.success()), "sox makes it stereo");
    Some(stereo)
}
