//! `vox call`: a caller for people and tests.

use std::io::{BufWriter, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use tokio_util::sync::CancellationToken;
use vox_codecs::CodecKind;
use vox_codecs::wav::{Wav, WavWriter};
use voxload::capture::Capture;
use voxload::network::Profile;
use voxload::{CallPlan, CallReport, Phone, Transport};

/// Silence that is sent when there is nothing to say.
const SILENT_RATE_HZ: u32 = 8_000;
/// How long to listen when there is nothing to say.
const LISTEN: Duration = Duration::from_secs(10);

/// Calls a SIP address, speaks a recording, listens, and reports what a caller would notice.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  vox call sip:echo@127.0.0.1 --play in.wav --record out.wav
  vox call sip:play@127.0.0.1 --codec G722 --duration 5 --record heard.wav
  vox call sip:echo@127.0.0.1 --play in.wav --net loss=5%,jitter=40ms,burst=500ms@8s")]
pub(crate) struct CallArgs {
    /// Whom to call.
    #[arg(help = "Whom to call: sip:user@host[:port]")]
    uri: String,
    /// What to say: a WAV file (PCM16, 8, 16, 24 or 48 kHz; the left channel of a stereo file)
    #[arg(long, value_name = "WAV")]
    play: Option<PathBuf>,
    /// Where to write what was heard, from our first word on
    #[arg(long, value_name = "WAV")]
    record: Option<PathBuf>,
    /// Where to write the call's RTP packets, with the kernel's time of arrival
    #[arg(long, value_name = "PCAP")]
    capture: Option<PathBuf>,
    /// What to press after the words: 0-9 * # A-D
    #[arg(long, value_parser = digits)]
    digits: Option<String>,
    /// Codec to offer; repeat for several, best first [default: opus, G722, PCMU, PCMA]
    #[arg(long, value_parser = codec)]
    codec: Vec<CodecKind>,
    /// Hang up after this many seconds at the latest; without words or digits, listen so long [default then: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// Go on listening this many seconds after the last word
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    tail: Duration,
    /// Our number, the user part of From
    #[arg(long, default_value = "vox-call")]
    caller: String,
    /// A bad network between our mouth and the wire: loss=5%,jitter=40ms,burst=500ms@8s,drift=200ppm,seed=7
    #[arg(long, value_name = "PROFILE")]
    net: Option<Profile>,
    /// SIP over TCP instead of UDP
    #[arg(long)]
    tcp: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// Places the call; the exit status says whether it was answered and heard.
pub(crate) async fn run(args: CallArgs) -> anyhow::Result<()> {
    let peer = resolve(&args.uri)?;
    let transport = if args.tcp { Transport::Tcp } else { Transport::Udp };
    let plan = plan(&args)?;
    for (option, path) in [("--record", &args.record), ("--capture", &args.capture)] {
        path.as_deref().map_or(Ok(()), |path| can_be_written(option, path))?;
    }
    let phone = Phone::start(peer, transport).await?;
    let abandon = CancellationToken::new();
    let on_signal = abandon.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            on_signal.cancel();
        }
    });
    let report =
        phone.call(plan, abandon).await.with_context(|| format!("calling {}", args.uri))?;
    if let Some(path) = &args.record {
        write_wav(path, &report).with_context(|| format!("writing {}", path.display()))?;
    }
    if let (Some(path), Some(capture)) = (&args.capture, &report.capture) {
        write_pcap(path, capture).with_context(|| format!("writing {}", path.display()))?;
    }
    let text = if args.json { serde_json::to_string(&report)? } else { report.to_string() };
    // Whoever reads us may have read enough.
    _ = writeln!(std::io::stdout(), "{text}");
    if report.heard.packets == 0 {
        bail!("the call was answered, but no audio came");
    }
    Ok(())
}

fn plan(args: &CallArgs) -> anyhow::Result<CallPlan> {
    let speech = match &args.play {
        Some(path) => read_wav(path).with_context(|| format!("reading {}", path.display()))?,
        None => (Vec::new(), SILENT_RATE_HZ),
    };
    let spoken = Duration::from_secs_f64(speech.0.len() as f64 / f64::from(speech.1));
    let network = args.net.unwrap_or_default();
    let default_codecs =
        || vec![CodecKind::Opus, CodecKind::G722, CodecKind::Pcmu, CodecKind::Pcma];
    Ok(CallPlan {
        uri: args.uri.clone(),
        caller: args.caller.clone(),
        codecs: if args.codec.is_empty() { default_codecs() } else { args.codec.clone() },
        digits: args.digits.clone(),
        tail: match (&args.play, &args.digits) {
            (None, None) => args.duration.unwrap_or(LISTEN),
            _ => args.tail,
        },
        limit: args.duration.unwrap_or(spoken + args.tail + Duration::from_secs(30)),
        speech,
        network,
        capture: args.capture.is_some(),
        seed: std::process::id() ^ (network.seed as u32).rotate_left(16),
    })
}

fn read_wav(path: &Path) -> anyhow::Result<(Vec<i16>, u32)> {
    let wav = Wav::parse(&std::fs::read(path)?)?;
    match wav.rate_hz {
        8_000 | 16_000 | 24_000 | 48_000 => Ok((wav.channel(0), wav.rate_hz)),
        other => bail!("its rate is {other} Hz; expected 8000, 16000, 24000 or 48000"),
    }
}

/// Asked before the call, so that nobody speaks for a recording that cannot be kept.
fn can_be_written(option: &str, path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let found = folder.unwrap_or(Path::new("."));
    if path.is_dir() {
        bail!("{option} {}: expected a file, found a folder", path.display());
    }
    if !found.is_dir() {
        bail!("{option} {}: there is no folder {}", path.display(), found.display());
    }
    Ok(())
}

fn write_wav(path: &Path, report: &CallReport) -> anyhow::Result<()> {
    let file = BufWriter::new(std::fs::File::create(path)?);
    let mut wav = WavWriter::new(file, report.codec.rate_hz(), 1)?;
    wav.write(&report.recording)?;
    wav.finish()?;
    Ok(())
}

fn write_pcap(path: &Path, capture: &Capture) -> anyhow::Result<()> {
    capture.write_pcap(BufWriter::new(std::fs::File::create(path)?))?;
    if capture.missed() > 0 {
        eprintln!("{}: the last {} packets are missing", path.display(), capture.missed());
    }
    Ok(())
}

/// The socket address behind a SIP URI; port 5060 when none is given.
fn resolve(uri: &str) -> anyhow::Result<SocketAddr> {
    let expected = || anyhow!("{uri:?}: expected sip:user@host[:port]");
    let rest = uri.strip_prefix("sip:").ok_or_else(expected)?;
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split([';', '?']).next().filter(|h| !h.is_empty()).ok_or_else(expected)?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let target = if has_port { host.to_owned() } else { format!("{host}:5060") };
    let mut addresses = target.to_socket_addrs().with_context(|| format!("looking up {host}"))?;
    addresses.next().ok_or_else(|| anyhow!("{host} has no address"))
}

fn codec(name: &str) -> Result<CodecKind, String> {
    [CodecKind::Pcmu, CodecKind::Pcma, CodecKind::G722, CodecKind::Opus]
        .into_iter()
        .find(|codec| codec.sdp_name().eq_ignore_ascii_case(name))
        .ok_or_else(|| "expected PCMU, PCMA, G722 or opus".to_owned())
}

fn digits(text: &str) -> Result<String, String> {
    let valid = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#' | 'A'..='D');
    match !text.is_empty() && text.len() <= 32 && text.chars().all(valid) {
        true => Ok(text.to_owned()),
        false => Err("expected 1 to 32 of 0-9 * # A-D".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<f64>().ok().filter(|s| (0.0..=86_400.0).contains(s));
    parsed.map(Duration::from_secs_f64).ok_or_else(|| "expected seconds, 0 to 86400".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_that_cannot_be_kept_is_refused_before_the_call() {
        let here = std::env::current_dir().unwrap();
        for (path, expected) in [
            (Path::new("out.wav"), None),
            (&here.join("out.wav"), None),
            (Path::new("no/such/out.wav"), Some("there is no folder no/such")),
            (&here, Some("expected a file, found a folder")),
        ] {
            let said = can_be_written("--record", path).err().map(|error| error.to_string());
            let same = match (&said, expected) {
                (Some(said), Some(expected)) => said.ends_with(expected),
                (said, expected) => said.is_none() && expected.is_none(),
            };
            assert!(same, "{}: {said:?}", path.display());
        }
    }
}
