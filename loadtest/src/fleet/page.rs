//! The outcome for people: text for a terminal, a page with pictures.

use std::fs;
use std::io;
use std::path::Path;

use super::tally::{FleetReport, Lost, Missed};
use crate::report::document::{Block, Document, Fact, Plot, Section, Table};
use crate::report::numbers::{self, count, percent, seconds, significant};
use crate::report::plots::chart::{Chart, Colour, Series, Shape};
use crate::report::{Written, html, markdown, terminal};

impl FleetReport {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.answer());
        text += &terminal::table(&self.traffic());
        text.push('\n');
        text += &terminal::table(&self.fates());
        text.push('\n');
        text + &terminal::wrapped(&self.rests_on()) + "\n"
    }

    /// Writes `fleet.html` and `fleet.md` into `directory`, which is made if need be.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn write(&self, command: &str, directory: &Path) -> io::Result<Written> {
        fs::create_dir_all(directory)?;
        let document = self.document(command);
        let written =
            Written { html: directory.join("fleet.html"), markdown: directory.join("fleet.md") };
        fs::write(&written.html, html::page(&document))?;
        fs::write(&written.markdown, markdown::page(&document))?;
        Ok(written)
    }

    /// The answer, in one sentence.
    pub fn answer(&self) -> String {
        let hosts = match self.fleet.hosts {
            1 => "1 host".into(),
            hosts => format!("{} hosts", count(hosts as u64)),
        };
        let lost = match self.lost_calls() {
            0 => String::new(),
            lost => format!(", and {} calls were cut off", count(lost)),
        };
        let missed = percent(self.missed_share);
        format!(
            "{hosts} of {} calls turned away {missed} of {} calls{lost}.",
            count(self.fleet.slots_per_host()),
            count(self.placed)
        )
    }

    /// Calls that were up and lost.
    pub fn lost_calls(&self) -> u64 {
        self.lost.values().sum()
    }

    pub(crate) fn document(&self, command: &str) -> Document {
        let note = |name: &str| name.to_owned();
        let off = format!("± {}, three standard errors", percent(self.missed_share_off));
        let erlang_b = note("the average traffic on one pool of all slots");
        let facts = vec![
            Fact::new("Turned away", percent(self.missed_share), off),
            Fact::new("By Erlang B", percent(self.erlang_b), erlang_b),
            Fact::new("Cut off", count(self.lost_calls()), "calls that were up"),
            Fact::new("Slots used", percent(self.used), "of all hosts, on average"),
            Fact::new(
                "Calls at once",
                numbers::number(self.calls_mean, 0),
                format!("on average, {} at most", count(self.calls_max)),
            ),
            Fact::new("Slots open", percent(self.available), "on hosts that took calls"),
            Fact::new("Failures", count(self.failures), "of hosts"),
            Fact::new("Deploys", count(self.deploys), "of all hosts, one after the other"),
        ];
        let fates = vec![Block::Table(self.traffic()), Block::Table(self.fates())];
        let simulated = vec![
            Block::Table(self.fleet_table()),
            Block::Text(self.rests_on()),
            Block::Code(command.into()),
        ];
        Document {
            title: format!("Simulated fleet · way in: {}", self.fleet.way),
            answer: self.answer(),
            verdict: vec![format!("Rule: {}.", self.fleet.way.rule())],
            facts,
            sections: vec![
                Section::new("The course", vec![Block::Plots(self.plots())]),
                Section::new("What became of the calls", fates),
                Section::new("What was simulated", simulated),
            ],
            ..Document::default()
        }
    }

    fn traffic(&self) -> Table {
        let row = |name: &str, value: String| [name.to_owned(), value];
        Table::new(["", ""], &[0])
            .row(row("way in", self.fleet.way.to_string()))
            .row(row("slots of all hosts", count(self.fleet.slots())))
            .row(row("simulated", seconds(self.seconds)))
            .row(row("traffic", format!("{} E", numbers::number(self.erlang, 1))))
            .row(row("calls at once, mean", numbers::number(self.calls_mean, 1)))
            .row(row("calls at once, most", count(self.calls_max)))
            .row(row("slots used", percent(self.used)))
            .row(row("slots open", percent(self.available)))
            .row(row("busiest host, calls", significant(self.of_hosts(f64::max, 0.0))))
            .row(row("idlest host, calls", significant(self.of_hosts(f64::min, f64::INFINITY))))
            .row(row("failures of hosts", count(self.failures)))
            .row(row("deploys", count(self.deploys)))
    }

    fn fates(&self) -> Table {
        let share = |calls: u64| percent(calls as f64 / self.placed.max(1) as f64);
        let mut table = Table::new(["calls", "number", "of placed", "off by"], &[0]);
        let mut add = |name: &str, calls: u64, off: String| {
            table.rows.push(vec![name.into(), count(calls), share(calls), off]);
        };
        add("placed", self.placed, String::new());
        add("taken", self.taken, String::new());
        if self.waited > 0 {
            let mean = format!("after {}", seconds(self.waited_seconds_mean));
            add("  of them found by the watcher", self.waited, mean);
        }
        let missed = self.missed.values().sum();
        add("turned away", missed, format!("± {}", percent(self.missed_share_off)));
        for (why, calls) in &self.missed {
            add(why.words(), *calls, String::new());
        }
        add("cut off", self.lost_calls(), String::new());
        for (why, calls) in &self.lost {
            add(why.words(), *calls, String::new());
        }
        let erlang_b = vec![
            "by Erlang B for the average traffic".into(),
            String::new(),
            percent(self.erlang_b),
            String::new(),
        ];
        table.rows.push(erlang_b);
        table
    }

    fn fleet_table(&self) -> Table {
        let fleet = &self.fleet;
        let row = |name: &str, value: String| [name.to_owned(), value];
        let mut table = Table::new(["", ""], &[0])
            .row(row("hosts", count(fleet.hosts as u64)))
            .row(row("workers on a host", count(fleet.workers_per_host as u64)))
            .row(row("calls of a worker", count(u64::from(fleet.calls_per_worker))))
            .row(row("from choice to slot", numbers::ms(fleet.dispatch_seconds * 1e3)))
            .row(row("seed", fleet.seed.to_string()));
        if let Some(failures) = fleet.failures {
            table = table
                .row(row("a host fails every", seconds(failures.mtbf_seconds)))
                .row(row("and is back after", seconds(failures.repair_seconds)));
        }
        if let Some(deploys) = fleet.deploys {
            table = table
                .row(row("a deploy every", seconds(deploys.every_seconds)))
                .row(row("hosts out at once", count(deploys.hosts_at_once as u64)))
                .row(row("drain at most", seconds(deploys.drain_seconds)))
                .row(row("replaced within", seconds(deploys.replace_seconds)));
        }
        table
    }

    fn rests_on(&self) -> String {
        format!(
            "Rule of this way in: {}. Callers do not try again. A dead host is known to be dead, \
             except to calls that are on their way to it. The seed makes it the same run again.",
            self.fleet.way.rule()
        )
    }

    fn of_hosts(&self, pick: fn(f64, f64) -> f64, from: f64) -> f64 {
        self.calls_mean_of_hosts.iter().copied().fold(from, pick)
    }

    fn plots(&self) -> Vec<Plot> {
        let (unit, scale) = match self.seconds {
            s if s > 4.0 * 86_400.0 => ("days", 86_400.0),
            s if s > 4.0 * 3_600.0 => ("hours", 3_600.0),
            s if s > 240.0 => ("minutes", 60.0),
            _ => ("seconds", 1.0),
        };
        let mut ends = Vec::new();
        let mut at = 0.0;
        for slice in &self.slices {
            at += slice.seconds / scale;
            ends.push(at);
        }
        let over = |of: &dyn Fn(&super::Slice) -> f64| -> Vec<(f64, f64)> {
            let slices = ends.iter().zip(&self.slices).filter(|(_, slice)| slice.seconds > 0.0);
            slices.map(|(end, slice)| (*end, of(slice))).collect()
        };
        let calls = over(&|slice| slice.calls / slice.seconds);
        let slots = over(&|slice| slice.slots / slice.seconds);
        let missed = over(&|slice| (slice.missed + slice.lost) as f64);
        let lost = over(&|slice| slice.lost as f64);
        let x_ends = Some((0.0, at));
        let course = Chart {
            title: format!("Calls at once, over {unit}"),
            series: vec![
                Series::new("calls", Colour::Blue, Shape::Area, calls),
                Series::new("slots on hosts that take calls", Colour::Green, Shape::Line, slots),
            ],
            x_ends,
            ..Chart::default()
        };
        let trouble = Chart {
            title: format!("Calls turned away and cut off, over {unit}"),
            series: vec![
                Series::new("turned away", Colour::Orange, Shape::Bars, missed),
                Series::new("cut off", Colour::Red, Shape::Bars, lost),
            ],
            x_ends,
            ..Chart::default()
        };
        [course, trouble, self.hosts_chart()].into_iter().filter_map(Chart::plot).collect()
    }

    fn hosts_chart(&self) -> Chart {
        let hosts = self.calls_mean_of_hosts.iter().enumerate();
        Chart {
            title: "Calls at once on each host, on average".into(),
            series: vec![Series::new(
                "",
                Colour::Blue,
                Shape::Bars,
                hosts.map(|(nth, calls)| ((nth + 1) as f64, *calls)),
            )],
            limits: vec![(self.fleet.slots_per_host() as f64, "slots of a host".into())],
            x_ends: Some((0.0, self.fleet.hosts as f64)),
            ..Chart::default()
        }
    }
}

impl Missed {
    const fn words(self) -> &'static str {
        match self {
            Self::AllFull => "  no host had a slot",
            Self::HostFull => "  the host had no slot",
            Self::WorkerFull => "  the worker had no slot, its host had",
            Self::HostGone => "  the host was gone",
            Self::GaveUp => "  rang too long",
        }
    }
}

impl Lost {
    const fn words(self) -> &'static str {
        match self {
            Self::HostFailed => "  with their host",
            Self::DeployCut => "  by a deploy that waits no longer",
        }
    }
}
