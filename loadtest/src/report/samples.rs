//! Results to draw pages of: made by arithmetic, so that they are the same in every test.

use std::collections::BTreeMap;

use crate::results::{
    Calls, CapacityReport, CostPerCall, Distribution, GeneratorCost, Heard, Host, HostsNeeded,
    PassLine, Point, Provenance, RunReport, Second, TargetCost, ThreadCost, Verdict,
};
use crate::scenario::{Arrival, Scenario};

/// `calls` at once for `seconds`; lateness grows steeply beyond 640 calls.
pub(crate) fn run(calls: u64, seconds: u64) -> RunReport {
    let strain = (calls as f64 / 640.0).powi(6);
    let wave = |at: u64, size: f64| 1.0 + size * ((at * 7_919 % 101) as f64 / 101.0 - 0.5);
    let second = |at: u64| {
        let up = (at as f64 / 5.0).min(1.0).min((seconds - at) as f64 / 4.0);
        Second {
            at,
            measured: (8..seconds - 6).contains(&at),
            calls: (calls as f64 * up) as u64,
            placed: (calls as f64 / 15.0 * wave(at, 0.4)) as u64,
            answered: (calls as f64 / 15.0 * wave(at + 3, 0.4)) as u64,
            refused: u64::from(calls > 640 && at.is_multiple_of(5)) * 3,
            failed: u64::from(calls > 640 && at.is_multiple_of(11)),
            received: calls * 50,
            lost: 0,
            late_p999_ms: (1.2 + 3.0 * strain) * wave(at, 0.5),
            round_trip_ms: Some(42.0 * wave(at, 0.02)),
            send_late_p999_ms: 0.4 * wave(at, 0.8),
            generator_cores: calls as f64 * 0.0006 * up * wave(at, 0.1),
            target_cores: Some(calls as f64 * 0.00042 * up * wave(at, 0.1)),
            target_rss_bytes: Some(24_000_000 + (calls as f64 * 80_000.0 * up) as u64),
            target_descriptors: Some(40 + (calls as f64 * 2.0 * up) as u64),
        }
    };
    let spread = |base: f64, tail: f64| {
        Distribution::of_values(
            (1..=1_000).map(|n| base - tail * (1.0 - f64::from(n) / 1_000.5).ln()),
        )
    };
    let pass_line: PassLine =
        "loss<0.1%,late_p99.9<5ms,failed=0,setup_p99<100ms,mos>4.2".parse().expect("a pass line");
    let mut report = RunReport {
        interrupted: false,
        provenance: provenance(),
        scenario: "echo".into(),
        scenario_toml: "[calls]\nat_once = 640\nhold = \"15s\"\n".into(),
        target: "sip:echo@127.0.0.1:5060".into(),
        target_agent: "Vox/0.1.0".into(),
        measured_seconds: (seconds - 14) as f64,
        pass_line: Some(pass_line.clone()),
        calls: Calls {
            placed: calls * 4,
            answered: calls * 4 - u64::from(calls > 640) * 48,
            refused: if calls > 640 { BTreeMap::from([(486, 42)]) } else { BTreeMap::new() },
            failed: if calls > 640 {
                BTreeMap::from([("no answer".into(), 6)])
            } else {
                BTreeMap::new()
            },
            ended_well: calls * 4 - u64::from(calls > 640) * 48,
            peak: calls,
            mean: calls as f64 * 0.99,
            per_second: calls as f64 / 15.0,
            setup_ms: spread(6.0, 2.0 + 2.0 * strain),
            hang_up_ms: spread(2.0, 0.5),
        },
        heard: Heard {
            sent: calls * 50 * 46,
            expected: calls * 50 * 46,
            received: calls * 50 * 46 - 12,
            lost: 12,
            late_ms: spread(0.05, 0.2 + 0.4 * strain),
            jitter_ms: spread(0.1, 0.1),
            gap_ms: spread(21.0, 1.0),
            first_audio_ms: spread(60.0, 6.0),
            round_trip_ms: spread(41.0, 1.0),
            mos: Distribution::of_values((0..500).map(|n| 4.41 - f64::from(n % 7) * 0.002)),
            ..Heard::default()
        },
        generator: GeneratorCost {
            media: vec![ThreadCost {
                core: Some(1),
                cpu_cores: calls as f64 * 0.0005,
                waiting_cores: 0.004,
            }],
            rest_cores: calls as f64 * 0.0001,
            send_late_ms: spread(0.02, 0.06),
            rss_bytes: 60_000_000,
            ..GeneratorCost::default()
        },
        watched: Some(TargetCost {
            descriptors_idle: 40,
            processes: 1,
            cpu_cores: calls as f64 * 0.00042,
            busiest_thread_cores: calls as f64 * 0.00035,
            rss_bytes: 24_000_000 + calls * 80_000,
            rss_idle_bytes: 24_000_000,
            descriptors: 40 + calls * 2,
            threads: 9,
            metrics: BTreeMap::from([(
                "vox_packets_received_total".into(),
                calls as f64 * 2_300.0,
            )]),
        }),
        seconds: (0..seconds).map(second).collect(),
        verdict: Verdict::Pass,
    };
    let broken = pass_line.broken(&report);
    if !broken.is_empty() {
        report.verdict = Verdict::Fail { broken };
    }
    report
}

/// A search that found 640 calls.
pub(crate) fn capacity() -> CapacityReport {
    let loads = [100, 200, 400, 800, 600, 700, 640];
    let points: Vec<_> = loads.map(|calls| Point { calls, run: run(calls, 60) }).into();
    let Verdict::Fail { broken } = points[5].run.verdict.clone() else { panic!("700 is too many") };
    CapacityReport {
        provenance: Provenance {
            command: "voxload capacity --target sip:echo@127.0.0.1:5060 --pass 'late_p99.9<5ms'"
                .into(),
            ..provenance()
        },
        scenario: "echo".into(),
        target: "sip:echo@127.0.0.1:5060".into(),
        target_agent: "Vox/0.1.0".into(),
        pass_line: points[0].run.pass_line.clone().unwrap_or_default(),
        calls: 640,
        calls_per_second: 42.7,
        broken_at: Some(700),
        broken,
        unfinished: None,
        cost: Some(CostPerCall { cpu_percent: 0.042, rss_bytes: 80_000.0, descriptors: 2.0 }),
        hosts: [(100, 1), (1_000, 2), (10_000, 20)]
            .map(|(calls, hosts)| HostsNeeded { calls, hosts })
            .into(),
        points,
    }
}

/// The same search, by calls a second.
pub(crate) fn rate() -> CapacityReport {
    let mut search = capacity();
    let mut scenario = Scenario::load("echo", &[]).expect("a ready one");
    scenario.callers.as_mut().expect("callers").arrival = Arrival::Rate(100.0);
    for point in &mut search.points {
        point.run.scenario_toml = scenario.to_toml();
    }
    search
}

fn provenance() -> Provenance {
    Provenance {
        tool: "voxload 0.1.0".into(),
        command: "voxload run echo.toml --target sip:echo@127.0.0.1:5060".into(),
        began: "2026-01-02T03:04:05Z".into(),
        host: Host {
            name: "fleet-1".into(),
            system: "Debian GNU/Linux 12 (bookworm)".into(),
            kernel: "6.18.0".into(),
            cpu: "AMD EPYC".into(),
            cores: 2,
            memory_bytes: 25 << 30,
            network: "loopback".into(),
        },
    }
}
