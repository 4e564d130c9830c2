use super::*;

#[test]
fn a_worker_with_a_slot_left_reports_less_than_the_load_from_which_nothing_is_offered() {
    let check = |taken, capacity, draining, available: bool, load: f32| {
        let said = status(taken, capacity, draining, 3);
        assert_eq!(said.status() == WorkerStatus::WsAvailable, available, "{said:?}");
        assert!((said.load - load).abs() < 1e-6, "{said:?}");
        assert_eq!(said.load < 0.7, available, "{said:?}");
        assert_eq!((said.job_count, said.draining), (3, draining));
    };
    check(0, 1, false, true, 0.0);
    check(1, 1, false, false, 1.0);
    check(5, 10, false, true, 0.35);
    check(9, 10, false, true, 0.63);
    check(2_047, 2_048, false, true, 0.7 * 2_047.0 / 2_048.0);
    check(0, 10, true, false, 1.0);
}

#[test]
fn the_wait_for_a_new_connection_grows_to_ten_seconds_and_is_never_the_same() {
    let check = |failures, random, ms| {
        assert_eq!(pause(failures, random), Duration::from_millis(ms), "{failures} {random}");
    };
    check(1, 0.0, 1_000);
    check(1, 1.0, 2_000);
    check(3, 0.5, 4_500);
    check(5, 1.0, 10_000);
    check(u32::MAX, 1.0, 10_000);
    let random = random();
    assert!((0.0..1.0).contains(&random), "{random}");
}
