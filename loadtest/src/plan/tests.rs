use super::*;
use crate::random::Random;
use crate::report::samples;

fn measured(calls: u64) -> Measured {
    Measured { calls, calls_per_second: Some(40.0), source: "a test".into() }
}

#[test]
fn a_plan_follows_from_the_forecast_step_by_step() {
    let forecast = Forecast {
        growth: Growth { per_year: 0.2, years: 2.0 },
        wait: Some(Wait { seconds: 20.0, share: 0.8 }),
        worker_calls: Some(200),
        ..Forecast::new(10_000.0, 180.0)
    };
    let plan = Plan::make(&forecast, &measured(640)).expect("a plan");
    // 10,000 × 1.5 × 1.44 calls of 180 s in 3,600 s.
    assert!((plan.busy_hour_calls - 21_600.0).abs() < 1e-6, "{plan:?}");
    assert!((plan.erlang - 1_080.0).abs() < 1e-6, "{plan:?}");
    assert_eq!((plan.calls_per_host, plan.workers_per_host), (512, 3));
    let need = &plan.blocking;
    assert_eq!(Some(need.channels), erlang::channels_for_blocking(plan.erlang, 0.001));
    assert_eq!((need.hosts, need.hosts_with_spare, need.workers), (3, 4, 12));
    assert!(need.missed <= 0.001 && need.missed_one_more_lost > 0.05, "{need:?}");
    assert!(plan.waiting.as_ref().is_some_and(|need| need.channels > 1_080));
    assert!(
        plan.text().starts_with("4 hosts, 1 of them spare, carry 21,600 calls"),
        "{}",
        plan.text()
    );
}

#[test]
fn a_plan_is_made_of_a_search_only() {
    let search = ResultsFile::Capacity(Box::new(samples::capacity()));
    assert_eq!(Measured::of(&search).map(|measured| measured.calls), Ok(640));
    let run = ResultsFile::Run(Box::new(samples::run(10, 20)));
    assert_eq!(Measured::of(&run), Err(PlanError::NoSearch));
    let rate = ResultsFile::Capacity(Box::new(samples::rate()));
    assert_eq!(Measured::of(&rate), Err(PlanError::OfRate));
    let nothing = ResultsFile::Capacity(Box::default());
    assert_eq!(Measured::of(&nothing), Err(PlanError::NothingHeld));
    let plan = |forecast: &Forecast, calls| Plan::make(forecast, &measured(calls));
    let forecast = Forecast::new(1e12, 180.0);
    assert!(matches!(plan(&forecast, 640), Err(PlanError::TooMuch(_))));
    assert!(matches!(plan(&Forecast::new(100.0, 180.0), 1), Err(PlanError::NoRoom(1, _))));
}

#[test]
fn a_plan_warns_when_calls_come_faster_than_was_measured() {
    for (duration, warned) in [(180.0, false), (2.0, true)] {
        let plan = Plan::make(&Forecast::new(200_000.0, duration), &measured(640)).expect("a plan");
        assert_eq!(plan.text().contains("MORE THAN"), warned, "{}", plan.text());
    }
}

#[test]
fn a_table_has_a_row_for_each_traffic() {
    let table = text::sizing_table(&Forecast::new(0.0, 180.0), &[200, 640], &[1_000.0, 10_000.0]);
    assert_eq!(table.expect("a table").trim().lines().count(), 4);
}

/// Calls wait in their order for one of `channels`; share that waits at all, and longer than `wait`.
fn queue(erlang: f64, channels: usize, wait: f64, calls: usize) -> (f64, f64) {
    let mut random = Random::nth(7, 0);
    let mut free_at = vec![0.0_f64; channels];
    let (mut now, mut waited, mut long) = (0.0, 0, 0);
    for _ in 0..calls {
        now += random.exponential() / erlang;
        let first = free_at.iter_mut().min_by(|a, b| a.total_cmp(b)).expect("a channel");
        waited += usize::from(*first > now);
        long += usize::from(*first > now + wait);
        *first = first.max(now) + random.exponential();
    }
    (waited as f64 / calls as f64, long as f64 / calls as f64)
}

#[test]
fn erlang_c_is_what_a_simulated_queue_does() {
    for (erlang, channels) in [(3.0, 5), (18.0, 20), (45.0, 50)] {
        let (waited, long) = queue(erlang, channels, 0.1, 100_000);
        let expected = erlang::waiting(erlang, channels as u64);
        let late = 1.0 - erlang::served_within(erlang, channels as u64, 1.0, 0.1);
        println!("{erlang} E on {channels}: {waited:.4} wait, by formula {expected:.4}");
        assert!((waited - expected).abs() < 0.03, "{waited} {expected}");
        assert!((long - late).abs() < 0.03, "{long} {late}");
    }
}
