//! The course of a run, second by second.

use super::chart::{Chart, Colour, Series, Shape};
use crate::report::document::Plot;
use crate::results::{Measure, PassLine, Quantile, RunReport, Second, Time};

/// All pictures of a run's course that it has figures for.
pub(crate) fn plots(run: &RunReport) -> Vec<Plot> {
    let charts = [
        calls(run),
        cpu(run),
        lateness(run),
        round_trip(run),
        trouble(run),
        placed(run),
        memory(run),
        descriptors(run),
    ];
    charts.into_iter().filter_map(|chart| in_time(run, chart).plot()).collect()
}

/// Limits of `pass_line` on this measure, to be drawn.
pub(crate) fn limits(pass_line: Option<&PassLine>, measure: Measure) -> Vec<(f64, String)> {
    let limits = pass_line.into_iter().flat_map(|line| &line.0);
    let ours = limits.filter(|limit| limit.measure == measure);
    ours.map(|limit| (limit.bound, limit.to_string())).collect()
}

/// The x axis of a run: seconds, what was not measured in the shade.
fn in_time(run: &RunReport, chart: Chart) -> Chart {
    let last = run.seconds.last().map_or(1, |second| second.at + 1) as f64;
    let mut shaded = Vec::new();
    let measured = || run.seconds.iter().filter(|second| second.measured).map(|second| second.at);
    if let (Some(first), Some(end)) = (measured().next(), measured().next_back()) {
        shaded.push((0.0, first as f64));
        shaded.push(((end + 1) as f64, last));
    }
    shaded.retain(|(from, to)| to > from);
    Chart { x_ends: Some((0.0, last)), shaded, ..chart }
}

fn chart<const N: usize>(title: &str, series: [Series; N]) -> Chart {
    Chart { title: title.into(), series: series.into(), ..Chart::default() }
}

fn line(
    run: &RunReport,
    name: &str,
    colour: Colour,
    value: impl Fn(&Second) -> Option<f64>,
) -> Series {
    let points = run.seconds.iter().filter_map(|s| Some((s.at as f64 + 0.5, value(s)?)));
    Series::new(name, colour, Shape::Line, points)
}

fn bars(run: &RunReport, name: &str, colour: Colour, value: impl Fn(&Second) -> u64) -> Series {
    let points = run.seconds.iter().map(|s| ((s.at + 1) as f64, value(s) as f64));
    Series::new(name, colour, Shape::Bars, points)
}

fn calls(run: &RunReport) -> Chart {
    let calls = line(run, "", Colour::Blue, |s| Some(s.calls as f64));
    chart("Calls at once", [Series { shape: Shape::Area, ..calls }])
}

fn cpu(run: &RunReport) -> Chart {
    chart(
        "CPU, cores",
        [
            line(run, "generator", Colour::Orange, |s| Some(s.generator_cores)),
            line(run, "target", Colour::Blue, |s| s.target_cores),
        ],
    )
}

fn lateness(run: &RunReport) -> Chart {
    let measure = Measure::Time(Time::Late, Quantile::P999);
    let chart = chart(
        "Lateness, 99.9 % of packets, ms",
        [
            line(run, "as generator sent", Colour::Orange, |s| Some(s.send_late_p999_ms)),
            line(run, "as callers heard", Colour::Blue, |s| Some(s.late_p999_ms)),
        ],
    );
    Chart { limits: limits(run.pass_line.as_ref(), measure), ..chart }
}

fn round_trip(run: &RunReport) -> Chart {
    chart("Round trip, median, ms", [line(run, "", Colour::Blue, |s| s.round_trip_ms)])
}

fn trouble(run: &RunReport) -> Chart {
    let stacked = |s: &Second| s.refused + s.failed;
    if run.seconds.iter().all(|second| stacked(second) == 0) {
        return Chart::default();
    }
    chart(
        "Refused and failed calls a second",
        [
            bars(run, "refused", Colour::Orange, stacked),
            bars(run, "failed", Colour::Red, |s| s.failed),
        ],
    )
}

fn placed(run: &RunReport) -> Chart {
    chart(
        "Calls placed and answered a second",
        [
            line(run, "placed", Colour::Orange, |s| Some(s.placed as f64)),
            line(run, "answered", Colour::Blue, |s| Some(s.answered as f64)),
        ],
    )
}

fn memory(run: &RunReport) -> Chart {
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let memory = line(run, "", Colour::Blue, |s| s.target_rss_bytes.map(mib));
    chart("Memory of the target, MiB", [Series { shape: Shape::Area, ..memory }])
}

fn descriptors(run: &RunReport) -> Chart {
    let descriptors = |s: &Second| s.target_descriptors.map(|count| count as f64);
    chart("Descriptors of the target", [line(run, "", Colour::Blue, descriptors)])
}
