//! How a run stands, while it runs: a block that stays in its place, or lines where there is no
//! terminal.

use std::fmt::Write;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use voxload::run::{Phase, Progress, Standing};
use voxload::scenario::Scenario;

/// Without a terminal a line is written this often, seconds; and whenever the phase changes.
const LINE_EVERY: u64 = 10;

/// Shows a run on stderr.
#[derive(Debug)]
pub(crate) struct Live {
    bar: Option<ProgressBar>,
    last: Option<Phase>,
}

impl Live {
    /// For a run of `scenario`.
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        let title = format!("{}: starting", scenario.name);
        match &bar {
            Some(bar) => {
                let style = ProgressStyle::with_template("{spinner} {msg}");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                bar.set_message(title);
            }
            None => eprintln!("{title}"),
        }
        Self { bar, last: None }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Live {
    fn second(&mut self, standing: &Standing<'_>) {
        let changed = self.last.replace(standing.phase) != Some(standing.phase);
        match &self.bar {
            Some(bar) => {
                bar.set_message(block(standing));
                bar.tick();
            }
            None if changed || standing.second.at.is_multiple_of(LINE_EVERY) => {
                eprintln!("{}", line(standing));
            }
            None => {}
        }
    }
}

fn block(standing: &Standing<'_>) -> String {
    let second = standing.second;
    let mut text = format!("{}, {} s left\n", name(standing.phase), standing.left.as_secs());
    let mut row = |label: &str, value: String| _ = writeln!(text, "  {label:<12}{value}");
    row("calls", format!("{:<8} {} placed a second", second.calls, second.placed));
    row("refused", format!("{:<8} failed {}", standing.refused, standing.failed));
    row("loss", loss(standing));
    row("late p99.9", format!("{:.1} ms", second.late_p999_ms));
    if let Some(trip) = second.round_trip_ms {
        row("round trip", format!("{trip:.1} ms"));
    }
    row(
        "generator",
        format!(
            "{:.2} cores, sends late p99.9 {:.1} ms",
            second.generator_cores, second.send_late_p999_ms
        ),
    );
    if let Some(cores) = second.target_cores {
        let bytes = second.target_rss_bytes.unwrap_or_default();
        row("target", format!("{cores:.2} cores, {} MiB", bytes >> 20));
    }
    text.trim_end().to_owned()
}

fn line(standing: &Standing<'_>) -> String {
    let second = standing.second;
    let target = second.target_cores.map(|cores| format!(", target {cores:.2} cores"));
    format!(
        "{:>5} s {:<9} {} calls, {} refused, {} failed, loss {}, late p99.9 {:.1} ms, generator {:.2} cores{}",
        second.at + 1,
        name(standing.phase),
        second.calls,
        standing.refused,
        standing.failed,
        loss(standing),
        second.late_p999_ms,
        second.generator_cores,
        target.unwrap_or_default(),
    )
}

fn loss(standing: &Standing<'_>) -> String {
    match standing.expected {
        0 => "-".into(),
        expected => format!("{:.3} %", standing.lost as f64 / expected as f64 * 100.0),
    }
}

const fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::RunUp => "run-up",
        Phase::Settling => "settling",
        Phase::Measured => "measured",
        Phase::Ending => "ending",
    }
}
