//! Recordings in a real MinIO: byte for byte, also across an outage, and never lost.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vox_codecs::wav::Wav;
use vox_tests::peers::{self, Process};
use vox_tests::worker::{Worker, files, free_port, http_get};
use vox_tests::{caller, ears, one_at_a_time, wait_for};

const USER: &str = "voxminio";
const SECRET: &str = "voxminio-secret";

/// How long the store stays away.
const OUTAGE: Duration = Duration::from_secs(60);
const CALLS: usize = 20;

/// A MinIO with an empty bucket.
struct Store {
    program: PathBuf,
    directory: tempfile::TempDir,
    address: SocketAddr,
    process: Option<Process>,
}

impl Store {
    fn start() -> Option<Self> {
        let program = peers::find("minio")?;
        peers::find("curl")?;
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut store = Self { program, directory, address, process: None };
        store.run();
        store.curl(&["-X", "PUT"], "");
        Some(store)
    }

    fn run(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(["server", "--quiet", "--address", &self.address.to_string()]);
        command
            .args(["--console-address", &format!("127.0.0.1:{}", free_port())])
            .arg(self.directory.path());
        command.env("MINIO_ROOT_USER", USER).env("MINIO_ROOT_PASSWORD", SECRET);
        self.process = Some(Process::start(command.stdout(Stdio::null()).stderr(Stdio::null())));
        wait_for("MinIO", Duration::from_secs(30), || {
            http_get(self.address, "/minio/health/ready")
        });
    }

    fn stop(&mut self) {
        self.process = None;
    }

    /// A signed request by another client than ours.
    fn curl(&self, arguments: &[&str], key: &str) -> Vec<u8> {
        let output = Command::new("curl")
            .args([
                "-fsS",
                "--aws-sigv4",
                "aws:amz:us-east-1:s3",
                "--user",
                &format!("{USER}:{SECRET}"),
            ])
            .args(arguments)
            .arg(format!("http://{}/recordings/{key}", self.address))
            .output()
            .expect("curl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn environment(&self, secret: &'static str) -> Vec<(&'static str, String)> {
        vec![
            ("MINIO_ENDPOINT", self.address.to_string()),
            ("MINIO_ACCESS_KEY", USER.into()),
            ("MINIO_SECRET_KEY", secret.into()),
            ("MINIO_BUCKET", "recordings".into()),
        ]
    }
}

fn start_worker(environment: &[(&str, String)]) -> Worker {
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Worker::start("", &environment)
}

/// `count` short calls, one after the other.
fn call(worker: &Worker, speech: &std::path::Path, count: usize) {
    for _ in 0..count {
        caller::say(worker, "echo", speech, &["--codec", "PCMU", "--tail", "0"]);
    }
}

fn spooled(worker: &Worker) -> Vec<PathBuf> {
    files(&worker.directory().join("spool"), "wav")
}

#[test]
fn recordings_arrive_byte_for_byte_also_when_the_store_was_away() {
    let _turn = one_at_a_time();
    let Some(mut store) = Store::start() else { return };
    let worker = start_worker(&store.environment(SECRET));
    let Some(speech) = ears::speech(worker.directory(), 8_000, 1) else { return };
    call(&worker, &speech, CALLS / 2);
    // A result follows its recording into the spool.
    worker.results(CALLS / 2, Duration::from_secs(10));
    wait_for("the first half in the store", Duration::from_secs(20), || {
        spooled(&worker).is_empty().then_some(())
    });

    store.stop();
    let away = Instant::now();
    call(&worker, &speech, CALLS / 2);
    let results = worker.results(CALLS, Duration::from_secs(10));
    wait_for("the outage to be over", OUTAGE * 2, || (away.elapsed() > OUTAGE).then_some(()));
    let kept: Vec<(String, Vec<u8>)> = spooled(&worker)
        .iter()
        .map(|path| {
            (
                path.file_name().expect("a file").to_string_lossy().into(),
                std::fs::read(path).expect("bytes"),
            )
        })
        .collect();
    assert_eq!(kept.len(), CALLS / 2, "nothing leaves the spool while the store is away");

    store.run();
    wait_for("the second half in the store", Duration::from_secs(90), || {
        spooled(&worker).is_empty().then_some(())
    });
    for (key, bytes) in kept {
        assert!(store.curl(&[], &key) == bytes, "{key} differs from what was spooled");
    }
    for result in results {
        let key = result["recording_key"].as_str().expect("a key");
        let wav = Wav::parse(&store.curl(&[], key)).expect("a WAV");
        assert_eq!((wav.channels, wav.rate_hz), (2, 8_000));
        assert!(result["recording_url"].as_str().is_some_and(|url| url.ends_with(key)), "{result}");
    }
}

#[test]
fn wrong_credentials_say_so_and_lose_nothing() {
    let _turn = one_at_a_time();
    let Some(store) = Store::start() else { return };
    let worker = start_worker(&store.environment("not-the-secret"));
    let Some(speech) = ears::speech(worker.directory(), 8_000, 1) else { return };
    call(&worker, &speech, 2);
    worker.results(2, Duration::from_secs(10));
    wait_for("refused uploads", Duration::from_secs(20), || {
        worker.metric("vox_upload_failures_total").filter(|&failures| failures >= 2.0)
    });
    assert_eq!(spooled(&worker).len(), 2);
}
