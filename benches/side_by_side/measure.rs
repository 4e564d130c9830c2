//! One side, with its callers, for a while.

use std::fmt;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use vox_benches::process::Process;
use vox_benches::process_tree::{CpuTime, Memory};

use crate::Comparison;
use crate::server::{self, Server, Side};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Percent of a core for each call.
    pub(crate) cpu: f64,
    /// What a call adds to the server's memory, a shared page counted once.
    pub(crate) call_mib: f64,
    /// Caller → server → caller, 50th, 95th and 99th percentile.
    pub(crate) round_trip_ms: [f64; 3],
    /// Packets of a call that did not come back: lost, or under way at the end.
    pub(crate) missing: f64,
}

pub(crate) fn measure(options: &Comparison, calls: usize, side: Side) -> Result<Measured> {
    let measured = match side {
        Side::Floor => floor(options, calls),
        _ => by_sip(options, calls, side),
    };
    measured.with_context(|| format!("{side:?} with {calls} calls"))
}

fn floor(options: &Comparison, calls: usize) -> Result<Measured> {
    let mut callers = callers(options, calls, &[])?;
    let mut server = server::floor(options, callers.line()?)?;
    // The floor's memory is all there before the first packet.
    let before = Memory::of(server.id());
    callers.tell(&server.line()?)?;
    watch(options, calls, callers, server.id(), before)
}

fn by_sip(options: &Comparison, calls: usize, side: Side) -> Result<Measured> {
    let server = Server::start(options, side, calls)?;
    let before = Memory::of(server.process());
    let (sip, user) = (server.sip().to_string(), side.user().to_owned());
    let mut callers = callers(options, calls, &["--sip".into(), sip, "--user".into(), user])?;
    // Their ports.
    callers.line()?;
    let measured = watch(options, calls, callers, server.process(), before)?;
    if side.records() {
        server.recorded(calls)?;
    }
    Ok(measured)
}

fn callers(options: &Comparison, calls: usize, whom: &[String]) -> Result<Process> {
    let mut args = vec!["callers".into(), "--calls".into(), calls.to_string()];
    args.extend_from_slice(whom);
    Process::start(options.caller_core, &args)
}

/// Lets the calls settle, looks at the server for a while, ends the calls.
fn watch(
    options: &Comparison,
    calls: usize,
    mut callers: Process,
    server: u32,
    before: Memory,
) -> Result<Measured> {
    ensure!(callers.line()? == "ready", "the callers are not ready");
    thread::sleep(WARM_UP);
    let cpu = CpuTime::start(server);
    thread::sleep(Duration::from_secs(options.seconds));
    let cpu = cpu.percent();
    let memory = Memory::of(server);
    let said = callers.finish()?;
    let words: Vec<&str> = said.split(' ').collect();
    let [sent, received, p50, p95, p99] = words[..] else { bail!("the callers say: {said}") };
    let (sent, received): (u64, u64) = (sent.parse()?, received.parse()?);
    // More or less is the server's affair, and in the table; without most of them it did another's work.
    ensure!(10 * received > 9 * sent, "{received} packets came back of {sent}");
    Ok(Measured {
        cpu: cpu / calls as f64,
        call_mib: (memory.pss_mib - before.pss_mib) / calls as f64,
        round_trip_ms: [p50.parse()?, p95.parse()?, p99.parse()?],
        missing: sent.saturating_sub(received) as f64 / calls as f64,
    })
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, call_mib, round_trip_ms: [p50, p95, p99], missing } = self;
        write!(
            f,
            "{cpu:.4} % of a core and {call_mib:.3} MiB a call, round trip {p50}/{p95}/{p99}"
        )?;
        write!(f, " ms, {missing:.1} packets a call not back")
    }
}

const WARM_UP: Duration = Duration::from_secs(3);
