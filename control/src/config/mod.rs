//! What a worker is started with: knobs from defaults, a TOML file and the environment, checked
//! before anything is bound.

mod knobs;
mod layers;
mod parse;
mod secret;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use vox_codecs::CodecKind;

use crate::sip::Provisional;

pub use knobs::{KNOBS, Knob, help_text};
pub use layers::Layers;
pub(crate) use layers::first_line;
pub use secret::Secret;

use layers::Values;

/// A worker's configuration, complete and valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who this worker is.
    pub worker: WorkerConfig,
    /// The HTTP side.
    pub http: HttpConfig,
    /// The SIP side.
    pub sip: SipConfig,
    /// The media engine.
    pub media: MediaConfig,
    /// Where bots come from.
    pub bots: BotsConfig,
    /// Where recordings go.
    pub storage: StorageConfig,
    /// LiveKit, when it is configured.
    pub livekit: Option<LivekitConfig>,
}

/// Who this worker is.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Its number on the host.
    pub id: String,
    /// Calls it takes at once; at least 1.
    pub max_calls: usize,
    /// Workers on this host; at least 1.
    pub workers: usize,
    /// What the services share; `None` refuses every route that needs it.
    pub secret: Option<Secret>,
    /// Spool, recordings, outbox and results live below.
    pub data_dir: PathBuf,
    /// Data directories of the other workers of this host, whose recordings we serve too.
    pub neighbour_dirs: Vec<PathBuf>,
    /// Filter of the log.
    pub log: String,
}

/// The HTTP side.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Unix socket.
    pub socket: PathBuf,
    /// Sockets of the other workers of this host, with their ids.
    pub neighbours: Vec<(String, PathBuf)>,
    /// TCP address.
    pub listen: Option<SocketAddr>,
}

/// The SIP side.
#[derive(Debug, Clone, PartialEq)]
pub struct SipConfig {
    /// Address to listen on.
    pub bind: IpAddr,
    /// Port to listen on, for UDP and TCP alike.
    pub port: u16,
    /// Address put into Contact and SDP when it is not the one listened on (behind NAT).
    pub advertise: Option<IpAddr>,
    /// Codecs offered and accepted, in our order of preference.
    pub codecs: Vec<CodecKind>,
    /// Our order decides among the common codecs, not the peer's.
    pub prefer_ours: bool,
    /// How long the bot's config may take before the caller hears of it.
    pub ring_after: Duration,
    /// What the caller is told then.
    pub provisional: Provisional,
}

/// The media engine.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    /// Address RTP listens on.
    pub bind: IpAddr,
    /// RTP ports.
    pub ports: RangeInclusive<u16>,
    /// Cores to pin shards to.
    pub cores: Vec<usize>,
    /// How long a freed port rests.
    pub port_quarantine: Duration,
    /// How long a call may be open without an answer.
    pub answer: Duration,
}

/// Where bots come from.
#[derive(Debug, Clone)]
pub enum BotsConfig {
    /// The Backend's config route, without a slash at its end.
    Backend {
        /// `…/api/v1/config`.
        config_url: String,
        /// Sent along.
        secret: Secret,
    },
    /// A bots.toml.
    File(PathBuf),
    /// Echo and tone.
    BuiltIn,
}

/// Where recordings go.
#[derive(Debug, Clone)]
pub enum StorageConfig {
    /// `recordings` below the data directory.
    Directory(PathBuf),
    /// An S3-compatible store.
    Bucket {
        /// `http://host:port` or `https://host:port`.
        endpoint: String,
        /// Its name.
        bucket: String,
        /// Who we are there.
        access_key: String,
        /// And how we prove it.
        secret_key: Secret,
    },
}

/// LiveKit.
#[derive(Debug, Clone)]
pub struct LivekitConfig {
    /// `ws://` or `wss://`.
    pub url: String,
    /// Who we are there.
    pub api_key: String,
    /// And how we prove it.
    pub api_secret: Secret,
    /// As whom we register to be given calls; not at all without.
    pub agent_name: Option<String>,
    /// How we look for callers whom nobody was given.
    pub watch: Option<WatchConfig>,
}

/// Looking for callers in LiveKit's rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchConfig {
    /// From one look to the next.
    pub period: Duration,
    /// What the names of rooms with callers begin with.
    pub room_prefix: String,
}

/// What is wrong with the configuration: one line that names the value, says what was expected
/// and what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Exit status of a start with an invalid configuration (`EX_USAGE`).
pub const EXIT_CONFIG: u8 = 64;

impl Config {
    /// Reads and checks all layers.
    pub fn load(layers: &Layers<'_>) -> Result<Self, ConfigError> {
        let values = Values::gather(layers)?;
        let worker = values.worker()?;
        Ok(Self {
            http: values.http(&worker)?,
            sip: values.sip()?,
            media: values.media()?,
            bots: values.bots(&worker)?,
            storage: values.storage(&worker)?,
            livekit: values.livekit()?,
            worker,
        })
    }
}

impl Values {
    fn worker(&self) -> Result<WorkerConfig, ConfigError> {
        let id = self.worker_id()?;
        let workers = self.number("worker.workers", 1, 1_000)?;
        let data_dir = self.text("worker.data_dir")?;
        let neighbours = self.neighbours(&data_dir, &id, workers);
        Ok(WorkerConfig {
            max_calls: self.number("worker.max_calls", 1, 2_048)?,
            workers,
            secret: self.secret("worker.secret")?,
            data_dir: PathBuf::from(data_dir.replace("{id}", &id)),
            neighbour_dirs: neighbours.into_iter().map(|(_, path)| path).collect(),
            log: self.log("worker.log")?,
            id,
        })
    }

    fn http(&self, worker: &WorkerConfig) -> Result<HttpConfig, ConfigError> {
        let socket = self.text("http.socket")?;
        Ok(HttpConfig {
            neighbours: self.neighbours(&socket, &worker.id, worker.workers),
            socket: PathBuf::from(socket.replace("{id}", &worker.id)),
            listen: self.optional("http.listen", "an address like 127.0.0.1:8081")?,
        })
    }

    /// What `pattern` is for the other workers of this host, numbered from 1; nothing when it is
    /// the same for all.
    fn neighbours(&self, pattern: &str, own_id: &str, workers: usize) -> Vec<(String, PathBuf)> {
        let count = if pattern.contains("{id}") { workers } else { 0 };
        let others = (1..=count).map(|number| number.to_string()).filter(|id| id != own_id);
        others.map(|id| (id.clone(), PathBuf::from(pattern.replace("{id}", &id)))).collect()
    }

    fn sip(&self) -> Result<SipConfig, ConfigError> {
        Ok(SipConfig {
            bind: self.parsed("sip.bind", "an IP address")?,
            port: self.number("sip.port", 0, 65_535)?,
            advertise: self.optional("sip.advertise", "an IP address")?,
            codecs: self.codecs("sip.codecs")?,
            prefer_ours: self.choice("sip.prefer", "ours", "theirs")?,
            ring_after: Duration::from_millis(self.number("sip.ring_after_ms", 0, 60_000)?),
            provisional: match self.choice("sip.provisional", "180", "183")? {
                true => Provisional::Ringing,
                false => Provisional::SessionProgress,
            },
        })
    }

    fn media(&self) -> Result<MediaConfig, ConfigError> {
        let bind = match self.optional("media.bind", "an IP address")? {
            Some(bind) => bind,
            None => self.parsed("sip.bind", "an IP address")?,
        };
        let seconds = |key, most| self.number(key, 1, most).map(Duration::from_secs);
        Ok(MediaConfig {
            bind,
            ports: self.ports("media.ports")?,
            cores: self.cores("media.cores")?,
            port_quarantine: seconds("media.port_quarantine_seconds", 600)?,
            answer: seconds("media.answer_seconds", 600)?,
        })
    }

    fn bots(&self, worker: &WorkerConfig) -> Result<BotsConfig, ConfigError> {
        if self.get("bots.config_url").is_some() {
            let config_url = self.url("bots.config_url", &["http", "https"])?;
            let config_url = config_url.trim_end_matches('/').to_owned();
            if !config_url.ends_with("/config") {
                return Err(self.wrong("bots.config_url", "a URL that ends in /api/v1/config"));
            }
            let secret = worker.secret.clone().ok_or_else(|| {
                ConfigError(
                    "VOXCORE_SECRET: expected the secret shared with the Backend, because \
                     VOXBRIDGE_CONFIG_URL is set; found none"
                        .into(),
                )
            })?;
            return Ok(BotsConfig::Backend { config_url, secret });
        }
        let file = self.get("bots.file").map(|found| PathBuf::from(&found.text));
        Ok(file.map_or(BotsConfig::BuiltIn, BotsConfig::File))
    }

    fn storage(&self, worker: &WorkerConfig) -> Result<StorageConfig, ConfigError> {
        let scheme = if self.boolean("storage.secure")? { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}", self.host_port("storage.endpoint")?);
        let bucket = self.bucket("storage.bucket")?;
        let keys = ["storage.access_key", "storage.secret_key"];
        let Some([access_key, secret_key]) = self.all_or_none(keys)? else {
            return Ok(StorageConfig::Directory(worker.data_dir.join("recordings")));
        };
        let secret_key = Secret::new(secret_key);
        Ok(StorageConfig::Bucket { endpoint, bucket, access_key, secret_key })
    }

    fn livekit(&self) -> Result<Option<LivekitConfig>, ConfigError> {
        let keys = ["livekit.url", "livekit.api_key", "livekit.api_secret"];
        let Some([_, api_key, api_secret]) = self.all_or_none(keys)? else {
            return Ok(None);
        };
        let url = self.url("livekit.url", &["ws", "wss", "http", "https"])?;
        let api_secret = Secret::new(api_secret);
        let agent_name = self.get("livekit.agent_name").map(|found| found.text.clone());
        let period = self.number("livekit.watch_seconds", 0, 3_600).map(Duration::from_secs)?;
        let room_prefix = self.text("livekit.room_prefix")?;
        let watch = (!period.is_zero()).then_some(WatchConfig { period, room_prefix });
        Ok(Some(LivekitConfig { url, api_key, api_secret, agent_name, watch }))
    }
}

#[cfg(test)]
mod tests;
