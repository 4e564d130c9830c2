use std::time::Duration;

use super::*;
use crate::config::{Secret, StorageConfig};

fn open_spool(dir: &Path) -> Spool {
    let store = Store::Directory(dir.join("recordings"));
    open_with(dir, store)
}

fn open_with(dir: &Path, store: Store) -> Spool {
    let backoff = Backoff { first: Duration::from_millis(1), most: Duration::from_millis(20) };
    Spool::open(dir.join("spool"), store, backoff).unwrap()
}

fn key(name: &str) -> RecordingKey {
    RecordingKey::parse(name).unwrap()
}

/// Records `bytes`, as the engine would.
async fn record(spool: &Spool, name: &str, bytes: &[u8]) -> bool {
    let path = spool.begin(&key(name)).unwrap();
    fs::write(&path, bytes).unwrap();
    spool.complete(path).await.unwrap()
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("in time")
}

/// Waits until something was tried and failed.
async fn failed(spool: &Spool) {
    within(async {
        while spool.counts().failures == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_complete_recording_moves_into_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open_spool(dir.path());
    assert!(record(&spool, "a.wav", &[7; 100]).await);
    within(spool.idle()).await;
    assert_eq!(fs::read(dir.path().join("recordings/a.wav")).unwrap(), [7; 100]);
    assert!(wavs(&dir.path().join("spool")).unwrap().is_empty());
    let url = spool.url(&key("a.wav"));
    assert_eq!(url, format!("file://{}/recordings/a.wav", dir.path().display()));
}

#[tokio::test]
async fn a_recording_without_a_sample_is_no_recording() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open_spool(dir.path());
    assert!(!record(&spool, "a.wav", &[0; 44]).await);
    within(spool.idle()).await;
    assert!(!dir.path().join("recordings").exists());
}

#[tokio::test]
async fn a_recording_waits_for_a_store_that_cannot_be_written_to() {
    let dir = tempfile::tempdir().unwrap();
    // A file where the directory should be keeps everybody out, also root.
    fs::write(dir.path().join("recordings"), b"").unwrap();
    let spool = open_spool(dir.path());
    record(&spool, "a.wav", &[7; 100]).await;
    failed(&spool).await;
    assert_eq!(fs::read(dir.path().join("spool/a.wav")).unwrap(), [7; 100]);
    fs::remove_file(dir.path().join("recordings")).unwrap();
    within(spool.idle()).await;
    assert_eq!(fs::read(dir.path().join("recordings/a.wav")).unwrap(), [7; 100]);
    assert!(!dir.path().join("spool/a.wav").exists());
}

#[tokio::test]
async fn the_next_start_takes_up_what_a_crash_left() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    fs::create_dir_all(spool.join("active")).unwrap();
    fs::write(spool.join("complete.wav"), [1; 100]).unwrap();
    fs::write(spool.join("active/broken-off.wav"), [2; 100]).unwrap();
    fs::write(spool.join("active/empty.wav"), [3; 44]).unwrap();
    within(open_spool(dir.path()).idle()).await;
    let kept = wavs(&dir.path().join("recordings")).unwrap();
    let names: Vec<_> = kept.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(names, ["broken-off.wav", "complete.wav"]);
    assert!(wavs(&spool).unwrap().is_empty() && wavs(&spool.join("active")).unwrap().is_empty());
}

#[tokio::test]
async fn a_session_that_comes_twice_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open_spool(dir.path());
    let path = spool.begin(&key("a.wav")).unwrap();
    fs::write(&path, [1; 100]).unwrap();
    assert_eq!(spool.begin(&key("a.wav")), None, "while it is recorded");
    spool.complete(path).await.unwrap();
    within(spool.idle()).await;
    assert_eq!(spool.begin(&key("a.wav")), None, "once it is stored");
}

#[tokio::test]
async fn an_unreachable_bucket_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let config = StorageConfig::Bucket {
        endpoint: format!("http://{address}"),
        bucket: "recordings".into(),
        access_key: "a".into(),
        secret_key: Secret::new("b"),
    };
    let spool = open_with(dir.path(), Store::new(&config).unwrap());
    record(&spool, "a.wav", &[7; 100]).await;
    failed(&spool).await;
    assert_eq!(fs::read(dir.path().join("spool/a.wav")).unwrap(), [7; 100]);
    assert_eq!(spool.url(&key("a.wav")), format!("http://{address}/recordings/a.wav"));
}

#[tokio::test]
async fn a_recording_that_is_gone_is_not_tried_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open_spool(dir.path());
    fs::create_dir_all(dir.path().join("recordings")).unwrap();
    fs::write(dir.path().join("recordings/stored.wav"), [7; 100]).unwrap();
    for name in ["stored.wav", "nowhere.wav"] {
        spool.queue.push(dir.path().join("spool").join(name), STORE);
    }
    within(spool.idle()).await;
    assert_eq!((spool.counts().delivered, spool.counts().poisoned), (1, 1));
}
