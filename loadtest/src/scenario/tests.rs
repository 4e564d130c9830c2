//! What a scenario says, what it refuses, and what follows from it.

use std::time::Duration;

use super::*;
use crate::random::Random;

const SMALL: &str = r#"
name = "small"
window = { measured = "10s" }
target = { uris = ["sip:echo@127.0.0.1"] }
[callers]
arrival = { rate = 10 }
hold = "3s"
"#;

#[test]
fn what_comes_with_voxload_can_be_read_and_written_and_is_named_as_it_says() {
    for ready in READY {
        let scenario = Scenario::parse(ready.toml, &[]).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(scenario.name, ready.name);
        assert!(!ready.about().is_empty());
        let again = Scenario::parse(&scenario.to_toml(), &[]);
        assert_eq!(again.as_ref(), Ok(&scenario), "{}", scenario.to_toml());
    }
}

#[test]
fn a_wrong_scenario_says_where_what_was_found_and_what_was_expected() {
    for (wrong, says) in [
        (r#"hold = 3"#, &["hold = 3", "invalid type: integer `3`", "a time in quotes"][..]),
        (r#"hold = "soon""#, &["\"soon\"", "expected a time up to a day, as in 500ms"]),
        (r#"hold = { exponent = 3 }"#, &["unknown variant `exponent`", "`log_normal`"]),
        (r#"hold = { uniform = { from = "9s", to = "2s" } }"#, &["callers.hold", "shorter"]),
        (r#"arrival = { rat = 10 }"#, &["unknown variant `rat`", "`poisson`"]),
        (r#"arrival = { rate = 0 }"#, &["callers.arrival: 0 calls a second", "above 0"]),
        (r#"arrival = { steps = [] }"#, &["callers.arrival: no steps"]),
        (r#"arrival = { at_once = { calls = 0 } }"#, &["callers.arrival: 0 calls", "1 to"]),
        (
            r#"arrival = { at_once = { calls = 5, speed = 1 } }"#,
            &["unexpected keys in table: speed", "calls, rate"],
        ),
        (r#"codecs = ["G729"]"#, &["\"G729\": expected one of PCMU"]),
        (r#"codecs = []"#, &["callers.codecs: expected at least one codec"]),
        (r#"silent = 0.05"#, &["expected a percentage in quotes, as in \"5%\""]),
        (r#"silent = "500%""#, &["\"500%\": expected a percentage"]),
        (r#"mix = [{ share = "0%", codecs = ["PCMU"] }]"#, &["callers.mix", "above 0%"]),
        (r#"digits = "12x""#, &["\"12x\": expected at most 32 of"]),
        (r#"expect = "noise""#, &["unknown variant `noise`", "`silence`"]),
        (r#"network = "rain=1""#, &["rain: expected one of loss"]),
        (r#"colour = "red""#, &["unknown field `colour`", "`give_up`"]),
    ] {
        let key = wrong.split(' ').next().unwrap();
        let kept: String = SMALL
            .lines()
            .filter(|line| !line.starts_with(&format!("{key} =")))
            .map(|line| format!("{line}\n"))
            .collect();
        let error = Scenario::parse(&format!("{kept}{wrong}\n"), &[]).unwrap_err();
        for part in says {
            assert!(error.contains(part), "{wrong}: expected {part:?} in\n{error}");
        }
    }
}

#[test]
fn a_scenario_without_what_it_needs_says_so() {
    let window = "name = \"x\"\nwindow = { measured = \"1s\" }\n";
    let callers = "[callers]\narrival = { rate = 1 }\nhold = \"1s\"\n";
    for (text, says) in [
        ("", "missing field `name`"),
        (window, "expected [callers], [callees] or both"),
        (&format!("{window}{callers}"), "expected [target]"),
        (&format!("{window}target = {{ uris = [] }}\n{callers}"), "at least one with a weight"),
        (
            &format!("{window}target = {{ uris = [\"echo@host\"] }}\n{callers}"),
            "target.uris: \"echo@host\" cannot be called: expected sip:user@host[:port]",
        ),
        (
            &format!("{window}target = {{ uris = [5] }}\n{callers}"),
            "expected \"sip:user@host:port\" or { uri",
        ),
        ("name = \"x\"\nwindow = { measured = \"0s\" }\n", "window.measured"),
        (
            &format!(
                "{window}[callees]\nlisten = \"127.0.0.1:5070\"\nrefuse = {{ share = \"1%\", status = 200 }}\n"
            ),
            "callees.refuse.status: 200: expected a SIP status, 400 to 699",
        ),
    ] {
        let error = Scenario::parse(text, &[]).unwrap_err();
        assert!(error.contains(says), "{text}: expected {says:?} in\n{error}");
    }
    let unknown = Scenario::load("no-such", &[]).unwrap_err().to_string();
    assert!(unknown.contains("expected a TOML file, or one of echo,"), "{unknown}");
}

#[test]
fn keys_can_be_set_from_outside() {
    let changed = |changes: &[&str]| {
        let changes: Result<Vec<Override>, _> = changes.iter().map(|text| text.parse()).collect();
        Scenario::parse(SMALL, &changes.unwrap()).unwrap()
    };
    let scenario =
        changed(&["callers.hold=45s", "seed=7", "callers.silent=5%", "window.settle=0s"]);
    let callers = scenario.callers.unwrap();
    assert_eq!(callers.hold, Spread::fixed(Duration::from_secs(45)));
    assert_eq!((scenario.seed, callers.silent), (7, Share(0.05)));
    let scenario = changed(&["callers.arrival={ at_once = { calls = 5 } }"]);
    assert_eq!(scenario.callers.unwrap().arrival, Arrival::AtOnce { calls: 5, rate: 20.0 });
    let scenario = changed(&[r#"target.uris=["sip:a@h", { uri = "sip:b@h", weight = 3 }]"#]);
    assert_eq!(scenario.target.unwrap().uris[1].weight, 3);

    for wrong in ["callers.hold", "=3", "callers..hold=3"] {
        assert!(wrong.parse::<Override>().unwrap_err().contains("expected KEY=VALUE"));
    }
    let into_text = [Override::new("name.first", "x")];
    assert!(Scenario::parse(SMALL, &into_text).unwrap_err().contains("name is no table"));
}

#[test]
fn calls_arrive_as_the_curve_says() {
    let check = |arrival: &str, rows: &[(f64, usize)]| {
        let scenario = format!("{}\n", SMALL.replace("{ rate = 10 }", arrival));
        let scenario = Scenario::parse(&scenario, &[]).unwrap();
        let arrival = &scenario.callers.as_ref().unwrap().arrival;
        for &(until, expected) in rows {
            let until = Duration::from_secs_f64(until);
            let came = arrival.moments(1).take_while(|at| *at < until).count();
            let tolerance = if matches!(arrival, Arrival::Poisson(_)) { expected / 8 } else { 1 };
            assert!(came.abs_diff(expected) <= tolerance, "{arrival:?}: {came} by {until:?}");
        }
        let moments: Vec<_> = arrival.moments(1).take(500).collect();
        assert!(moments.is_sorted(), "{arrival:?}");
        assert_eq!(moments, arrival.moments(1).take(500).collect::<Vec<_>>());
    };
    check("{ rate = 10 }", &[(1.0, 10), (7.05, 71)]);
    check("{ at_once = { calls = 9, rate = 5 } }", &[(1.0, 5), (60.0, 300)]);
    check("{ poisson = 20 }", &[(100.0, 2_000), (200.0, 4_000)]);
    // A ramp from 0 to 20 over 10 s places 100 calls, 25 of them in its first half.
    check(
        "{ ramp = { from = 0, to = 20, over = \"10s\" } }",
        &[(5.0, 25), (10.0, 100), (12.0, 140)],
    );
    check("{ ramp = { from = 20, to = 4, over = \"10s\" } }", &[(10.0, 120), (20.0, 160)]);
    let steps = "{ steps = [{ rate = 2, for = \"10s\" }, { rate = 0, for = \"5s\" }, { rate = 9, for = \"2s\" }] }";
    check(steps, &[(10.0, 20), (15.0, 20), (17.0, 38), (20.0, 65)]);
    check("{ bursts = { calls = 7, every = \"2s\" } }", &[(0.5, 7), (2.5, 14), (4.5, 21)]);
}

#[test]
fn a_curve_that_stops_for_good_places_no_more() {
    let stop = Arrival::Steps(vec![
        Step { rate: 3.0, length: Span(Duration::from_secs(4)) },
        Step { rate: 0.0, length: Span(Duration::from_secs(1)) },
    ]);
    assert_eq!(stop.moments(1).count(), 12);
}

#[test]
fn times_are_spread_as_their_distribution_says() {
    let seconds = |s| Span(Duration::from_secs(s));
    let rows = [
        (Spread::fixed(Duration::from_secs(7)), 7.0, 7.0, 0.0),
        (Spread::Drawn(Drawn::Uniform { from: seconds(10), to: seconds(30) }), 20.0, 20.0, 5.77),
        (Spread::Drawn(Drawn::Exponential { mean: seconds(60) }), 60.0, 41.6, 60.0),
        (Spread::Drawn(Drawn::LogNormal { median: seconds(60), sigma: 0.8 }), 82.6, 60.0, 78.0),
    ];
    for (spread, mean, median, deviation) in rows {
        let mut random = Random::nth(3, 0);
        let drawn: Vec<f64> = {
            let mut drawn: Vec<_> =
                (0..40_000).map(|_| spread.draw(&mut random).as_secs_f64()).collect();
            drawn.sort_by(f64::total_cmp);
            drawn
        };
        let found = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let variance = drawn.iter().map(|x| (x - found).powi(2)).sum::<f64>() / drawn.len() as f64;
        let near = |found: f64, wanted: f64| (found - wanted).abs() <= wanted * 0.05 + 1e-9;
        assert!(near(found, mean) && near(spread.mean().as_secs_f64(), mean), "{spread:?} {found}");
        assert!(near(drawn[drawn.len() / 2], median), "{spread:?} {}", drawn[drawn.len() / 2]);
        assert!(near(variance.sqrt(), deviation), "{spread:?} {}", variance.sqrt());
    }
}

#[test]
fn the_same_seed_plans_the_same_calls_with_the_shares_that_were_asked_for() {
    let text = format!(
        "{SMALL}{}",
        r#"
        mix = [{ share = "75%", codecs = ["PCMU"] }, { share = "25%", codecs = ["opus", "PCMA"] }]
        silent = "10%"
        vanish = "2%"
        give_up = { share = "5%", after = "1s" }
        on_hold = { share = "20%", after = "1s", for = "2s" }
        change = { share = "8%", after = "1s", codecs = ["PCMA"] }
        network = "loss=1%"
    "#
    );
    let scenario = Scenario::parse(&text, &[]).unwrap();
    let plan: Vec<_> = scenario.calls().take(20_000).collect();
    assert_eq!(plan, scenario.calls().take(20_000).collect::<Vec<_>>());
    let share = |is: fn(&PlannedCall) -> bool| {
        plan.iter().filter(|call| is(call)).count() as f64 / plan.len() as f64
    };
    type Is = fn(&PlannedCall) -> bool;
    let rows: [(Is, f64); 6] = [
        (|call| call.silent, 0.10),
        (|call| call.vanishes, 0.02),
        (|call| call.gives_up.is_some(), 0.05),
        (|call| call.on_hold.is_some(), 0.20),
        (|call| call.change.is_some(), 0.08),
        (|call| call.codecs.len() == 2, 0.25),
    ];
    for (is, expected) in rows {
        assert!((share(is) - expected).abs() < 0.01, "{} for {expected}", share(is));
    }
    let seeds: std::collections::BTreeSet<_> = plan.iter().map(|call| call.seed).collect();
    assert_eq!(seeds.len(), plan.len(), "each call has dice of its own");

    let other = Scenario { seed: 2, ..scenario.clone() };
    assert_ne!(plan[0].seed, other.calls().next().unwrap().seed);
}

#[test]
fn targets_are_called_in_turn_or_by_their_weights() {
    let called = |uris: &str| {
        let text = SMALL.replace("[\"sip:echo@127.0.0.1\"]", uris);
        let scenario = Scenario::parse(&text, &[]).unwrap();
        scenario.calls().take(3_000).map(|call| call.target).collect::<Vec<_>>()
    };
    let in_turn = called(r#"["sip:a@h", "sip:b@h", "sip:c@h"]"#);
    assert_eq!(in_turn[..6], [0, 1, 2, 0, 1, 2]);
    let weighted = called(r#"["sip:a@h", { uri = "sip:b@h", weight = 4 }]"#);
    let second = weighted.iter().filter(|&&target| target == 1).count();
    assert!((2_300..2_500).contains(&second), "{second} of 3000");
}

#[test]
fn callees_refuse_ring_on_and_answer_in_the_shares_that_were_asked_for() {
    let text = r#"
        name = "called"
        window = { measured = "1s" }
        [callees]
        listen = "127.0.0.1:5070"
        answer_after = { uniform = { from = "1s", to = "3s" } }
        refuse = { share = "3%", status = 603 }
        ring_only = "5%"
    "#;
    let callees = Scenario::parse(text, &[]).unwrap().callees.unwrap();
    let answers: Vec<_> = (0..20_000).map(|n| callees.answer(1, n)).collect();
    let count = |is: fn(&Reply) -> bool| answers.iter().filter(|a| is(&a.reply)).count();
    assert!(count(|reply| *reply == Reply::Refuse(603)).abs_diff(600) < 80);
    assert!(count(|reply| *reply == Reply::Ring).abs_diff(970) < 100);
    let within =
        |reply: &Reply| matches!(reply, Reply::Accept(d) if (1.0..3.0).contains(&d.as_secs_f64()));
    assert!(count(within).abs_diff(18_430) < 150);
    assert_eq!(answers[7], callees.answer(1, 7));
    assert!(answers.iter().all(|answer| answer.hangs_up.is_none()));
}
