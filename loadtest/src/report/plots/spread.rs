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
        ("Lateness of packets as heard, ms", &heard.late_ms, Some(Time::Late)),
        ("Lateness of packets as the generator sent them, ms", &run.generator.send_late_ms, None),
    ];
    let times = times.into_iter().map(|(title, values, time)| {
        let quantiles = [Quantile::P50, Quantile::P95, Quantile::P99, Quantile::P999];
        let bounds = quantiles.iter().filter_map(|q| Some(Measure::Time(time?, *q)));
        let bounds = bounds.flat_map(|measure| limits(run.pass_line.as_ref(), measure)).collect();
        logarithmic(title, values, bounds)
    });
    times.chain([scores(&heard.mos)]).flatten().collect()
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

/// Nothing is shorter than this on a logarithmic axis, ms.
const SMALLEST: f64 = 0.02;
