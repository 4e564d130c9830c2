//! `vox up`: a whole worker on one machine, without configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use voxcore::config::{Config, EXIT_CONFIG, Layers, StorageConfig};
use voxcore::run::Worker;

/// Runs Vox on this machine: SIP, bots, recordings, results.
///
/// Everything of a worker can be set by its environment variables, too (`voxcore --help` lists
/// them); the options here win over those.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  vox up
  vox up --bots bots.toml --bind 192.0.2.10
  MAX_CONCURRENT_CALLS=500 vox up --dir /var/lib/vox")]
pub(crate) struct UpArgs {
    /// Where recordings, results, spool and outbox go [default: ./vox-data]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Address for SIP, media and HTTP [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    bind: Option<IpAddr>,
    /// SIP port, UDP and TCP [default: 5060]
    #[arg(long, value_name = "N")]
    sip_port: Option<u16>,
    /// HTTP port: health, metrics, recordings [default: 8081]
    #[arg(long, value_name = "N")]
    http_port: Option<u16>,
    /// Who answers, a bots.toml [default: echo, tone and play]
    #[arg(long, value_name = "FILE")]
    bots: Option<PathBuf>,
}

/// Runs until Ctrl-C (drains; the second one stops).
pub(crate) fn run(args: UpArgs) -> ExitCode {
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from("vox-data"));
    let config = match load(&args, &dir) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("vox: {error}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let storage = config.storage.clone();
    let data_dir = config.worker.data_dir.clone();
    voxcore::start(config, |worker| print!("{}", greeting(worker, &storage, &data_dir)))
}

fn load(args: &UpArgs, dir: &Path) -> Result<Config, voxcore::config::ConfigError> {
    let bind = args.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let http = SocketAddr::new(bind, args.http_port.unwrap_or(8_081)).to_string();
    let text = |path: &Path| path.display().to_string();
    let defaults = [
        ("worker.data_dir", text(dir)),
        ("http.socket", text(&dir.join("voxcore_{id}.sock"))),
        ("http.listen", http.clone()),
        ("sip.bind", bind.to_string()),
    ];
    let flags = [
        args.dir.as_ref().map(|dir| ("worker.data_dir", text(dir))),
        args.bind.map(|bind| ("sip.bind", bind.to_string())),
        args.sip_port.map(|port| ("sip.port", port.to_string())),
        args.bind.map(|_| ()).or(args.http_port.map(|_| ())).map(|()| ("http.listen", http)),
        args.bots.as_ref().map(|file| ("bots.file", text(file))),
    ];
    let flags: Vec<(&str, String)> = flags.into_iter().flatten().collect();
    Config::load(&Layers {
        defaults: &defaults,
        file: None,
        env: voxcore::environment()?,
        flags: &flags,
    })
}

/// What can be called, and where to look afterwards.
fn greeting(worker: &Worker, storage: &StorageConfig, data_dir: &Path) -> String {
    let sip = callable(worker.sip_addr());
    let mut text =
        String::from("Vox takes calls. Ctrl-C lets them end first, a second one does not.\n\n");
    for (name, what) in worker.names() {
        text += &format!("  sip:{name}@{sip:<24} {what}\n");
    }
    if worker.names().is_empty() {
        text += &format!("  sip:BOT@{sip:<24} any bot or number the Backend knows\n");
    }
    let first = worker.names().first().map_or("BOT", |(name, _)| name);
    let program = std::env::current_exe().map_or("vox".into(), |path| path.display().to_string());
    let prompt = data_dir.join("prompt.wav");
    let say = if prompt.is_file() { prompt } else { PathBuf::from("in.wav") };
    text += &format!(
        "\n  try         {program} call sip:{first}@{sip} --play {} --record out.wav\n",
        say.display()
    );
    if let Some(http) = worker.http_addr().map(callable) {
        text += &format!("  health      http://{http}/health and /metrics\n");
    }
    text += &match storage {
        StorageConfig::Directory(dir) => format!("  recordings  {}\n", dir.display()),
        StorageConfig::Bucket { endpoint, bucket, .. } => {
            format!("  recordings  bucket {bucket} at {endpoint}\n")
        }
    };
    text + &format!("  results     {}\n\n", data_dir.join("results").display())
}

/// An address that this machine can call: bound to all of them, loopback is one.
fn callable(mut bound: SocketAddr) -> SocketAddr {
    match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => bound.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => bound.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    bound
}
