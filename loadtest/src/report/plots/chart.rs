//! A chart: axes with few round ticks, series, limits.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;

use crate::report::document::Plot;

/// What is to be drawn.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chart {
    /// What it shows, with the unit.
    pub(crate) title: String,
    /// Series, the first one lowest.
    pub(crate) series: Vec<Series>,
    /// Lines across that must not be crossed, each with its name.
    pub(crate) limits: Vec<(f64, String)>,
    /// Parts of the x axis that do not count.
    pub(crate) shaded: Vec<(f64, f64)>,
    /// What the y axis must show at least.
    pub(crate) y_from: Option<f64>,
    /// What the y axis must show at least.
    pub(crate) y_to: Option<f64>,
    /// Ticks of the x axis instead of round ones, and what is written at them.
    pub(crate) x_ticks: Option<Vec<(f64, String)>>,
    /// The same of the y axis, which then reaches from `y_from` to `y_to`.
    pub(crate) y_ticks: Option<Vec<(f64, String)>>,
    /// Ends of the x axis, if not those of the data.
    pub(crate) x_ends: Option<(f64, f64)>,
}

/// Values that belong together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    /// Its name in the legend; empty when it needs none.
    pub(crate) name: String,
    /// Its colour.
    pub(crate) colour: Colour,
    /// How it is drawn.
    pub(crate) shape: Shape,
    /// `(x, y)`, by x; for bars the bar's right end.
    pub(crate) points: Vec<(f64, f64)>,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A line.
    #[default]
    Line,
    /// A line, filled down to the axis.
    Area,
    /// A bar from the point before to each point.
    Bars,
    /// A line with its points.
    Dots,
    /// Points alone.
    Points,
}

/// A name for a colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Of the first subject: the target.
    #[default]
    Blue,
    /// Of the second: the generator.
    Orange,
    /// Of a third.
    Green,
    /// Of what must not be.
    Red,
}

impl Colour {
    /// Its class in the page's style.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Orange => "orange",
            Self::Green => "green",
            Self::Red => "red",
        }
    }

    const fn rgb(self) -> RGBColor {
        match self {
            Self::Blue => RGBColor(0x25, 0x63, 0xEB),
            Self::Orange => RGBColor(0xC2, 0x57, 0x0C),
            Self::Green => RGBColor(0x15, 0x80, 0x3D),
            Self::Red => RGBColor(0xDC, 0x26, 0x26),
        }
    }
}

impl Series {
    pub(crate) fn new(
        name: &str,
        colour: Colour,
        shape: Shape,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        let finite = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
        let points = points.into_iter().filter(finite).collect();
        Self { name: name.into(), colour, shape, points }
    }
}

impl Chart {
    /// The picture; `None` when there is nothing to show.
    pub(crate) fn plot(self) -> Option<Plot> {
        if self.series.iter().all(|series| series.points.is_empty()) {
            return None;
        }
        let mut svg = String::new();
        let drawn = self.draw(&mut svg).map_err(|error| error.to_string());
        if let Err(error) = drawn {
            svg = format!("<p>This picture cannot be drawn: {error}.</p>");
        }
        Some(Plot { svg: svg.trim_end().into(), legend: self.legend(), title: self.title })
    }

    fn legend(&self) -> Vec<(&'static str, String)> {
        let named = self.series.iter().filter(|series| !series.name.is_empty());
        let mut legend: Vec<_> =
            named.map(|series| (series.colour.class(), series.name.clone())).collect();
        legend.extend(self.limits.iter().map(|(_, name)| ("limit", name.clone())));
        legend
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error + '_>> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let (x, y) = (self.x_ends(), self.y_ends());
        let x_ticks = self.x_ticks.clone().unwrap_or_else(|| labelled(x.0, x.1, 6));
        let y_ticks = self.y_ticks.clone().unwrap_or_else(|| labelled(y.0, y.1, 5));
        let width = y_ticks.iter().map(|tick| tick.1.len()).max().unwrap_or(1);
        let places = |ticks: &[(f64, String)]| ticks.iter().map(|tick| tick.0).collect();
        let mut chart = ChartBuilder::on(&root)
            .margin_top(8)
            .margin_right(14)
            .x_label_area_size(26)
            .y_label_area_size(14 + 8 * width as u32)
            .build_cartesian_2d(
                Axis { ends: x, ticks: places(&x_ticks) },
                Axis { ends: y, ticks: places(&y_ticks) },
            )?;
        let label = ("sans-serif", 12).into_font().color(&TEXT);
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .disable_x_mesh()
            .axis_style(AXIS)
            .label_style(label)
            .set_all_tick_mark_size(4)
            .x_label_formatter(&|value| text_at(&x_ticks, *value))
            .y_label_formatter(&|value| text_at(&y_ticks, *value))
            .draw()?;
        for &(from, to) in &self.shaded {
            chart.draw_series([Rectangle::new([(from, y.0), (to, y.1)], SHADE.filled())])?;
        }
        for series in &self.series {
            draw_series(&mut chart, series, x.0, y.0)?;
        }
        for (limit, _) in &self.limits {
            let across = [(x.0, *limit), (x.1, *limit)];
            let dashed = DashedLineSeries::new(across, 6, 4, LIMIT.stroke_width(2));
            chart.draw_series(dashed)?;
        }
        root.present()?;
        drop(chart);
        Ok(())
    }

    fn x_ends(&self) -> (f64, f64) {
        let all = || self.series.iter().flat_map(|series| &series.points).map(|point| point.0);
        let ends = self.x_ends.unwrap_or_else(|| {
            (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max))
        });
        if ends.1 > ends.0 { ends } else { (ends.0 - 0.5, ends.0 + 0.5) }
    }

    fn y_ends(&self) -> (f64, f64) {
        let all = || self.series.iter().flat_map(|series| &series.points).map(|point| point.1);
        let limits = || self.limits.iter().map(|limit| limit.0);
        let from = self.y_from.unwrap_or(0.0);
        if let (Some(_), Some(to)) = (&self.y_ticks, self.y_to) {
            return (from, to);
        }
        let top = all().chain(limits()).fold(from, f64::max).max(self.y_to.unwrap_or(from));
        let ticks = round_ticks(from, if top > from { top } else { from + 1.0 }, 5);
        let step = step_of(&ticks);
        let top_tick = ticks.last().copied().unwrap_or(from + 1.0);
        (from, if top > top_tick { top_tick + step } else { top_tick })
    }
}

fn draw_series(
    chart: &mut ChartContext<'_, SVGBackend<'_>, Cartesian2d<Axis, Axis>>,
    series: &Series,
    x_from: f64,
    y_from: f64,
) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let colour = series.colour.rgb();
    let points = || series.points.iter().copied();
    let line = || LineSeries::new(points(), colour.stroke_width(2));
    match series.shape {
        Shape::Line => drop(chart.draw_series(line())?),
        Shape::Area => {
            chart.draw_series(AreaSeries::new(points(), y_from, colour.mix(0.15)))?;
            chart.draw_series(line())?;
        }
        Shape::Bars => {
            let left = std::iter::once(x_from).chain(points().map(|point| point.0));
            let bars = left.zip(points()).filter(|(_, (_, y))| *y > y_from);
            let bar = |(left, (x, y))| Rectangle::new([(left, y_from), (x, y)], colour.filled());
            chart.draw_series(bars.map(bar))?;
        }
        Shape::Dots | Shape::Points => {
            if series.shape == Shape::Dots {
                chart.draw_series(line())?;
            }
            chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))?;
        }
    }
    Ok(())
}

/// A linear axis with these ticks and no others.
#[derive(Debug, Clone)]
struct Axis {
    ends: (f64, f64),
    ticks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, pixels: (i32, i32)) -> i32 {
        let share = (value - self.ends.0) / (self.ends.1 - self.ends.0);
        pixels.0 + (share * f64::from(pixels.1 - pixels.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.ends.0..self.ends.1
    }
}

/// Multiples of 1, 2 or 5 times a power of ten within the ends, about `count` of them.
pub(crate) fn round_ticks(from: f64, to: f64, count: usize) -> Vec<f64> {
    let rough = (to - from) / count as f64;
    if !rough.is_finite() || rough <= 0.0 {
        return vec![from];
    }
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(10.0 * power);
    let first = (from / step - 1e-9).ceil() as i64;
    let last = (to / step + 1e-9).floor() as i64;
    (first..=last).map(|n| n as f64 * step).collect()
}

fn step_of(ticks: &[f64]) -> f64 {
    match ticks {
        [first, second, ..] => second - first,
        _ => 1.0,
    }
}

fn labelled(from: f64, to: f64, count: usize) -> Vec<(f64, String)> {
    let ticks = round_ticks(from, to, count);
    let step = step_of(&ticks);
    ticks.into_iter().map(|tick| (tick, tick_text(tick, step))).collect()
}

fn text_at(ticks: &[(f64, String)], value: f64) -> String {
    ticks.iter().find(|tick| tick.0 == value).map(|tick| tick.1.clone()).unwrap_or_default()
}

/// As many digits as the step has.
fn tick_text(tick: f64, step: f64) -> String {
    let digits = (-(step + step * 1e-9).log10().floor()).max(0.0) as usize;
    crate::report::numbers::number(if tick == 0.0 { 0.0 } else { tick }, digits)
}

/// Width and height; wide enough for two side by side on a desk, small enough that its letters are
/// legible on a telephone.
const SIZE: (u32, u32) = (480, 230);
const TEXT: RGBColor = RGBColor(0x57, 0x5B, 0x62);
const AXIS: RGBColor = RGBColor(0x9A, 0xA0, 0xA6);
const GRID: RGBColor = RGBColor(0xE3, 0xE5, 0xE8);
const LIMIT: RGBColor = RGBColor(0xB9, 0x1C, 0x1C);
const SHADE: RGBAColor = RGBAColor(0x80, 0x80, 0x80, 0.12);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_ends() {
        for (from, to, expected) in [
            (0.0, 10.0, vec![0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
            (0.0, 0.7, vec![0.0, 0.2, 0.4, 0.6]),
            (1.0, 4.5, vec![1.0, 2.0, 3.0, 4.0]),
            (3.0, 3.0, vec![3.0]),
        ] {
            let ticks = round_ticks(from, to, 5);
            assert_eq!(ticks.len(), expected.len(), "{ticks:?}");
            assert!(ticks.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{ticks:?}");
        }
        assert_eq!(tick_text(0.6000000001, 0.2), "0.6");
        assert_eq!(tick_text(1_500.0, 500.0), "1,500");
    }

    #[test]
    fn a_picture_has_no_number_that_is_none() {
        let points = [(0.0, 1.0), (1.0, f64::NAN), (2.0, f64::INFINITY), (3.0, 2.0)];
        for shape in [Shape::Line, Shape::Area, Shape::Bars, Shape::Dots, Shape::Points] {
            let series = vec![Series::new("a", Colour::Blue, shape, points)];
            let chart = Chart { title: "t".into(), series, ..Chart::default() };
            let plot = chart.plot().expect("two points");
            assert!(plot.svg.starts_with("<svg") && plot.svg.ends_with("</svg>"), "{}", plot.svg);
            assert!(!plot.svg.contains("NaN") && !plot.svg.contains("inf"), "{}", plot.svg);
        }
        assert!(Chart::default().plot().is_none());
    }
}
