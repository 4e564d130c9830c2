//! Pictures as inline SVG. Their colours are names: the page's style gives them a light and a dark
//! meaning by selecting what `plotters` wrote, so that a picture alone still has colours.
//!
//! - [`chart`] has axes, lines, bars, limits.
//! - [`course`] has the seconds of a run.
//! - [`spread`] has histograms.
//! - [`loads`] has what grows with the load.

pub(crate) mod chart;
pub(crate) mod course;
pub(crate) mod loads;
pub(crate) mod spread;
