//! Histograms.

use super::chart::{Chart, Colour, Series, Shape};
use super::course::limits;
use crate::report::document::Plot;
use crate::report::numbers;
use crate::results::{Distribution, Measure, Quantile, RunReport, Time};

/// All histograms of a run that it has figures for.
pub(crate) fn plots(run: &RunReport) -> Vec<Plot> {
    let (calls, heard) = (&run.calls, &run.heard);
    let times = [
        ("Set-up, INVITE to 200, ms", &calls.setup_ms, Some(Time::Setup)),
        ("Round trip of the sound, ms", &heard.round_trip_ms, Some(Time::RoundTrip)),
        ("First audio, ms", &heard.first_audio_ms, Some(Time::FirstAudio)),
    ];
    let times = times.into_iter().map(|(title, values, time)| {
        let quantiles = [Quantile::P50, Quantile::P95, Quantile::P99, Quantile::P999];
        let bounds = quantiles.iter().filter_map(|q| Some(Measure::Time(time?, *q)));
        let bounds = bounds.flat_map(|measure| limits(run.pass_line.as_ref(), measure)).collect();
        logarithmic(title, values, bounds)
    });
    times.chain([lateness(run), scores(&heard.mos)]).flatten().collect()
}

/// Percent of the values over a logarithmic axis. Limits stand in the legend: they bound a
/// quantile, and a line across would claim that they bound every value.
fn logarithmic(title: &str, values: &Distribution, limits: Vec<(f64, String)>) -> Option<Plot> {
    if values.count == 0 {
        return None;
    }
    let floor = values.min.max(SMALLEST);
    let place = |value: f64| value.max(floor).log10();
    let total = values.count.max(1) as f64;
    let counted = |(upper, count): &(f64, u64)| (place(*upper), *count as f64 / total * 100.0);
    // A bar starts where the one before ends: the first one starts at the smallest value.
    let mut points = vec![(place(floor), 0.0)];
    points.extend(values.buckets.iter().map(counted));
    let ends = (place(floor) - 0.1, points.last()?.0.max(place(floor) + 0.5) + 0.05);
    let named = limits.iter().map(|(_, name)| format!(" · pass {name}")).collect::<String>();
    let chart = Chart {
        title: format!("{title}{named}"),
        series: vec![Series::new("", Colour::Blue, Shape::Bars, points)],
        x_ends: Some(ends),
        x_ticks: Some(decades(ends)),
        ..Chart::default()
    };
    chart.plot()
}

/// What share of the packets was later than this, both axes logarithmic: the few that are late are
/// what matters. Limits are points that the line must stay below.
fn lateness(run: &RunReport) -> Option<Plot> {
    let (heard, sent) = (&run.heard.late_ms, &run.generator.send_late_ms);
    let late = |quantile| Measure::Time(Time::Late, quantile);
    let shares =
        [(Quantile::P50, 50.0), (Quantile::P95, 5.0), (Quantile::P99, 1.0), (Quantile::P999, 0.1)];
    let mut series = vec![
        Series::new("as generator sent", Colour::Orange, Shape::Line, later(sent)),
        Series::new("as callers heard", Colour::Blue, Shape::Line, later(heard)),
    ];
    for (quantile, share) in shares {
        for (bound, name) in limits(run.pass_line.as_ref(), late(quantile)) {
            let point = (bound.max(SMALLEST).log10(), f64::log10(share));
            series.push(Series::new(&name, Colour::Red, Shape::Points, [point]));
        }
    }
    let most = series.iter().flat_map(|series| &series.points).map(|point| point.0);
    let ends = (SMALLEST.log10(), most.fold(1.0, f64::max) + 0.05);
    let percents = [100.0, 10.0, 1.0, 0.1, 0.01, 0.001];
    let digits = [0, 0, 0, 1, 2, 3];
    let tick =
        |(percent, digits): (f64, usize)| (percent.log10(), numbers::number(percent, digits));
    let chart = Chart {
        title: "Lateness of packets: percent that was later than … ms".into(),
        series,
        x_ends: Some(ends),
        x_ticks: Some(decades(ends)),
        y_from: Some(-3.0),
        y_to: Some(2.0),
        y_ticks: Some(percents.into_iter().zip(digits).map(tick).collect()),
        ..Chart::default()
    };
    (heard.count + sent.count > 0).then(|| chart.plot()).flatten()
}

/// Percent of the values above each bound, down to where the axis ends.
fn later(values: &Distribution) -> Vec<(f64, f64)> {
    let total = values.count as f64;
    if values.count == 0 {
        return Vec::new();
    }
    let mut left = total;
    let mut points = vec![(SMALLEST.log10(), 2.0)];
    for (upper, count) in &values.buckets {
        left -= *count as f64;
        let percent = left / total * 100.0;
        points.push((upper.max(SMALLEST).log10(), percent.max(LEAST_PERCENT).log10()));
        if percent <= LEAST_PERCENT {
            break;
        }
    }
    points
}

fn scores(mos: &Distribution) -> Option<Plot> {
    let total = mos.count.max(1) as f64;
    let width = 0.02;
    let share = |(upper, count): &(f64, u64)| (*upper, *count as f64 / total * 100.0);
    let mut points = Vec::new();
    // A bar starts where the one before ends: the gap below the first one is a bar of nothing.
    let mut before = 1.0;
    for (upper, share) in mos.buckets.iter().map(share) {
        let lower = f64::max(before, upper - width);
        points.extend([(lower, 0.0), (upper, share)]);
        before = upper;
    }
    let chart = Chart {
        title: "MOS of the calls (E-model), percent of calls".into(),
        series: vec![Series::new("", Colour::Green, Shape::Bars, points)],
        x_ends: Some((1.0, 4.5)),
        ..Chart::default()
    };
    chart.plot()
}

/// 1, 2 and 5 times powers of ten where there is room for them, else the powers alone.
fn decades(ends: (f64, f64)) -> Vec<(f64, String)> {
    let steps: &[f64] = if ends.1 - ends.0 <= 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let mut ticks = Vec::new();
    for power in ends.0.floor() as i32..=ends.1.ceil() as i32 {
        for step in steps {
            let value = step * 10f64.powi(power);
            let place = value.log10();
            if (ends.0..=ends.1).contains(&place) {
                let digits = usize::try_from(-power).unwrap_or(0);
                ticks.push((place, numbers::number(value, digits)));
            }
        }
    }
    ticks
}

/// Where the axis of shares ends.
const LEAST_PERCENT: f64 = 0.001;
/// Nothing is shorter than this on a logarithmic axis, ms.
const SMALLEST: f64 = 0.02;
