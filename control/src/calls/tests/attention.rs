//! Transfers and silence, on a real engine.

use vox_codecs::wav::WavWriter;

use super::*;

/// Says nothing for `packets` of 20 ms, in real time.
async fn say_nothing(phone: &UdpSocket, to: std::net::SocketAddr, packets: u16) {
    send(phone, to, packets, 0xFF).await;
}

#[tokio::test]
async fn a_caller_who_never_speaks_ends_as_rnr() {
    let dir = tempfile::tempdir().unwrap();
    let bots = "[bots.echo]\nagent = { kind = \"echo\" }\nrnr_seconds = 1\n\
                max_call_duration_seconds = 60\nwarning_seconds = 60\n";
    let rig = Rig::start(dir.path(), bots, 2);
    let phone = phone();
    let mut call = rig.open("echo").await.unwrap();
    call.answer(session(&phone)).await.unwrap();
    let to = call.rtp();
    tokio::select! {
        reason = within(call.ended()) => assert_eq!(reason, Reason::NeverSpoke),
        () = say_nothing(&phone, to, 3_000) => panic!("it goes on"),
    }
    let result = rig.result().await;
    assert_eq!(result["disconnected_by"], "RNR");
    assert!(events(&result).ends_with(&["nobody_speaks", "never_spoke"]), "{result}");
}

#[tokio::test]
async fn a_caller_of_whom_nothing_comes_is_a_phantom_and_no_rnr() {
    let dir = tempfile::tempdir().unwrap();
    let bots = "[bots.echo]\nagent = { kind = \"echo\" }\nrnr_seconds = 1\nno_audio_seconds = 2\n";
    let rig = Rig::start(dir.path(), bots, 2);
    let phone = phone();
    let mut call = rig.open("echo").await.unwrap();
    call.answer(session(&phone)).await.unwrap();
    assert_eq!(within(call.ended()).await, Reason::MediaTimeout);
}

#[tokio::test]
async fn a_caller_who_spoke_or_pressed_a_key_stays_and_is_warned_before_the_end() {
    for key in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let bots = "[bots.echo]\nagent = { kind = \"echo\" }\nrnr_seconds = 1\n\
                    max_call_duration_seconds = 4\nwarning_seconds = 2\n";
        let rig = Rig::start(dir.path(), bots, 2);
        let phone = phone();
        let mut call = rig.open("echo").await.unwrap();
        call.answer(session(&phone)).await.unwrap();
        let to = call.rtp();
        if key {
            call.digit_from_signalling('1', Duration::from_millis(100));
        } else {
            talk(&phone, to, 20).await;
        }
        tokio::select! {
            reason = within(call.ended()) => assert_eq!(reason, Reason::MaxDuration),
            () = say_nothing(&phone, to, 3_000) => panic!("it goes on"),
        }
        let result = rig.result().await;
        assert_eq!(result["disconnected_by"], "timeout");
        assert!(events(&result).contains(&"max_duration_warning"), "{result}");
    }
}

#[tokio::test]
async fn a_silent_conversation_is_taken_up_again_by_files_and_then_ended() {
    let dir = tempfile::tempdir().unwrap();
    prompt(&dir.path().join("there.wav"), 20);
    let bots = "[bots.echo]\nagent = { kind = \"echo\" }\nno_audio_seconds = 60\n\
                re_engagement = { silence_seconds = 2, max_attempts = 1, files = [\"there.wav\"] }\n";
    let rig = Rig::start(dir.path(), bots, 2);
    let phone = phone();
    let mut call = rig.open("echo").await.unwrap();
    call.answer(session(&phone)).await.unwrap();
    talk(&phone, call.rtp(), 20).await;
    assert_eq!(within(call.ended()).await, Reason::BotHungUp);
    let result = rig.result().await;
    let events = events(&result);
    let at = |name: &str| events.iter().position(|event| *event == name);
    assert!(at("re_engaged") < at("played") && at("played") < at("nobody_speaks"), "{events:?}");
}

const TARGETS: &str = "[bots.echo]\nagent = { kind = \"echo\" }\nno_audio_seconds = 60\n\
    pre_transfer_file = \"moment.wav\"\n\
    transfer_targets = [{ id = \"desk\", type = \"extension\", value = \"600\", enabled = true }]\n";

#[tokio::test]
async fn a_caller_is_told_then_sent_and_the_result_says_where() {
    let dir = tempfile::tempdir().unwrap();
    prompt(&dir.path().join("moment.wav"), 25);
    let rig = Rig::start(dir.path(), TARGETS, 2);
    let phone = phone();
    let mut call = rig.open("echo").await.unwrap();
    let request = |target: &str| TransferRequest {
        target: Some(target.into()),
        reason: Some("wants a human".into()),
        mode: None,
    };
    let early = rig.calls.transfer(call.call(), request("desk"));
    assert_eq!(early, Err("the call is not in progress".into()));
    call.answer(session(&phone)).await.unwrap();
    talk(&phone, call.rtp(), 5).await;
    let nowhere = rig.calls.transfer(call.call(), request("+900"));
    assert_eq!(nowhere, Err("the bot has no transfer target \"+900\"".into()));
    for attempt in 0..2 {
        rig.calls.transfer(call.call(), request("desk")).unwrap();
        let twice = rig.calls.transfer(call.call(), request("desk"));
        assert_eq!(twice, Err("another transfer is in progress".into()));
        let order = within(call.next_order()).await;
        let (to, mode) = (Destination::Number("600".into()), TransferMode::Blind);
        assert_eq!(order, Order::Transfer { to, mode });
        call.transferred("test", if attempt == 0 { Err("486 Busy Here".into()) } else { Ok(()) });
    }
    assert_eq!(within(call.next_order()).await, Order::Ended(Reason::Transferred));
    let result = rig.result().await;
    let expected = serde_json::json!({
        "disconnected_by": "transfer_to_agent", "was_transferred": true,
        "transfer_destination": "600", "transfer_target": "desk",
        "transfer_reason": "wants a human", "transfer_method": "test",
        "transfer_failed_reason": null,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(result[key], *value, "{key}");
    }
    assert!(result["transfer_at"].as_str().unwrap().ends_with('Z'), "{result}");
    let wanted = [
        "transfer_requested",
        "played",
        "transfer_failed",
        "transfer_requested",
        "played",
        "transfer_done",
    ];
    let events = events(&result);
    let found: Vec<_> = events.iter().filter(|event| wanted.contains(event)).collect();
    assert_eq!(found, wanted.iter().collect::<Vec<_>>(), "announced before each");
}

#[tokio::test]
async fn a_transfer_that_failed_is_in_the_result_of_the_call_that_went_on() {
    let dir = tempfile::tempdir().unwrap();
    prompt(&dir.path().join("moment.wav"), 1);
    let rig = Rig::start(dir.path(), TARGETS, 2);
    let phone = phone();
    let mut call = rig.open("echo").await.unwrap();
    call.answer(session(&phone)).await.unwrap();
    rig.calls.transfer(call.call(), TransferRequest::default()).unwrap();
    within(call.next_order()).await;
    call.transferred("test", Err("603 Decline".into()));
    rig.calls.hang_up_by_bot(call.call(), Some("nobody is there"));
    assert_eq!(within(call.ended()).await, Reason::BotHungUp);
    let result = rig.result().await;
    assert_eq!(result["disconnected_by"], "bot");
    assert_eq!((&result["was_transferred"], &result["transfer_at"]), (&false.into(), &Value::Null));
    assert_eq!(result["transfer_failed_reason"], "603 Decline");
}

#[tokio::test]
async fn a_call_to_a_target_takes_a_slot_gives_it_back_and_is_in_its_callers_result() {
    let dir = tempfile::tempdir().unwrap();
    prompt(&dir.path().join("moment.wav"), 1);
    let rig = Rig::start(dir.path(), TARGETS, 2);
    let (caller, target) = (phone(), phone());
    let mut call = rig.open("echo").await.unwrap();
    call.answer(session(&caller)).await.unwrap();
    assert_eq!(call.consult().unwrap_err(), "there is no transfer");
    let mode = Some("attended".to_owned());
    rig.calls.transfer(call.call(), TransferRequest { mode, ..Default::default() }).unwrap();
    let order = within(call.next_order()).await;
    assert!(matches!(order, Order::Transfer { mode: TransferMode::Attended, .. }), "{order:?}");
    let mut leg = call.consult().unwrap();
    assert_eq!(rig.calls.slots().taken(), 2);
    assert_eq!(call.consult().unwrap_err(), "no slot is free for the call to the target");
    leg.answer(session(&target)).await.unwrap();
    leg.close(Reason::Transferred);
    assert_eq!(within(leg.ended()).await, Reason::Transferred);
    assert_eq!(rig.calls.slots().taken(), 1);
    rig.calls.drain();
    assert_eq!(call.consult().unwrap_err(), "the worker drains and places no calls");
    call.transferred("test", Ok(()));
    let result = rig.result().await;
    let events = events(&result);
    let steps = ["consultation_started", "consultation_answered", "consultation_ended"];
    let found: Vec<_> = events.into_iter().filter(|event| steps.contains(event)).collect();
    assert_eq!(found, steps);
}

fn prompt(path: &Path, frames: usize) {
    let mut wav = WavWriter::new(std::fs::File::create(path).unwrap(), 8_000, 1).unwrap();
    wav.write(&vec![1_000; frames * 160]).unwrap();
    wav.finish().unwrap();
}
