use super::*;
use crate::results::{Broken, CapacityReport, RunReport, Verdict};

fn capacity() -> ResultsFile {
    ResultsFile::Capacity(Box::new(samples::capacity()))
}

fn run(change: impl FnOnce(&mut RunReport)) -> ResultsFile {
    let mut run = samples::run(200, 60);
    change(&mut run);
    ResultsFile::Run(Box::new(run))
}

#[test]
fn the_first_screen_answers_in_one_sentence() {
    let unfinished = |report: &mut CapacityReport, why: &str| {
        report.broken_at = None;
        report.broken.clear();
        report.unfinished = Some(why.into());
    };
    let mut limited = samples::capacity();
    unfinished(&mut limited, "packets left 9 ms late");
    limited.points[6].run.verdict = Verdict::GeneratorWasTheLimit { why: "late".into() };
    let mut nothing = samples::capacity();
    (nothing.calls, nothing.hosts) = (0, Vec::new());
    let why = "packets left 9 ms late".to_owned();
    for (results, answer, line) in [
        (
            capacity(),
            "This host holds 640 echo calls at once; 2 hosts for 1,000.",
            "held for 46.0 s",
        ),
        (
            ResultsFile::Capacity(Box::new(limited)),
            "This host holds at least 640 echo calls at once; 2 hosts for 1,000.",
            "The generator was the limit, so the host may hold more: packets left 9 ms late",
        ),
        (
            ResultsFile::Capacity(Box::new(nothing)),
            "This host did not hold the pass line at any load that was tried.",
            "What broke first, at 700 calls",
        ),
        (
            ResultsFile::Capacity(Box::new(samples::rate())),
            "This host takes 640 echo calls a second.",
            "CPU, cores, by calls a second",
        ),
        (run(|_| ()), "200 calls at once held the pass line for 46.0 s.", "Pass line"),
        (
            run(|run| run.verdict = Verdict::GeneratorWasTheLimit { why }),
            "The generator was the limit: this run says nothing about the target.",
            "packets left 9 ms late",
        ),
    ] {
        let markdown = markdown(&results);
        assert!(markdown.contains(&format!("**{answer}**")), "{markdown}");
        let html = html(&results).replace('\u{a0}', " ");
        assert!(html.contains(&format!("<h1>{answer}</h1>")), "{answer}");
        assert!(html.contains(line) || markdown.contains(line), "{line}: {markdown}");
    }
}

#[test]
fn pages_fetch_nothing_and_run_nothing() {
    for results in [capacity(), run(|_| ())] {
        let html = html(&results);
        for forbidden in ["<script", "http-equiv", "@import", "url(", "src=", "href=", "<link"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        let outside = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http://") && !outside.contains("https://"));
        assert!(html.matches("<svg").count() > 10, "too few pictures");
    }
}

#[test]
fn what_a_target_says_of_itself_is_text() {
    let evil = "<script>alert(1)</script>|\"'";
    let results = run(|run| {
        run.scenario = evil.into();
        run.scenario_toml = evil.into();
        (run.target, run.target_agent) = (evil.into(), evil.into());
        run.calls.failed.insert(evil.into(), 3);
        run.provenance.command = evil.into();
        run.watched.as_mut().expect("watched").metrics.insert(evil.into(), 1.0);
        let broken = Broken { limit: evil.into(), found: evil.into(), by: 2.0 };
        run.verdict = Verdict::Fail { broken: vec![broken] };
    });
    let html = html(&results);
    assert!(!html.contains("<script") && html.matches("&lt;script&gt;").count() >= 8);
    let markdown = markdown(&results);
    let outside_code = markdown.split("```").step_by(2).collect::<String>();
    assert!(!outside_code.contains("<script"), "{outside_code}");
}

#[test]
fn empty_results_have_a_page_too() {
    for results in [
        ResultsFile::Run(Box::default()),
        ResultsFile::Capacity(Box::default()),
        run(|run| {
            run.seconds.clear();
            run.watched = None;
        }),
    ] {
        let (html, markdown) = (html(&results), markdown(&results));
        assert!(html.ends_with("</html>\n") && !html.contains("NaN"), "{html}");
        assert!(!markdown.contains("NaN") && !markdown.contains("inf "), "{markdown}");
    }
}

#[test]
fn a_report_is_two_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let written = write(&capacity(), &directory.path().join("new")).expect("written");
    assert_eq!(fs::read_to_string(written.html).expect("html"), html(&capacity()));
    assert_eq!(fs::read_to_string(written.markdown).expect("markdown"), markdown(&capacity()));
}
