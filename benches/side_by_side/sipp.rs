//! The same calls by SIPp: another's count of them, and another's media, for a cross check.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use vox_benches::median;
use vox_benches::process_tree::CpuTime;
use vox_codecs::{CodecKind, Encoder};
use vox_gate::speech;
use vox_tests::peers::{self, Process};
use vox_tests::worker::free_port;

use crate::Comparison;
use crate::measure::Measured;
use crate::server::{Server, Side};

/// Measures each side that takes SIP once, and prints its cost beside that with our callers.
pub(crate) fn check(
    options: &Comparison,
    calls: usize,
    sides: &[(Side, Vec<Measured>)],
) -> Result<()> {
    let Some(program) = peers::find("sipp") else {
        println!("MISSING: SIPp (Debian package sip-tester): no cross check.");
        return Ok(());
    };
    println!("\n{calls} calls by SIPp, once");
    println!("| | calls that ended well, failed | % of a core per call | beside our callers |");
    println!("|---|---|---|---|");
    for (side, measured) in sides.iter().filter(|(side, _)| *side != Side::Floor) {
        let (well, failed, cpu) = one(options, calls, *side, &program)
            .with_context(|| format!("{side:?} with {calls} calls by SIPp"))?;
        let mut ours: Vec<_> = measured.iter().map(|one| one.cpu).collect();
        let ratio = cpu / median(&mut ours);
        println!("| {} | {well}, {failed} | {cpu:.4} | {ratio:.2} |", side.name());
    }
    Ok(())
}

/// Calls that ended well and that failed, as SIPp counts them, and percent of a core for each.
fn one(options: &Comparison, calls: usize, side: Side, program: &Path) -> Result<(u64, u64, f64)> {
    let server = Server::start(options, side, calls)?;
    let directory = tempfile::tempdir()?;
    let scenario = scenario(directory.path())?;
    let building = Duration::from_secs_f64(calls as f64 / CALLS_PER_SECOND as f64);
    let hold = building + WARM_UP + Duration::from_secs(options.seconds) + WARM_UP;
    let mut command = Command::new("taskset");
    command.args(["-c", &options.caller_core.to_string()]).arg(program);
    command.arg(server.sip().to_string()).arg("-sf").arg(&scenario).args(["-s", side.user()]);
    command.args(["-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", &free_port().to_string()]);
    command.args(["-mp", "42000", "-m", &calls.to_string(), "-l", &calls.to_string()]);
    command.args(["-r", &CALLS_PER_SECOND.to_string(), "-d", &hold.as_millis().to_string()]);
    command.args(["-nostdin", "-trace_stat", "-stf", "counts.csv", "-fd", "1"]);
    command.args(["-timeout", "150", "-timeout_error"]).current_dir(directory.path());
    let mut sipp = Process::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    thread::sleep(building + WARM_UP);
    let cpu = CpuTime::start(server.process());
    thread::sleep(Duration::from_secs(options.seconds));
    let cpu = cpu.percent() / calls as f64;
    let limit = Instant::now() + hold + ENDED_MAX;
    while sipp.0.try_wait()?.is_none() {
        ensure!(Instant::now() < limit, "SIPp does not end");
        thread::sleep(Duration::from_millis(50));
    }
    let counts = std::fs::read_to_string(directory.path().join("counts.csv"))?;
    let count = |column| last(&counts, column).with_context(|| format!("SIPp counts no {column}"));
    Ok((count("SuccessfulCall(C)")?, count("FailedCall(C)")?, cpu))
}

/// The callers of the end-to-end test, in µ-law: Asterisk was told to take nothing else.
fn scenario(directory: &Path) -> Result<PathBuf> {
    let raw = directory.join("speech.ul");
    let mut encoder = Encoder::new(CodecKind::Pcmu);
    let mut bytes = vec![];
    for frame in speech(8_000, 500) {
        let mut payload = [0; 160];
        let len = encoder.encode(&frame, &mut payload);
        bytes.extend_from_slice(&payload[..len]);
    }
    std::fs::write(&raw, bytes)?;
    let text = include_str!("../../tests/sipp/uac-g711.xml")
        .replace("RTP/AVP 8", "RTP/AVP 0")
        .replace("rtpmap:8 PCMA", "rtpmap:0 PCMU")
        .replace("SPEECH,-1,8", &format!("{},-1,0", raw.display()));
    let path = directory.join("uac.xml");
    std::fs::write(&path, text)?;
    Ok(path)
}

/// A column of the last line of SIPp's table.
fn last(counts: &str, column: &str) -> Option<u64> {
    let at = counts.lines().next()?.split(';').position(|name| name == column)?;
    counts.lines().last()?.split(';').nth(at)?.parse().ok()
}

/// New calls while the load builds up.
const CALLS_PER_SECOND: usize = 50;
const WARM_UP: Duration = Duration::from_secs(3);
const ENDED_MAX: Duration = Duration::from_secs(20);
