use super::*;
use crate::report::samples;
use crate::results::{CapacityReport, RunReport};

fn run(change: impl FnOnce(&mut RunReport)) -> ResultsFile {
    let mut run = samples::run(400, 60);
    change(&mut run);
    ResultsFile::Run(Box::new(run))
}

fn search(change: impl FnOnce(&mut CapacityReport)) -> ResultsFile {
    let mut search = samples::capacity();
    change(&mut search);
    ResultsFile::Capacity(Box::new(search))
}

fn seconds_by(factor: f64) -> impl Fn(&mut RunReport) {
    move |run| {
        for second in &mut run.seconds {
            second.late_p999_ms *= factor;
            second.target_cores = second.target_cores.map(|cores| cores * factor);
        }
    }
}

#[test]
fn a_change_is_judged_by_the_runs_own_spread() {
    use Judged::{Better, Different, Unknown, WithinNoise, Worse};
    let shorter = |run: &mut RunReport| {
        run.seconds.truncate(20);
        seconds_by(2.0)(run);
    };
    let failed =
        |count: u64| move |run: &mut RunReport| run.calls.failed = [("x".into(), count)].into();
    let calls = |calls: u64, broken: Option<u64>| {
        move |search: &mut CapacityReport| (search.calls, search.broken_at) = (calls, broken)
    };
    let runs = |after| (run(|_| ()), after);
    let searches = |after| (search(|_| ()), after);
    for ((before, after), name, judged) in [
        (runs(run(|_| ())), "lateness p99.9 of a second", WithinNoise),
        (runs(run(seconds_by(1.01))), "lateness p99.9 of a second", WithinNoise),
        (runs(run(seconds_by(1.5))), "lateness p99.9 of a second", Worse),
        (runs(run(seconds_by(0.5))), "lateness p99.9 of a second", Better),
        (runs(run(seconds_by(1.5))), "target's CPU of a call", Worse),
        (runs(run(shorter)), "lateness p99.9 of a second", Unknown),
        (runs(run(failed(2))), "failed, of placed", WithinNoise),
        (runs(run(failed(40))), "failed, of placed", Worse),
        (
            runs(run(|r| r.seconds.iter_mut().for_each(|s| s.calls /= 2))),
            "calls at once",
            Different,
        ),
        (searches(search(calls(620, Some(660)))), "calls at once that hold", WithinNoise),
        (searches(search(calls(720, Some(800)))), "calls at once that hold", Better),
        (searches(search(calls(500, Some(560)))), "calls at once that hold", Worse),
        (searches(search(calls(700, None))), "calls at once that hold", Unknown),
    ] {
        let comparison = compare(&before, &after);
        let found = comparison.changes.iter().find(|change| change.name == name);
        assert_eq!(found.map(|change| change.judged), Some(judged), "{name}: {found:?}");
    }
}

#[test]
fn an_unfair_comparison_says_so() {
    assert_eq!(compare(&run(|_| ()), &run(|_| ())).unfair, Vec::<String>::new());
    for (other, reason) in [
        (
            run(|run| run.provenance.host.kernel = "6.1.0".into()),
            "the kernel differs: 6.18.0 and 6.1.0",
        ),
        (run(|run| run.provenance.host.name = "b".into()), "the host differs: fleet-1 and b"),
        (run(|run| run.scenario = "opus".into()), "the scenario differs: echo and opus"),
        (run(|run| run.scenario_toml.clear()), "the scenarios' texts differ"),
        (run(|run| run.calls.mean = 200.0), "the loads differ: 396 and 200 calls at once"),
        (search(|_| ()), "one is a search: the load it found is compared with the other's"),
    ] {
        let comparison = compare(&run(|_| ()), &other);
        assert!(comparison.unfair.iter().any(|found| found == reason), "{:?}", comparison.unfair);
        assert!(comparison.text().contains(&format!("NOT A FAIR COMPARISON: {reason}")));
        assert!(!comparison.changes.is_empty());
    }
}

#[test]
fn a_comparison_reads_as_an_aligned_table() {
    let text = compare(&run(|_| ()), &run(seconds_by(1.5))).text();
    let row = "target's CPU of a call      0.042 % of a core  0.063 % of a core  +50.0 %  WORSE\n";
    assert!(text.contains(row), "{text}");
    assert!(text.contains("within noise\n"), "{text}");
}
