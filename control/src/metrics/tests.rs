use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use vox_rtp::DropReason;

use super::*;

fn readings() -> Readings {
    let mut engine = Stats { calls: 3, ports_used: 4, buffers_held: 5, ..Stats::default() };
    engine.dropped[DropReason::Late as usize] = 6;
    Readings {
        agents: agents(),
        sip: crate::sip::SipCounts::default(),
        engine,
        slots_taken: 7,
        slots: 8,
        draining: true,
        results: QueueCounts { pending: 9, delivered: 10, failures: 11, poisoned: 12 },
        recordings: QueueCounts { pending: 13, delivered: 14, failures: 15, poisoned: 16 },
    }
}

fn agents() -> Arc<AgentCounts> {
    let counts = AgentCounts::default();
    let counters =
        [&counts.connected, &counts.reconnects, &counts.gone, &counts.lost_frames, &counts.unsent];
    for (counter, value) in counters.into_iter().zip(18..) {
        counter.store(value, Ordering::Relaxed);
    }
    counts.wrong("bad_json");
    counts.into()
}

fn text(counters: &Counters) -> String {
    let livekit = LivekitCounts::default();
    livekit.rescues.store(23, Ordering::Relaxed);
    Metrics::reading(counters, readings).with_livekit(livekit.into()).text().unwrap()
}

#[test]
fn what_was_counted_is_said() {
    let counters = Counters::default();
    counters.ended("failed", "media_timeout");
    counters.ended("completed", "caller_hung_up");
    counters.ended("completed", "caller_hung_up");
    counters.refused("at_capacity");
    counters.refused("no_ports");
    counters.recorded(Duration::from_millis(1_500), 17);
    let text = text(&counters);
    let rows = [
        ("vox_engine_calls", "3"),
        ("vox_ports_used", "4"),
        ("vox_receive_buffers_held", "5"),
        ("vox_packets_dropped_total{reason=\"late\"}", "6"),
        ("vox_packets_dropped_total{reason=\"truncated\"}", "0"),
        ("vox_calls_live", "7"),
        ("vox_calls_max", "8"),
        ("vox_draining", "1"),
        ("vox_outbox_pending", "9"),
        ("vox_outbox_delivered_total", "10"),
        ("vox_outbox_failures_total", "11"),
        ("vox_outbox_poisoned_total", "12"),
        ("vox_upload_pending", "13"),
        ("vox_upload_delivered_total", "14"),
        ("vox_upload_failures_total", "15"),
        ("vox_upload_poisoned_total", "16"),
        ("vox_calls_ended_total{reason=\"media_timeout\",outcome=\"failed\"}", "1"),
        ("vox_calls_ended_total{reason=\"caller_hung_up\",outcome=\"completed\"}", "2"),
        ("vox_calls_ended_total{reason=\"no_ack\",outcome=\"failed\"}", "0"),
        ("vox_calls_refused_total{reason=\"at_capacity\"}", "1"),
        ("vox_calls_refused_total{reason=\"draining\"}", "0"),
        ("vox_calls_refused_total{reason=\"no_ports\"}", "1"),
        ("vox_recordings_total", "1"),
        ("vox_recorded_seconds_total", "1.5"),
        ("vox_recording_overruns_total", "17"),
        ("vox_agent_connections_total", "18"),
        ("vox_agent_reconnects_total", "19"),
        ("vox_agent_gone_total", "20"),
        ("vox_agent_frames_lost_total", "21"),
        ("vox_agent_messages_unsent_total", "22"),
        ("vox_agent_refused_total{reason=\"bad_json\"}", "1"),
        ("vox_livekit_rescues_total", "23"),
        ("vox_livekit_jobs_refused_total{reason=\"at_capacity\"}", "0"),
        (concat!("vox_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), "1"),
    ];
    for (series, value) in rows {
        let line = format!("{series} {value}");
        assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn the_start_of_the_process_is_now() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let text = text(&Counters::default());
    let line =
        text.lines().find(|line| line.starts_with("vox_process_start_time_seconds ")).unwrap();
    let started: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(started >= now, "{started} before {now}");
}

#[test]
fn every_sample_is_explained_typed_and_there_once() {
    let text = text(&Counters::default());
    let (mut help, mut types, mut seen) = (HashSet::new(), HashMap::new(), HashSet::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').unwrap();
            assert!(words.split(' ').count() >= 4, "{line}");
            assert!(help.insert(name), "explained twice: {line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(types.insert(name, kind), None, "typed twice: {line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(name.starts_with("vox_"), "{line}");
            assert!(help.contains(name), "not explained: {line}");
            assert!(seen.insert(series), "twice: {line}");
            let counts = types[name] == "counter";
            assert_eq!(counts, name.ends_with("_total"), "{line}: {}", types[name]);
        }
    }
    assert!(seen.len() > 40, "{}", seen.len());
    assert_eq!(help.len(), types.len());
}
