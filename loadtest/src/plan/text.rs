//! A plan for people.

use super::{Forecast, Measured, Need, Plan, PlanError};
use crate::report::document::Table;
use crate::report::numbers::{self, count, percent, seconds};
use crate::report::{markdown, terminal};

impl Plan {
    /// The plan with every step and assumption.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.answer());
        text += &terminal::table(&self.steps());
        text.push('\n');
        text += &terminal::table(&self.needs());
        text += "\nWhat this rests on:\n";
        for assumption in &self.assumptions {
            let wrapped = terminal::wrapped(&format!("- {assumption}")).replace('\n', "\n  ");
            text += &format!("{wrapped}\n");
        }
        text
    }

    /// The answer, in one sentence.
    pub fn answer(&self) -> String {
        let need = &self.blocking;
        let hosts = |hosts: u64| {
            if hosts == 1 { "1 host".into() } else { format!("{} hosts", count(hosts)) }
        };
        let spare = match self.forecast.spare {
            0 => String::new(),
            spare => format!(", {spare} of them spare,"),
        };
        format!(
            "{}{spare} carry {} calls in the busiest hour.",
            hosts(need.hosts_with_spare),
            numbers::number(self.busy_hour_calls, 0)
        )
    }

    fn steps(&self) -> Table {
        let forecast = &self.forecast;
        let growth = match forecast.growth.years {
            0.0 => "none".into(),
            years => format!("{} a year, {years} years", percent(forecast.growth.per_year)),
        };
        let step = |name: &str, value: String| [name.to_owned(), value];
        Table::new(["", ""], &[0])
            .row(step("calls in an ordinary hour", numbers::number(forecast.calls_per_hour, 0)))
            .row(step("peak factor", numbers::significant(forecast.peak_factor)))
            .row(step("growth", growth))
            .row(step("calls in the busiest hour", numbers::number(self.busy_hour_calls, 0)))
            .row(step("arrivals", numbers::with(self.arrivals_per_second, "a second")))
            .row(step("mean length of a call", seconds(forecast.duration_seconds)))
            .row(step("traffic", format!("{} E", numbers::number(self.erlang, 1))))
            .row(step("calls a host holds", count(self.measured.calls)))
            .row(step("of these planned", percent(forecast.headroom)))
            .row(step("calls planned on a host", count(self.calls_per_host)))
            .row(step("workers on a host", count(self.workers_per_host)))
    }

    fn needs(&self) -> Table {
        let names =
            ["", "channels", "hosts", "with spare", "workers", "used", "missed", "one more lost"];
        let mut table = Table::new(names, &[0]);
        let turned = format!("{} turned away (Erlang B)", percent(self.forecast.blocking));
        table.rows.push(need_row(turned, &self.blocking));
        if let (Some(wait), Some(need)) = (self.forecast.wait, &self.waiting) {
            let share = percent(wait.share);
            let waited = format!("{share} within {} (Erlang C)", seconds(wait.seconds));
            table.rows.push(need_row(waited, need));
        }
        table
    }
}

fn need_row(name: String, need: &Need) -> Vec<String> {
    vec![
        name,
        count(need.channels),
        count(need.hosts),
        count(need.hosts_with_spare),
        count(need.workers),
        percent(need.used),
        percent(need.missed),
        percent(need.missed_one_more_lost),
    ]
}

/// What the figures rest on, for readers who must decide whether it holds for them.
pub(super) fn assumptions(plan: &Plan) -> Vec<String> {
    let forecast = &plan.forecast;
    let mut lines = vec![
        format!("A host holds {} calls: {}.", count(plan.measured.calls), plan.measured.source),
        format!(
            "No host is planned above {} of that; the rest is for bursts within a second, slower hosts and what the measurement did not have.",
            percent(forecast.headroom)
        ),
        "Callers are many and call independently of each other (Poisson). A campaign that dials in bursts needs more.".into(),
        "Erlang B: a caller who finds everything taken goes away and does not try again. Callers who do try again add traffic.".into(),
        "All hosts are one pool: a call that one host refuses is offered to the next. Where it is not, a fleet turns more away: simulate it with `voxload fleet-sim`.".into(),
        format!("{} may be gone (failed, in deployment) while the others still carry the busiest hour.", hosts(forecast.spare)),
    ];
    if forecast.wait.is_some() {
        lines.push("Erlang C: nobody hangs up while waiting, waiting calls are taken in their order, and lengths of calls are exponential.".into());
    }
    if let Some(rate) = plan.measured.calls_per_second {
        let each = plan.arrivals_per_second / plan.blocking.hosts as f64;
        let beyond = if each > rate {
            " THAT IS MORE THAN WAS MEASURED: measure with shorter calls."
        } else {
            ""
        };
        lines.push(format!(
            "Each host takes {} calls a second in the busiest hour; {} were placed while it was measured.{beyond}",
            numbers::significant(each),
            numbers::significant(rate)
        ));
    }
    lines
}

fn hosts(count: u64) -> String {
    match count {
        0 => "No host".into(),
        1 => "One host".into(),
        count => format!("{count} hosts"),
    }
}

/// Hosts for several traffics and several hosts' capacities, as Markdown.
///
/// # Errors
/// When one of them cannot be planned.
pub fn sizing_table(
    forecast: &Forecast,
    capacities: &[u64],
    calls_per_hour: &[f64],
) -> Result<String, PlanError> {
    let mut table = Table { texts: &[], ..Table::default() };
    table.columns =
        ["calls an hour", "busiest hour", "traffic, E", "channels"].map(String::from).into();
    table.columns.extend(capacities.iter().map(|calls| format!("hosts of {}", count(*calls))));
    for &calls in calls_per_hour {
        let forecast = Forecast { calls_per_hour: calls, ..forecast.clone() };
        let mut row = Vec::new();
        for &capacity in capacities {
            let measured = Measured { calls: capacity, ..Measured::default() };
            let plan = Plan::make(&forecast, &measured)?;
            if row.is_empty() {
                row = vec![
                    numbers::number(calls, 0),
                    numbers::number(plan.busy_hour_calls, 0),
                    numbers::number(plan.erlang, 0),
                    count(plan.blocking.channels),
                ];
            }
            row.push(count(plan.blocking.hosts_with_spare));
        }
        table.rows.push(row);
    }
    Ok(markdown::table(&table))
}
