//! Every knob of a worker, once: its names, its default, what it does.

/// A knob: settable by a TOML key and by an environment variable.
#[derive(Debug, Clone, Copy)]
pub struct Knob {
    /// `section.key` of the TOML file.
    pub key: &'static str,
    /// Environment variable.
    pub env: &'static str,
    /// Used when it is set nowhere; empty means "not set".
    pub default: &'static str,
    /// What it does, for people.
    pub help: &'static str,
}

const fn knob(
    key: &'static str,
    env: &'static str,
    default: &'static str,
    help: &'static str,
) -> Knob {
    Knob { key, env, default, help }
}

/// All knobs, in the order `--help` shows them.
pub const KNOBS: &[Knob] = &[
    knob(
        "worker.id",
        "VOXCORE_WORKER_ID",
        "1",
        "this worker's number on its host; N of voxcore_N.sock",
    ),
    knob("worker.max_calls", "MAX_CONCURRENT_CALLS", "200", "calls this worker takes at once"),
    knob("worker.workers", "VOXCORE_WORKERS", "1", "workers on this host, numbered from 1"),
    knob("worker.secret", "VOXCORE_SECRET", "", "shared secret of the services (X-VoxCore-Secret)"),
    knob(
        "worker.data_dir",
        "VOXCORE_DATA_DIR",
        "/var/lib/voxcore/{id}",
        "spool, recordings, outbox and results live below; {id} is worker.id",
    ),
    knob("worker.log", "VOXCORE_LOG", "info", "log filter, e.g. info or voxcore=debug"),
    knob(
        "http.socket",
        "VOXCORE_SOCKET",
        "/tmp/voxcore_{id}.sock",
        "Unix socket of the HTTP side; {id} is worker.id",
    ),
    knob(
        "http.listen",
        "VOXCORE_HTTP_LISTEN",
        "",
        "TCP address of the HTTP side, e.g. 127.0.0.1:8081; none by default",
    ),
    knob("sip.bind", "VOXCORE_SIP_BIND", "0.0.0.0", "address SIP listens on"),
    knob("sip.port", "VOXCORE_SIP_PORT", "5060", "port SIP listens on; 0 takes a free one"),
    knob(
        "sip.advertise",
        "VOXCORE_SIP_ADVERTISE",
        "",
        "address put into Contact and SDP when it is not the bound one (NAT)",
    ),
    knob(
        "sip.codecs",
        "VOXCORE_SIP_CODECS",
        "opus,G722,PCMU,PCMA",
        "codecs, best first, of opus, G722, PCMU, PCMA",
    ),
    knob(
        "sip.prefer",
        "VOXCORE_SIP_PREFER",
        "theirs",
        "whose order of codecs decides: theirs or ours",
    ),
    knob(
        "sip.ring_after_ms",
        "VOXCORE_SIP_RING_AFTER_MS",
        "300",
        "how long the bot's config may take before the caller gets a provisional response",
    ),
    knob(
        "sip.provisional",
        "VOXCORE_SIP_PROVISIONAL",
        "180",
        "that response: 180 (the phone rings) or 183 (it stays silent)",
    ),
    knob("media.bind", "VOXCORE_MEDIA_BIND", "", "address RTP listens on; sip.bind by default"),
    knob("media.ports", "VOXCORE_MEDIA_PORTS", "16384-32767", "RTP ports, taken in even/odd pairs"),
    knob(
        "media.cores",
        "VOXCORE_MEDIA_CORES",
        "",
        "cores to pin media shards to, e.g. 2,3; one unpinned shard by default",
    ),
    knob(
        "media.port_quarantine_seconds",
        "VOXCORE_MEDIA_PORT_QUARANTINE",
        "5",
        "how long a freed RTP port rests",
    ),
    knob(
        "media.answer_seconds",
        "VOXCORE_ANSWER_SECONDS",
        "60",
        "how long a call may be open without an answer",
    ),
    knob(
        "bots.config_url",
        "VOXBRIDGE_CONFIG_URL",
        "",
        "the Backend's config route, ends in /api/v1/config; bots.file is used when unset",
    ),
    knob("bots.file", "VOXCORE_BOTS", "", "bots.toml; without it: echo, tone and play"),
    knob(
        "storage.endpoint",
        "MINIO_ENDPOINT",
        "localhost:9000",
        "S3-compatible object store, host:port",
    ),
    knob(
        "storage.access_key",
        "MINIO_ACCESS_KEY",
        "",
        "with it recordings go to the bucket, else to data_dir/recordings",
    ),
    knob("storage.secret_key", "MINIO_SECRET_KEY", "", "belongs to storage.access_key"),
    knob("storage.bucket", "MINIO_BUCKET", "recordings", "bucket of the recordings"),
    knob("storage.secure", "MINIO_SECURE", "false", "https instead of http"),
    knob("livekit.url", "LIVEKIT_URL", "", "LiveKit server, ws:// or wss://"),
    knob("livekit.api_key", "LIVEKIT_API_KEY", "", "belongs to livekit.url"),
    knob("livekit.api_secret", "LIVEKIT_API_SECRET", "", "belongs to livekit.url"),
    knob(
        "livekit.agent_name",
        "LIVEKIT_AGENT_NAME",
        "",
        "register with livekit.url to be given calls that are dispatched to this name",
    ),
    knob(
        "livekit.watch_seconds",
        "VOXCORE_LIVEKIT_WATCH_SECONDS",
        "1",
        "how often to look for callers in rooms whom nobody was given; 0 is never",
    ),
    knob(
        "livekit.room_prefix",
        "VOXCORE_LIVEKIT_ROOM_PREFIX",
        "call-",
        "what the names of rooms begin with whose callers are looked for",
    ),
];

/// The knobs as a table for `--help`.
pub fn help_text() -> String {
    let mut text = String::from(
        "Every knob can stand in the TOML file (as section.key) and in the environment. The\n\
         environment wins over the file, the file over the default. An invalid value stops the\n\
         start with one line that names it, exit status 64.\n\n",
    );
    for knob in KNOBS {
        let default = if knob.default.is_empty() { "unset" } else { knob.default };
        text +=
            &format!("  {:<30} {}\n      {} [default: {default}]\n", knob.env, knob.key, knob.help);
    }
    text
}
