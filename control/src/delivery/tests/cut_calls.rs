use std::path::PathBuf;

use super::*;
use crate::config::StorageConfig;
use crate::delivery::{Backoff, OpenId};

const KEY: &str = "20260102-s.wav";

struct Rig {
    dir: tempfile::TempDir,
    webhook_url: &'static str,
}

/// Nothing listens there: results stay in the outbox.
const NOBODY: &str = "http://127.0.0.1:1/r";

impl Rig {
    /// After a process that died with one call open.
    async fn after_a_crash(webhook_url: &'static str) -> (Self, OpenCall) {
        let this = Self { dir: tempfile::tempdir().unwrap(), webhook_url };
        let mut result = outbox::example("s");
        result.disconnected_by = vox_contracts::DisconnectedBy::Error;
        let note = OpenNote {
            webhook_url: webhook_url.into(),
            recording_keys: vec![KEY.into(), "20260102-s-own.wav".into()],
            result,
        };
        let call = this.open().note(OpenId::new(), note).await;
        (this, call)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    fn open(&self) -> OpenCalls {
        OpenCalls::open(self.path("outbox/open")).unwrap()
    }

    /// What the next start does; gives what it filed.
    async fn restart(&self) -> u64 {
        let store = Store::new(&StorageConfig::Directory(self.path("recordings"))).unwrap();
        let cut = CutCalls::find(self.dir.path(), &self.open(), &store).await.unwrap();
        let hour = Duration::from_secs(3_600);
        let backoff = Backoff { first: hour, most: hour };
        let spool = Spool::open(self.path("spool"), store, backoff).unwrap();
        let outbox = self.outbox();
        let filed = cut.file(&outbox, &spool).await;
        assert!(self.open().left_over().unwrap().is_empty(), "a note is left");
        filed
    }

    fn outbox(&self) -> Outbox {
        let hour = Duration::from_secs(3_600);
        let backoff = Backoff { first: hour, most: hour };
        Outbox::open(self.path("outbox"), self.path("results"), None, backoff).unwrap()
    }

    /// Bodies of what waits or is in the directory of results.
    fn results(&self) -> Vec<serde_json::Value> {
        let dir = self.path(if self.webhook_url.is_empty() { "results" } else { "outbox" });
        let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let bodies = files.filter(|path| path.is_file()).map(|path| fs::read(path).unwrap());
        bodies
            .map(|text| serde_json::from_slice(text.split(|&b| b == b'\n').next_back().unwrap()))
            .collect::<Result<_, _>>()
            .unwrap()
    }
}

/// A WAV of 8 kHz stereo whose header has not caught up with its `frames`.
fn wav(frames: usize) -> Vec<u8> {
    let out = std::io::Cursor::new(Vec::new());
    let writer = vox_codecs::wav::WavWriter::new(out, 8_000, 2).unwrap();
    let mut bytes = writer.finish().unwrap().into_inner();
    bytes.resize(bytes.len() + 4 * frames, 1);
    bytes
}

#[tokio::test]
async fn a_call_that_a_crash_cut_off_has_one_result_with_what_is_left_of_it() {
    // Where its recording is, whether it is named in the result, and how long it is.
    let rows = [
        (None, false, None),
        (Some(("spool/active/20260102-s.wav", 8_000)), true, Some(1.0)),
        (Some(("spool/20260102-s.wav", 12_000)), true, Some(1.5)),
        (Some(("spool/active/20260102-s-own.wav", 80)), true, Some(0.01)),
        (Some(("recordings/20260102-s.wav", 8_000)), true, None),
        (Some(("spool/active/20260102-s.wav", 0)), false, None),
        (Some(("spool/active/20260102-other.wav", 8_000)), false, None),
    ];
    for webhook_url in ["", NOBODY] {
        for (recording, named, seconds) in rows {
            let (rig, _) = Rig::after_a_crash(webhook_url).await;
            if let Some((name, frames)) = recording {
                rig.write(name, &wav(frames));
            }
            assert_eq!(rig.restart().await, 1, "{recording:?}");
            assert_eq!(rig.restart().await, 0, "a second start: {recording:?}");
            let results = rig.results();
            let [result] = results.as_slice() else { panic!("{recording:?}: {results:?}") };
            assert_eq!(result["disconnected_by"], "error");
            assert_eq!(result["events"][0]["event"], "worker_crashed");
            assert_eq!(result["events"][0]["duration_known"], seconds.is_some(), "{recording:?}");
            assert_eq!(result["call_duration_seconds"], seconds.unwrap_or(0.0), "{recording:?}");
            assert_eq!(result["recording_key"].is_string(), named, "{recording:?}");
            assert_eq!(result["recording_url"].is_string(), named, "{recording:?}");
        }
    }
}

#[tokio::test]
async fn a_crash_between_the_result_and_the_notes_end_makes_no_second_result() {
    for webhook_url in ["", NOBODY] {
        let (rig, call) = Rig::after_a_crash(webhook_url).await;
        let note = fs::read(rig.path("outbox/open").join(call.name())).unwrap();
        let outbox = rig.outbox();
        let mut result = outbox::example("s");
        result.call_duration_seconds = 7.0;
        outbox.put(webhook_url, &result, Some(&call)).await.unwrap();
        rig.write(&format!("outbox/open/{}", call.name()), &note);
        assert_eq!(rig.restart().await, 0);
        let results = rig.results();
        assert_eq!((results.len(), &results[0]["call_duration_seconds"]), (1, &7.0.into()));
    }
}

#[tokio::test]
async fn what_is_no_note_is_set_aside_and_holds_up_nobody() {
    let (rig, _) = Rig::after_a_crash("").await;
    for (name, text) in [("a.json", ""), ("b.json", "{}"), ("c.json", "{\"webhook_url\":")] {
        rig.write(&format!("outbox/open/{name}"), text.as_bytes());
    }
    rig.write("outbox/open/.part-d.json", b"{");
    assert_eq!(rig.restart().await, 1);
    let kept = fs::read_dir(rig.path("outbox/poison")).unwrap().count();
    assert_eq!((kept, rig.path("outbox/open/.part-d.json").exists()), (3, false));
}

#[tokio::test]
async fn a_recording_that_is_no_wav_of_ours_gives_no_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    for (bytes, expected) in [
        (vec![0; 10], None),
        (vec![0; 44], None),
        (vec![0; 100], None),
        (wav(0), None),
        (wav(800), Some(Duration::from_millis(100))),
    ] {
        fs::write(&path, &bytes).unwrap();
        assert_eq!(length(&path).unwrap_or(None), expected, "{} bytes", bytes.len());
    }
}
