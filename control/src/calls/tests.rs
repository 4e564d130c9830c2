mod attention;
mod brains;

use std::net::UdpSocket;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use axum::Json;
use axum::routing::get;
use serde_json::Value;
use tokio::sync::mpsc;
use vox_call::{Direction, MediaSession};
use vox_codecs::wav::Wav;
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_engine::EngineConfig;

use super::*;
use crate::config::{BotsConfig, Secret, StorageConfig};
use crate::delivery::{Backoff, OpenCalls, Store};

/// Real calls over loopback, on a real engine, with everything below `dir`.
struct Rig {
    calls: Calls,
    dir: PathBuf,
}

impl Rig {
    fn start(dir: &Path, bots: &str, max_calls: usize) -> Self {
        let file = dir.join("bots.toml");
        std::fs::write(&file, bots).unwrap();
        Self::with(dir, &BotsConfig::File(file), max_calls)
    }

    fn with(dir: &Path, bots: &BotsConfig, max_calls: usize) -> Self {
        let (calls, _) = calls(dir, bots, max_calls, 30_000..=31_999);
        Self { calls, dir: dir.to_owned() }
    }

    async fn open(&self, dialed: &str) -> Result<LiveCall, OpenError> {
        let facts = CallFacts {
            dialed: dialed.into(),
            caller: "alice".into(),
            direction: CallDirection::Inbound,
            stream_id: "id@host".into(),
            connected_event: Default::default(),
        };
        self.calls.open(self.calls.admit().unwrap(), facts).await
    }

    /// The one result, once every call is over.
    async fn result(&self) -> Value {
        within(self.calls.idle()).await;
        let mut results = std::fs::read_dir(self.dir.join("results")).unwrap();
        let text = std::fs::read(results.next().unwrap().unwrap().path()).unwrap();
        assert!(results.next().is_none(), "one result");
        serde_json::from_slice(&text).unwrap()
    }
}

/// Calls on a real engine, with everything else below `dir`.
pub(crate) fn calls(
    dir: &Path,
    bots: &BotsConfig,
    max_calls: usize,
    ports: RangeInclusive<u16>,
) -> (Calls, Counters) {
    let store = Store::new(&StorageConfig::Directory(dir.join("recordings"))).unwrap();
    let config = EngineConfig {
        bind: "127.0.0.1".parse().unwrap(),
        ports,
        cores: Vec::new(),
        calls_per_shard: max_calls,
        port_quarantine: Duration::from_millis(100),
    };
    let (engine, events) = Engine::start(config).unwrap();
    let (backoff, counters) = (Backoff::default(), Counters::default());
    let parts = Parts {
        slots: Slots::new(max_calls),
        engine,
        bots: Bots::load(bots, dir).unwrap(),
        spool: Spool::open(dir.join("spool"), store, backoff).unwrap(),
        outbox: Outbox::open(dir.join("outbox"), dir.join("results"), None, backoff).unwrap(),
        open_calls: OpenCalls::open(dir.join("outbox/open")).unwrap(),
        counters: Arc::new(counters.clone()),
        answer_limit: Duration::from_secs(1),
    };
    (Calls::start(parts, events).unwrap(), counters)
}

fn session(remote: &UdpSocket) -> MediaSession {
    MediaSession {
        remote: remote.local_addr().unwrap(),
        remote_rtcp: None,
        rtcp_mux: false,
        payload_type: 0,
        event_payload_type: Some(101),
        noise_payload_type: None,
        direction: Direction::SendRecv,
        ptime_ms: 20,
        encoder: Encoder::new(CodecKind::Pcmu),
        decoder: Decoder::new(CodecKind::Pcmu),
    }
}

fn phone() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("in time")
}

fn events(result: &Value) -> Vec<&str> {
    result["events"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect()
}

const ECHO: &str = "[bots.echo]\nagent = { kind = \"echo\" }\nno_audio_seconds = 1\n";

/// Talks for `packets` of 20 ms, in real time.
async fn talk(phone: &UdpSocket, to: std::net::SocketAddr, packets: u16) {
    send(phone, to, packets, 0x90).await;
}

/// Sends `packets` of 20 ms of one sample, in real time.
async fn send(phone: &UdpSocket, to: std::net::SocketAddr, packets: u16, sample: u8) {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    for n in 0..packets {
        pace.tick().await;
        let mut packet = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
        packet[2..4].copy_from_slice(&n.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(n) * 160).to_be_bytes());
        packet.extend([sample; 160]);
        phone.send_to(&packet, to).unwrap();
    }
}

#[tokio::test]
async fn a_call_that_was_hung_up_leaves_a_result_and_a_recording() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), ECHO, 2);
    let phone = phone();
    let mut call = rig.open("echo").await.unwrap();
    call.answer(session(&phone)).await.unwrap();
    talk(&phone, call.rtp(), 50).await;
    call.digit_from_signalling('5', Duration::from_millis(100));
    call.close(Reason::CallerHungUp);
    assert_eq!(within(call.ended()).await, Reason::CallerHungUp);
    assert_eq!(rig.calls.slots().taken(), 0, "free before the recording is on disk");
    let result = rig.result().await;
    assert_eq!(result["disconnected_by"], "customer");
    assert_eq!(result["caller_id"], "alice");
    assert_eq!(events(&result), ["answered", "media_started", "digit", "caller_hung_up"]);
    assert_eq!(result["media"]["codec"], "PCMU");
    assert_eq!(result["media"]["dtmf"], "5");
    // The last packet may cross the close.
    assert!((49..=50).contains(&result["media"]["packets"].as_u64().unwrap()), "{result}");
    within(rig.calls.0.parts.spool.idle()).await;
    let key = result["recording_key"].as_str().unwrap();
    let wav = Wav::parse(&std::fs::read(dir.path().join("recordings").join(key)).unwrap()).unwrap();
    assert_eq!((wav.channels, wav.rate_hz), (2, 8_000));
    let length = wav.samples.len() as f64 / 2.0 / 8_000.0;
    assert!((length - result["call_duration_seconds"].as_f64().unwrap()).abs() <= 0.04, "{length}");
}

#[tokio::test]
async fn a_phantom_ends_as_error_with_media_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), ECHO, 2);
    let phone = phone();
    let mut call = rig.open("echo").await.unwrap();
    call.answer(session(&phone)).await.unwrap();
    assert_eq!(within(call.ended()).await, Reason::MediaTimeout);
    let result = rig.result().await;
    assert_eq!(result["disconnected_by"], "error");
    assert!(events(&result).contains(&"media_timeout"), "{result}");
}

#[tokio::test]
async fn a_call_that_is_never_answered_ends_by_itself_without_recording() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), ECHO, 2);
    let mut call = rig.open("echo").await.unwrap();
    assert_eq!(within(call.ended()).await, Reason::SetupTimeout);
    let result = rig.result().await;
    assert_eq!((&result["media"], &result["recording_key"]), (&Value::Null, &Value::Null));
    assert_eq!(events(&result), ["setup_timeout"]);
}

#[tokio::test]
async fn signalling_that_dies_ends_its_call() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), ECHO, 2);
    drop(rig.open("echo").await.unwrap());
    let result = rig.result().await;
    assert_eq!(events(&result), ["signalling_failed"]);
    assert_eq!(rig.calls.slots().taken(), 0);
}

#[tokio::test]
async fn a_refused_call_gives_its_slot_back() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), ECHO, 1);
    let error = rig.open("nobody").await.unwrap_err();
    assert_eq!(error, OpenError::NoSuchBot("nobody".into()));
    let held = rig.open("echo").await.unwrap();
    assert_eq!(rig.calls.admit().unwrap_err(), Refusal::Full);
    drop(held);
    within(rig.calls.idle()).await;
    assert!(rig.calls.admit().is_ok());
}

#[tokio::test]
async fn a_drained_worker_ends_when_its_last_call_does() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), ECHO, 2);
    let call = rig.open("echo").await.unwrap();
    rig.calls.drain();
    assert_eq!(rig.calls.admit().unwrap_err(), Refusal::Draining);
    assert!(tokio::time::timeout(Duration::from_millis(50), rig.calls.idle()).await.is_err());
    rig.calls.close_all(Reason::WorkerStopped);
    within(rig.calls.idle()).await;
    assert_eq!(events(&rig.result().await), ["worker_stopped"]);
    drop(call);
}

#[tokio::test]
async fn a_bot_that_cannot_be_served_still_has_a_result() {
    let dir = tempfile::tempdir().unwrap();
    let prompt = dir.path().join("prompt.wav");
    std::fs::write(&prompt, b"no WAV").unwrap();
    let bots = "[bots.play]\nagent = { kind = \"play\", file = \"prompt.wav\" }\n";
    let rig = Rig::start(dir.path(), bots, 1);
    let error = rig.open("play").await.unwrap_err();
    assert!(matches!(&error, OpenError::BadBot(why) if why.contains("prompt.wav")), "{error}");
    let result = rig.result().await;
    assert_eq!(
        (&result["disconnected_by"], events(&result)),
        (&"error".into(), vec!["not_opened"])
    );
    assert_eq!(rig.calls.slots().taken(), 0);
}

/// A Backend whose every config is `body`, and the results that are posted to it.
async fn backend(body: &'static str) -> (BotsConfig, mpsc::UnboundedReceiver<Value>) {
    let (posted, results) = mpsc::unbounded_channel();
    let post = async move |Json(result): Json<Value>| posted.send(result).unwrap();
    let app = axum::Router::new()
        .route("/api/v1/config/{bot}", get(async move || body))
        .route("/api/v1/call-results", axum::routing::post(post));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config_url = format!("http://{}/api/v1/config", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (BotsConfig::Backend { config_url, secret: Secret::new("s") }, results)
}

#[tokio::test]
async fn a_session_whose_config_cannot_be_read_still_has_a_result() {
    let body = r#"{"session_id":"s-1","webhook_url":"/api/v1/call-results","timezone":5}"#;
    let (bots, mut results) = backend(body).await;
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::with(dir.path(), &bots, 1);
    let error = rig.open("bot").await.unwrap_err();
    assert!(matches!(&error, OpenError::Unavailable(why) if why.contains("integer")), "{error}");
    let result = within(results.recv()).await.unwrap();
    assert_eq!(
        (&result["session_id"], &result["disconnected_by"], events(&result)),
        (&"s-1".into(), &"error".into(), vec!["not_opened"])
    );
    assert_eq!(rig.calls.slots().taken(), 0);
}

/// What is logged meanwhile, on this thread.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_result_that_cannot_be_written_when_the_worker_stops_is_in_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), ECHO, 2);
    let live = rig.open("echo").await.unwrap();
    std::fs::remove_dir(dir.path().join("results")).unwrap();
    let mut ended = rig.open("echo").await.unwrap();
    ended.close(Reason::CallerHungUp);
    within(ended.ended()).await;
    within(rig.calls.give_up()).await;
    within(rig.calls.idle()).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("the result could not be written: {").count(), 2, "{text}");
    drop(live);
}

#[tokio::test]
async fn a_recording_that_could_not_be_begun_is_told_and_not_named() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), ECHO, 2);
    std::fs::remove_dir(dir.path().join("spool/active")).unwrap();
    let phone = phone();
    let mut call = rig.open("echo").await.unwrap();
    call.answer(session(&phone)).await.unwrap();
    talk(&phone, call.rtp(), 10).await;
    call.close(Reason::CallerHungUp);
    within(call.ended()).await;
    let result = rig.result().await;
    assert!(events(&result).contains(&"recording_failed"), "{result}");
    assert_eq!((&result["recording_key"], &result["recording_url"]), (&Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_end_while_they_are_opened_are_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), ECHO, 2);
    let calls = rig.calls.clone();
    let closing = tokio::spawn(async move {
        loop {
            calls.close_all(Reason::WorkerStopped);
            tokio::task::yield_now().await;
        }
    });
    for _ in 0..20 {
        let mut call = rig.open("echo").await.unwrap();
        within(call.ended()).await;
    }
    closing.abort();
    within(rig.calls.idle()).await;
    assert_eq!(std::fs::read_dir(dir.path().join("results")).unwrap().count(), 20);
}
