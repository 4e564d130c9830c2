//! Tables that several pages have.

use crate::report::document::{Block, Section, Table};
use crate::report::numbers::{self, NOTHING, bytes, count, ms, percent};
use crate::results::{
    Calls, Distribution, GeneratorCost, Heard, Provenance, RunReport, TargetCost,
};

/// Where figures come from: host, versions, command, day.
pub(crate) fn provenance(from: &Provenance, target: &str, agent: &str) -> Section {
    let host = &from.host;
    let or_nothing = |text: &str| if text.is_empty() { NOTHING.into() } else { text.to_owned() };
    let table = Table::new(["", ""], &[0, 1])
        .row(["Target".into(), or_nothing(target)])
        .row(["Target says it is".into(), or_nothing(agent)])
        .row(["Network".into(), network(&host.network)])
        .row(["Host".into(), or_nothing(&host.name)])
        .row([
            "Processor".into(),
            format!("{}, {} cores for us", or_nothing(&host.cpu), host.cores),
        ])
        .row(["Memory".into(), bytes(host.memory_bytes as f64)])
        .row(["System".into(), or_nothing(&host.system)])
        .row(["Kernel".into(), or_nothing(&host.kernel)])
        .row(["Generator".into(), or_nothing(&from.tool)])
        .row(["Began".into(), or_nothing(&from.began)]);
    let command = Block::Code(from.command.clone());
    Section::new("Where it was measured", vec![Block::Table(table), command])
}

fn network(name: &str) -> String {
    match name {
        "loopback" => "loopback: generator and target on one host, no NIC".into(),
        "" => NOTHING.into(),
        name => format!("interface {name}"),
    }
}

/// What became of the calls.
pub(crate) fn calls(calls: &Calls) -> Block {
    let share = |part: u64| match calls.placed {
        0 => NOTHING.into(),
        placed => percent(part as f64 / placed as f64),
    };
    let mut table = Table::new(["Calls", "number", "of placed"], &[0]);
    let mut add = |name: String, number: u64| {
        table.rows.push(vec![name, count(number), share(number)]);
    };
    add("placed".into(), calls.placed);
    add("answered".into(), calls.answered);
    add("ended well".into(), calls.ended_well);
    for (status, number) in &calls.refused {
        add(format!("refused with {status}"), *number);
    }
    for (reason, number) in &calls.failed {
        add(format!("failed: {reason}"), *number);
    }
    Block::Table(table)
}

/// What the callers heard.
pub(crate) fn heard(heard: &Heard) -> Block {
    let of = |part: u64, whole: u64| match whole {
        0 => NOTHING.into(),
        whole => percent(part as f64 / whole as f64),
    };
    let packets = |name: &str, part: u64| [name.to_owned(), count(part), of(part, heard.expected)];
    let table = Table::new(["Packets as heard", "number", "of expected"], &[0])
        .row(packets("expected", heard.expected))
        .row(packets("received", heard.received))
        .row(packets("lost", heard.lost))
        .row(packets("reordered", heard.reordered))
        .row(packets("duplicates", heard.duplicates))
        .row(["calls heard one way only".into(), count(heard.one_way), String::new()])
        .row(["calls with our own echo".into(), count(heard.echoed), String::new()]);
    Block::Table(table)
}

/// Quantiles of everything that has them.
pub(crate) fn quantiles(run: &RunReport) -> Block {
    let names = ["", "values", "min", "p50", "p90", "p95", "p99", "p99.9", "max"];
    let mut table = Table::new(names, &[0]);
    let mut add = |name: &str, values: &Distribution, text: fn(f64) -> String| {
        let of =
            [values.min, values.p50, values.p90, values.p95, values.p99, values.p999, values.max];
        if values.count > 0 {
            let mut row = vec![name.to_owned(), count(values.count)];
            row.extend(of.map(text));
            table.rows.push(row);
        }
    };
    add("set-up", &run.calls.setup_ms, ms);
    add("hang-up", &run.calls.hang_up_ms, ms);
    add("first audio", &run.heard.first_audio_ms, ms);
    add("round trip", &run.heard.round_trip_ms, ms);
    add("lateness as heard", &run.heard.late_ms, ms);
    add("jitter of a call", &run.heard.jitter_ms, ms);
    add("longest gap of a call", &run.heard.gap_ms, ms);
    add("MOS of a call", &run.heard.mos, |value| numbers::number(value, 2));
    add("lateness as sent", &run.generator.send_late_ms, ms);
    add("lateness of placing", &run.generator.place_late_ms, ms);
    Block::Table(table)
}

/// What the target cost.
pub(crate) fn target(cost: &TargetCost, calls: f64) -> Vec<Block> {
    let per_call = |value: String| if calls > 0.0 { value } else { NOTHING.into() };
    let more = cost.rss_bytes.saturating_sub(cost.rss_idle_bytes) as f64;
    let descriptors = cost.descriptors.saturating_sub(cost.descriptors_idle) as f64;
    let cores = numbers::cores;
    let cpu = |cores: f64| per_call(format!("{} of a core", percent(cores / calls)));
    let table = Table::new(["Target", "all", "per call"], &[0])
        .row(["CPU, cores".into(), cores(cost.cpu_cores), cpu(cost.cpu_cores)])
        .row(["its busiest thread".into(), cores(cost.busiest_thread_cores), String::new()])
        .row(["memory at most".into(), bytes(cost.rss_bytes as f64), per_call(bytes(more / calls))])
        .row(["memory when idle".into(), bytes(cost.rss_idle_bytes as f64), String::new()])
        .row([
            "descriptors".into(),
            count(cost.descriptors),
            per_call(numbers::significant(descriptors / calls)),
        ])
        .row(["threads".into(), count(cost.threads), String::new()])
        .row(["processes".into(), count(cost.processes), String::new()]);
    let mut blocks = vec![Block::Table(table)];
    if !cost.metrics.is_empty() {
        let grew = cost.metrics.iter().map(|(name, by)| format!("{name}  {by}\n"));
        blocks.push(Block::Text("What its own counters grew by over the measured part:".into()));
        blocks.push(Block::Code(grew.collect()));
    }
    blocks
}

/// What the generator cost, and whether it kept its time.
pub(crate) fn generator(cost: &GeneratorCost) -> Block {
    let mut table = Table::new(["Generator", "CPU, cores", "wanted to run, cores"], &[0]);
    for (at, thread) in cost.media.iter().enumerate() {
        let pinned = thread.core.map_or_else(String::new, |core| format!(", core {core}"));
        table = table.row([
            format!("media thread {}{pinned}", at + 1),
            numbers::cores(thread.cpu_cores),
            numbers::cores(thread.waiting_cores),
        ]);
    }
    let late = &cost.send_late_ms;
    let placed = match cost.place_late_ms.count {
        0 => NOTHING.into(),
        _ => ms(cost.place_late_ms.p99),
    };
    table = table
        .row(["SIP and the rest".into(), numbers::cores(cost.rest_cores), String::new()])
        .row(["packets sent late, p99.9".into(), ms(late.p999), String::new()])
        .row(["calls placed late, p99".into(), placed, String::new()])
        .row(["packets its kernel did not take".into(), count(cost.send_dropped), String::new()])
        .row(["packets it had no buffer for".into(), count(cost.receive_dropped), String::new()])
        .row(["memory".into(), bytes(cost.rss_bytes as f64), String::new()]);
    Block::Table(table)
}

/// The generator's CPU, in cores.
pub(crate) fn generator_cores(cost: &GeneratorCost) -> f64 {
    cost.rest_cores + cost.media.iter().map(|thread| thread.cpu_cores).sum::<f64>()
}
