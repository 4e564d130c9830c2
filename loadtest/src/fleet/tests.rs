use super::*;
use crate::plan::erlang;
use crate::scenario::{Arrival, Scenario, Spread};

fn simulated(fleet: &Fleet, traffic: &Traffic) -> FleetReport {
    simulate(fleet, &traffic.calls(fleet.seed), traffic.warm_up_seconds)
}

/// `erlang` of calls of 100 s on average.
fn traffic(erlang: f64, calls: u64) -> Traffic {
    Traffic::poisson(calls, erlang / 100.0, 100.0, Profile::Flat)
}

#[test]
fn one_pool_that_never_fails_turns_away_what_erlang_b_says() {
    let fixed = Spread::fixed(std::time::Duration::from_secs(100));
    for (hosts, slots, erlang, hold) in [
        (1, 30, 25.0, None),
        (3, 10, 25.0, None),
        (10, 20, 190.0, None),
        // The formula holds for every distribution of lengths.
        (3, 10, 25.0, Some(fixed)),
    ] {
        let mut traffic = traffic(erlang, 200_000);
        traffic.hold = hold.unwrap_or(traffic.hold);
        let report = simulated(&Fleet::new(hosts, slots, Way::Sip), &traffic);
        let expected = erlang::blocking(erlang, u64::from(slots) * hosts as u64);
        println!(
            "{hosts} × {slots}, {erlang} E: {:.3} ± {:.3} % turned away, by formula {:.3} %",
            report.missed_share * 100.0,
            report.missed_share_off * 100.0,
            expected * 100.0
        );
        assert!(report.missed_share_off < 0.2 * expected, "{report:?}");
        assert!((report.missed_share - expected).abs() <= report.missed_share_off, "{expected}");
        // Calls that are up are those that were taken, as long as they lasted.
        let carried = report.erlang * (1.0 - report.missed_share);
        assert!(
            (report.calls_mean / carried - 1.0).abs() < 0.01,
            "{} {carried}",
            report.calls_mean
        );
    }
}

#[test]
fn each_way_in_turns_away_what_its_rule_must() {
    // Four hosts of two workers of five, nearly full.
    let of = |way| {
        let fleet = Fleet { workers_per_host: 2, ..Fleet::new(4, 5, way) };
        simulated(&fleet, &traffic(34.0, 60_000))
    };
    let pool = erlang::blocking(34.0, 40);
    let share = |way| of(way).missed_share;
    // Whoever may try every worker is one pool.
    assert!((share(Way::Sip) / pool - 1.0).abs() < 0.15, "{} {pool}", share(Way::Sip));
    assert!((share(Way::Attach) / pool - 1.0).abs() < 0.15, "{} {pool}", share(Way::Attach));
    // Whoever waits gets more calls through.
    assert!(share(Way::Jobs) < 0.8 * pool && of(Way::Jobs).waited > 1_000);
    // nginx's turns do not know who is full, and 429 is final.
    let webhook = of(Way::Webhook);
    assert!(webhook.missed[&Missed::WorkerFull] > 100 && webhook.missed_share > 1.3 * pool);
    // Hosts in turn are four pools of ten.
    let four = erlang::blocking(34.0 / 4.0, 10);
    assert!(share(Way::Socket) > 1.5 * pool && share(Way::Socket) < 1.1 * four);
}

#[test]
fn failures_and_deploys_cost_calls_and_slots() {
    let quiet = Fleet::new(10, 20, Way::Sip);
    let failures = Some(Failures { mtbf_seconds: 9_000.0, repair_seconds: 1_000.0 });
    let failing = simulated(&Fleet { failures, ..quiet.clone() }, &traffic(120.0, 100_000));
    // Up 9,000 s of every 10,000.
    assert!((failing.available - 0.9).abs() < 0.02, "{}", failing.available);
    let expected = failing.failures as f64 * 12.0;
    let lost = failing.lost[&Lost::HostFailed] as f64;
    assert!((lost / expected - 1.0).abs() < 0.15, "{lost} {expected}");

    let deploys = |drain_seconds| {
        let deploys = Deploys {
            every_seconds: 20_000.0,
            hosts_at_once: 1,
            drain_seconds,
            replace_seconds: 60.0,
        };
        let fleet = Fleet { deploys: Some(deploys), ..quiet.clone() };
        simulated(&fleet, &traffic(120.0, 100_000))
    };
    let (patient, hasty) = (deploys(3_000.0), deploys(100.0));
    assert!(patient.deploys >= 3 && patient.lost_calls() == 0, "{:?}", patient.lost);
    // 12 calls on a host, of which exp(-1) last longer than 100 s.
    let cut = hasty.lost[&Lost::DeployCut] as f64 / (hasty.deploys * 10) as f64;
    assert!((cut / (12.0 * (-1.0_f64).exp()) - 1.0).abs() < 0.5, "{cut}");
    assert!(hasty.available > patient.available && patient.available > 0.9);
}

#[test]
fn a_seed_gives_the_same_run_and_no_call_is_forgotten() {
    for way in Way::ALL {
        let fleet = Fleet {
            failures: Some(Failures { mtbf_seconds: 5_000.0, repair_seconds: 300.0 }),
            deploys: Some(Deploys {
                every_seconds: 10_000.0,
                hosts_at_once: 2,
                drain_seconds: 200.0,
                replace_seconds: 30.0,
            }),
            workers_per_host: 2,
            ..Fleet::new(6, 8, way)
        };
        let day = Traffic::poisson(50_000, 0.9, 100.0, Profile::Day);
        let report = simulated(&fleet, &day);
        assert_eq!(report, simulated(&fleet, &day));
        assert_ne!(report, simulated(&Fleet { seed: 2, ..fleet.clone() }, &day));
        let settled = report.taken + report.missed.values().sum::<u64>();
        // Those that still ring, or are on their way, when the last one has come.
        assert!(settled <= report.placed && report.placed - settled < 100, "{report:?}");
        assert!(report.calls_max <= fleet.slots() && report.slices.len() <= 400);
        let sum: f64 = report.calls_mean_of_hosts.iter().sum();
        assert!((sum - report.calls_mean).abs() < 1e-6 * sum, "{sum} {}", report.calls_mean);
        let sliced: f64 = report.slices.iter().map(|slice| slice.calls).sum();
        assert!((sliced / report.seconds - report.calls_mean).abs() < 1e-6 * sum);
    }
}

#[test]
fn traffic_comes_from_scenarios_too() {
    let scenario = Scenario::load("rush-hour", &[]).expect("a ready one");
    let arrival = scenario.callers.as_ref().map(|callers| callers.arrival.clone());
    match (Traffic::of_scenario(&scenario, 1_000), arrival.expect("callers")) {
        (Err(problem), Arrival::AtOnce { .. }) => assert!(problem.contains("at a rate")),
        (traffic, arrival) => {
            let calls = traffic.expect("traffic").calls(1);
            assert_eq!(calls.len(), 1_000);
            let moments: Vec<_> = arrival.moments(1).take(1_000).collect();
            assert!(calls.iter().zip(moments).all(|(call, at)| call.at == at.as_secs_f64()));
        }
    }
}

#[test]
fn a_page_tells_what_was_simulated() {
    let failures = Some(Failures { mtbf_seconds: 9_000.0, repair_seconds: 1_000.0 });
    let fleet = Fleet { failures, ..Fleet::new(4, 20, Way::Jobs) };
    let report = simulated(&fleet, &traffic(75.0, 20_000));
    let directory = tempfile::tempdir().expect("a directory");
    let written = report.write("voxload fleet-sim --hosts 4", directory.path()).expect("written");
    let html = std::fs::read_to_string(written.html).expect("html");
    assert!(html.contains("4 hosts of 20 calls turned away") && html.matches("<svg").count() == 3);
    assert!(report.text().contains("found by the watcher"), "{}", report.text());
}
