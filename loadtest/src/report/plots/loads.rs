//! What grows with the load: every load a search tried is a point.

use super::chart::{Chart, Colour, Series, Shape};
use super::course::limits;
use crate::report::document::Plot;
use crate::results::{CapacityReport, Measure, Quantile, RunReport, Time, Verdict};

/// All pictures that the search has figures for.
pub(crate) fn plots(report: &CapacityReport) -> Vec<Plot> {
    let late = Measure::Time(Time::Late, Quantile::P999);
    let setup = Measure::Time(Time::Setup, Quantile::P99);
    let judged = [
        ("Lateness, 99.9 % of packets, ms", late, 1.0),
        ("MOS that 95 % of the calls reach", Measure::Mos, 1.0),
        ("Loss, percent", Measure::Loss, 100.0),
        ("Set-up, 99 % of the calls, ms", setup, 1.0),
    ];
    let mut plots: Vec<_> = judged
        .into_iter()
        .filter_map(|(title, of, scale)| judge(report, title, of, scale))
        .collect();
    plots.insert(1.min(plots.len()), cpu(report).unwrap_or_default());
    plots.extend(memory(report));
    plots.retain(|plot| !plot.svg.is_empty());
    plots
}

/// A measure over the load, points that passed apart from those that did not, with the pass line.
fn judge(report: &CapacityReport, title: &str, measure: Measure, scale: f64) -> Option<Plot> {
    let of = |run: &RunReport| measure.of(run) * scale;
    let all = Series::new("", Colour::Blue, Shape::Line, over_load(report, &of, |_| true));
    let passed = |run: &RunReport| matches!(run.verdict, Verdict::Pass | Verdict::NotAsked);
    let failed = |run: &RunReport| matches!(run.verdict, Verdict::Fail { .. });
    let unknown = |run: &RunReport| matches!(run.verdict, Verdict::GeneratorWasTheLimit { .. });
    let mut series = vec![all];
    for (name, colour, points) in [
        ("passed", Colour::Green, over_load(report, &of, passed)),
        ("failed", Colour::Red, over_load(report, &of, failed)),
        ("no verdict", Colour::Orange, over_load(report, &of, unknown)),
    ] {
        if !points.is_empty() {
            series.push(Series::new(name, colour, Shape::Points, points));
        }
    }
    let bounds = limits(Some(&report.pass_line), measure).into_iter();
    let chart = Chart {
        title: format!("{title}, by {}", report.unit()),
        series,
        limits: bounds.map(|(bound, name)| (bound * scale, name)).collect(),
        y_from: (measure == Measure::Mos).then_some(1.0),
        y_to: (measure == Measure::Mos).then_some(4.5),
        x_ends: Some(ends(report)),
        ..Chart::default()
    };
    chart.plot()
}

fn cpu(report: &CapacityReport) -> Option<Plot> {
    let target = |run: &RunReport| run.watched.as_ref().map_or(f64::NAN, |cost| cost.cpu_cores);
    let busiest =
        |run: &RunReport| run.watched.as_ref().map_or(f64::NAN, |cost| cost.busiest_thread_cores);
    let generator = |run: &RunReport| {
        run.generator.rest_cores + run.generator.media.iter().map(|t| t.cpu_cores).sum::<f64>()
    };
    let series = |name, colour, of: &dyn Fn(&RunReport) -> f64| {
        Series::new(name, colour, Shape::Dots, over_load(report, of, |_| true))
    };
    let chart = Chart {
        title: format!("CPU, cores, by {}", report.unit()),
        series: vec![
            series("generator", Colour::Orange, &generator),
            series("target", Colour::Blue, &target),
            series("target's busiest thread", Colour::Green, &busiest),
        ],
        x_ends: Some(ends(report)),
        ..Chart::default()
    };
    chart.plot()
}

fn memory(report: &CapacityReport) -> Option<Plot> {
    let mib = |run: &RunReport| {
        run.watched.as_ref().map_or(f64::NAN, |cost| cost.rss_bytes as f64 / 1_048_576.0)
    };
    let points = over_load(report, &mib, |_| true);
    let chart = Chart {
        title: format!("Memory of the target, MiB, by {}", report.unit()),
        series: vec![Series::new("", Colour::Blue, Shape::Dots, points)],
        x_ends: Some(ends(report)),
        ..Chart::default()
    };
    chart.plot()
}

fn over_load(
    report: &CapacityReport,
    of: &dyn Fn(&RunReport) -> f64,
    which: impl Fn(&RunReport) -> bool,
) -> Vec<(f64, f64)> {
    let points = report.points.iter().filter(|point| which(&point.run));
    let mut points: Vec<_> = points
        .map(|point| (point.calls as f64, of(&point.run)))
        .filter(|p| p.1.is_finite())
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

fn ends(report: &CapacityReport) -> (f64, f64) {
    let most = report.points.iter().map(|point| point.calls).max().unwrap_or(1);
    (0.0, most.max(1) as f64 * 1.05)
}
