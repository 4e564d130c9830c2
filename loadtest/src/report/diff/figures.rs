//! What is compared.

use super::bands::{self, Band};
use super::{Figure, Wanted};
use crate::report::numbers::{self, bytes, count, ms, percent};
use crate::results::{CapacityReport, Distribution, Measure, ResultsFile, RunReport, Second};

/// All figures of `results` that the other file may have, too.
pub(super) fn of(results: &ResultsFile, other: &ResultsFile) -> Vec<Figure> {
    match (results, other) {
        (ResultsFile::Run(run), _) => of_run(run),
        (ResultsFile::Capacity(search), ResultsFile::Run(_)) => {
            answer(search).map(of_run).unwrap_or_default()
        }
        (ResultsFile::Capacity(search), ResultsFile::Capacity(_)) => of_search(search),
    }
}

/// The run that a search's answer rests on.
pub(super) fn answer(search: &CapacityReport) -> Option<&RunReport> {
    let point = search.points.iter().rev().find(|point| point.calls == search.calls)?;
    Some(&point.run)
}

fn of_search(search: &CapacityReport) -> Vec<Figure> {
    let held = search.calls as f64;
    let broken = search.broken_at.map(|at| at as f64).filter(|at| *at >= held);
    let band = broken.map(|high| Band { low: held, high });
    let mut figures = vec![Figure {
        name: match search.is_of_rate() {
            true => "calls a second that hold",
            false => "calls at once that hold",
        },
        value: held,
        text: count(search.calls),
        band,
        wanted: Wanted::More,
    }];
    let thousand = search.hosts.iter().find(|needed| needed.calls == 1_000);
    if let Some(needed) = thousand.filter(|_| !search.is_of_rate()) {
        figures.push(Figure {
            name: "hosts for 1,000 calls",
            value: needed.hosts as f64,
            text: count(needed.hosts),
            // As uncertain as the calls are.
            band: band.map(|calls| {
                let hosts = |calls: f64| needed.hosts as f64 * held / calls;
                Band { low: hosts(calls.high).floor(), high: hosts(calls.low).ceil() }
            }),
            wanted: Wanted::Less,
        });
    }
    figures.extend(answer(search).map(of_run).unwrap_or_default());
    figures
}

fn of_run(run: &RunReport) -> Vec<Figure> {
    let (calls, heard) = (&run.calls, &run.heard);
    let per_call =
        |cores: f64, second: &Second| (second.calls > 0).then(|| cores / second.calls as f64);
    let per_call_text = |cores: f64| format!("{} of a core", percent(cores));
    let loss = |s: &Second| {
        let all = s.received + s.lost;
        (all > 0).then(|| s.lost as f64 / all as f64)
    };
    let rss = |s: &Second| s.target_rss_bytes.map(|bytes| bytes as f64);
    use Wanted::{Less, More, Neither};
    [
        in_time(run, "calls at once", Neither, number, |s| Some(s.calls as f64)),
        in_time(run, "calls placed a second", Neither, numbers::significant, |s| {
            Some(s.placed as f64)
        }),
        share("failed, of placed", calls.failures(), calls.placed),
        share("refused, of placed", calls.refusals(), calls.placed),
        in_time(run, "loss", Less, percent, loss),
        in_time(run, "lateness p99.9 of a second", Less, ms, |s| Some(s.late_p999_ms)),
        quantile("set-up p50", &calls.setup_ms, 0.5, calls.setup_ms.p50),
        quantile("set-up p99", &calls.setup_ms, 0.99, calls.setup_ms.p99),
        quantile("first audio p50", &heard.first_audio_ms, 0.5, heard.first_audio_ms.p50),
        in_time(run, "round trip p50", Less, ms, |s| s.round_trip_ms),
        quantile("MOS of 95 % of calls", &heard.mos, 0.05, Measure::Mos.of(run)).map(|figure| {
            Figure { text: numbers::number(figure.value, 2), wanted: More, ..figure }
        }),
        in_time(run, "target's CPU of a call", Less, per_call_text, |s| {
            per_call(s.target_cores?, s)
        }),
        in_time(run, "target's memory", Less, bytes, rss),
        in_time(run, "generator's CPU of a call", Neither, per_call_text, |s| {
            per_call(s.generator_cores, s)
        }),
        in_time(run, "generator's lateness p99.9", Neither, ms, |s| Some(s.send_late_p999_ms)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn in_time(
    run: &RunReport,
    name: &'static str,
    wanted: Wanted,
    text: fn(f64) -> String,
    of: impl Fn(&Second) -> Option<f64>,
) -> Option<Figure> {
    let (value, band) = bands::of_seconds(run, of)?;
    Some(Figure { name, value, text: text(value), band, wanted })
}

fn share(name: &'static str, part: u64, whole: u64) -> Option<Figure> {
    let value = part as f64 / whole as f64;
    let text = format!("{} ({})", percent(value), count(part));
    let band = bands::of_share(part, whole);
    (whole > 0).then_some(Figure { name, value, text, band, wanted: Wanted::Less })
}

fn quantile(name: &'static str, of: &Distribution, quantile: f64, value: f64) -> Option<Figure> {
    let band = bands::of_quantile(of, quantile);
    (of.count > 0).then(|| Figure { name, value, text: ms(value), band, wanted: Wanted::Less })
}

fn number(value: f64) -> String {
    numbers::number(value, 0)
}
