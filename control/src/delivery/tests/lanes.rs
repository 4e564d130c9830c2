use super::*;

const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60) };

fn lanes(at_once: usize, files: &[(&str, &str)], now: Instant) -> Lanes {
    let mut lanes = Lanes::new(BACKOFF, at_once);
    for (path, side) in files {
        lanes.add(path.into(), (*side).to_owned(), now);
    }
    lanes
}

/// Everything that can be started now.
fn start_all(lanes: &mut Lanes, now: Instant) -> Vec<Try> {
    std::iter::from_fn(|| lanes.start(now)).collect()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_side_that_is_down_gets_one_try_at_a_time_and_others_all_of_theirs() {
    let now = Instant::now();
    let dead = (0..20).map(|n| (format!("d{n}"), "dead"));
    let good = (0..20).map(|n| (format!("g{n}"), "good"));
    let files: Vec<_> = dead.chain(good).collect();
    let files: Vec<_> = files.iter().map(|(path, side)| (path.as_str(), *side)).collect();
    let mut lanes = lanes(4, &files, now);
    let first = start_all(&mut lanes, now);
    assert_eq!(first.len(), 8);
    for tried in first {
        match tried.side.as_str() {
            "dead" => _ = lanes.unreachable(tried, "down".into(), now),
            _ => _ = lanes.delivered(tried, now),
        }
    }
    let mut delivered = 4;
    loop {
        let next = start_all(&mut lanes, now);
        if next.is_empty() {
            break;
        }
        for tried in next {
            assert_eq!(tried.side, "good", "the dead one waits");
            delivered += 1;
            lanes.delivered(tried, now);
        }
    }
    assert_eq!(delivered, 20);
    // Its first wait is 1 s ± 50 %, whatever the number of files that failed together.
    let due = lanes.next_due().unwrap() - now;
    assert!((seconds(1) / 2..=seconds(3) / 2).contains(&due), "{due:?}");
    let later = now + seconds(2);
    lanes.add("new".into(), "dead".into(), later);
    assert_eq!(start_all(&mut lanes, later).len(), 1, "a probe, and no more");
}

#[test]
fn probes_take_turns_and_wait_longer_up_to_their_limit() {
    let mut now = Instant::now();
    let mut lanes = lanes(8, &[("a", "dead"), ("b", "dead"), ("c", "dead")], now);
    for tried in start_all(&mut lanes, now) {
        lanes.unreachable(tried, "down".into(), now);
    }
    let (mut waits, mut paths) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        let due = lanes.next_due().unwrap();
        waits.push((due - now).as_secs_f64());
        now = due;
        let tried = lanes.start(now).unwrap();
        paths.push(tried.path().to_owned());
        lanes.unreachable(tried, "down".into(), now);
    }
    assert!(waits[2] >= 2.0 && waits[11] <= PROBE_MOST.as_secs_f64(), "{waits:?}");
    for path in ["a", "b", "c"] {
        assert!(paths.contains(&path.into()), "{path} of {paths:?}");
    }
}

#[test]
fn a_side_that_is_back_gets_all_that_waited_for_it_but_not_what_it_refused() {
    let now = Instant::now();
    let mut lanes = lanes(8, &[("a", "s"), ("b", "s"), ("c", "s")], now);
    let [a, b, c] = start_all(&mut lanes, now).try_into().unwrap();
    assert_eq!(lanes.refused(a, "422".into(), now), News::Failing("422".into()));
    assert_eq!(lanes.unreachable(b, "down".into(), now), News::Failing("down".into()));
    assert_eq!(lanes.unreachable(c, "down".into(), now), News::None);
    let now = lanes.next_due().unwrap();
    let probe = lanes.start(now).unwrap();
    assert!(probe.probe && lanes.start(now).is_none());
    assert_eq!(lanes.delivered(probe, now), News::Back { waiting: 2 });
    let next = start_all(&mut lanes, now);
    // What was refused may be due by now; what could not be sent is.
    assert!(next.iter().any(|tried| tried.waiting.last == Failure::Unreachable), "{next:?}");
}

#[test]
fn sides_that_are_down_never_take_every_place() {
    let now = Instant::now();
    let names: Vec<String> = (0..200).map(|n| format!("dead{n}")).collect();
    let files: Vec<_> = names.iter().map(|name| ("f", name.as_str())).collect();
    let mut lanes = lanes(8, &files, now);
    while let Some(tried) = lanes.start(now) {
        lanes.unreachable(tried, "down".into(), now);
    }
    let later = now + seconds(10);
    assert_eq!(start_all(&mut lanes, later).len(), PROBING_MAX);
    lanes.add("g".into(), "good".into(), later);
    assert_eq!(lanes.start(later).unwrap().side, "good");
}

#[test]
fn a_side_that_nothing_waits_for_is_forgotten() {
    let now = Instant::now();
    let mut lanes = lanes(8, &[("a", "s"), ("b", "t")], now);
    for tried in start_all(&mut lanes, now) {
        match tried.side.as_str() {
            "s" => _ = lanes.delivered(tried, now),
            _ => _ = lanes.given_up(tried),
        }
    }
    assert!(lanes.lanes.is_empty() && lanes.next_due().is_none());
    assert_eq!((lanes.running, lanes.probing), (0, 0));
}
