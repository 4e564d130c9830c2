//! Where recordings stay: a local directory, or a bucket of an S3-compatible store.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::RecordingKey;
use super::disk::{self, blocking};
use super::queue::Delivery;
use crate::config::{ConfigError, StorageConfig};

/// Takes recordings over, for good.
#[derive(Debug, Clone)]
pub enum Store {
    /// A directory on this machine.
    Directory(PathBuf),
    /// A bucket.
    Bucket(Arc<Bucket>),
}

/// A bucket of an S3-compatible store, addressed by path.
#[derive(Debug)]
pub struct Bucket {
    client: Arc<dyn ObjectStore>,
    name: String,
    /// `http://host:port/bucket`
    base_url: String,
}

/// Length and SHA-256 of a recording.
type Print = (u64, [u8; 32]);

impl Store {
    /// Prepares the store. Whether it can be reached is seen when something is to be stored: a
    /// worker takes calls also while its store is down.
    pub fn new(config: &StorageConfig) -> Result<Self, ConfigError> {
        match config {
            StorageConfig::Directory(dir) => Ok(Self::Directory(dir.clone())),
            StorageConfig::Bucket { endpoint, bucket, access_key, secret_key } => {
                let client = AmazonS3Builder::new()
                    .with_endpoint(endpoint)
                    .with_bucket_name(bucket)
                    .with_region("us-east-1")
                    .with_access_key_id(access_key)
                    .with_secret_access_key(secret_key.expose())
                    .with_allow_http(true)
                    .with_virtual_hosted_style_request(false)
                    // The queue retries, with a back-off that is ours.
                    .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
                    .with_client_options(client_options())
                    .build()
                    .map_err(|error| ConfigError(format!("MINIO_ENDPOINT: {error}")))?;
                Ok(Self::Bucket(Arc::new(Bucket {
                    client: Arc::new(client),
                    name: bucket.clone(),
                    base_url: format!("{endpoint}/{bucket}"),
                })))
            }
        }
    }

    /// Where `key` can be found once it is stored.
    pub fn url(&self, key: &RecordingKey) -> String {
        match self {
            Self::Directory(dir) => {
                let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
                format!("file://{}", dir.join(key.as_str()).display())
            }
            Self::Bucket(bucket) => format!("{}/{key}", bucket.base_url),
        }
    }

    /// Moves the recording at `path` into the store. It is removed here only after the store has
    /// shown that it holds the same bytes. A failure names the cause in one line, never the file.
    pub(super) async fn take(&self, key: &RecordingKey, path: &Path) -> Result<(), Delivery> {
        match self {
            Self::Directory(dir) => {
                let (from, to) = (path.to_owned(), dir.join(key.as_str()));
                let moved = blocking(move || move_file(&from, &to)).await;
                moved.map_err(|error| Delivery::Unreachable(format!("{}: {error}", dir.display())))
            }
            Self::Bucket(bucket) => {
                bucket.take(key, path).await?;
                tokio::fs::remove_file(path).await.map_err(|error| {
                    Delivery::Later(format!("the spool cannot be cleared: {error}"))
                })
            }
        }
    }

    /// Whether it has a recording of this name, for one that is in the spool no more.
    pub(super) async fn holds(&self, key: &RecordingKey) -> Result<bool, Delivery> {
        match self {
            Self::Directory(_) => Ok(self.holds_locally(key)),
            Self::Bucket(bucket) => Ok(bucket.read_back(key).await?.is_some()),
        }
    }

    /// Whether the directory has it.
    pub(super) fn holds_locally(&self, key: &RecordingKey) -> bool {
        matches!(self, Self::Directory(dir) if dir.join(key.as_str()).exists())
    }
}

impl Bucket {
    /// Stores the file as `key`. Where that name is taken by another recording (the session came
    /// before), as a name that its content decides: a later try finds its own.
    async fn take(&self, key: &RecordingKey, path: &Path) -> Result<(), Delivery> {
        let from = path.to_owned();
        let ours = blocking(move || print(&from)).await.map_err(unreadable)?;
        if self.store(key, path, ours).await? {
            return Ok(());
        }
        let other = key.suffixed(&suffix(&ours));
        tracing::warn!("{}/{key} is another recording; stored as {other}", self.base_url);
        match self.store(&other, path, ours).await? {
            true => Ok(()),
            false => {
                Err(Delivery::Later("the object store holds other bytes than were sent".into()))
            }
        }
    }

    /// Whether the bucket now holds the file as `key`. What it holds already is never overwritten.
    async fn store(&self, key: &RecordingKey, path: &Path, ours: Print) -> Result<bool, Delivery> {
        if let Some(theirs) = self.read_back(key).await? {
            return Ok(theirs == ours);
        }
        let sent = self.put(key, path).await?;
        match self.read_back(key).await? == Some(sent) {
            true => Ok(true),
            false => {
                Err(Delivery::Later("the object store holds other bytes than were sent".into()))
            }
        }
    }

    /// Sends the file in parts while it is read; returns what was sent.
    async fn put(&self, key: &RecordingKey, path: &Path) -> Result<Print, Delivery> {
        let mut file = File::open(path).await.map_err(unreadable)?;
        let location = object_store::path::Path::from(key.as_str());
        let mut writer = BufWriter::with_capacity(self.client.clone(), location, PART_BYTES);
        let (mut digest, mut length) = (Sha256::new(), 0);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = file.read(&mut chunk).await.map_err(unreadable)?;
            if read == 0 {
                break;
            }
            digest.update(&chunk[..read]);
            length += read as u64;
            writer.write_all(&chunk[..read]).await.map_err(|error| self.explain(&error))?;
        }
        writer.shutdown().await.map_err(|error| self.explain(&error))?;
        Ok((length, digest.finalize().into()))
    }

    /// What the store gives back, `None` when it has nothing of this name. An ETag would be cheaper,
    /// but it is a checksum of the content in some stores and for some uploads only.
    async fn read_back(&self, key: &RecordingKey) -> Result<Option<Print>, Delivery> {
        let location = object_store::path::Path::from(key.as_str());
        let (mut digest, mut offset) = (Sha256::new(), 0);
        let size = match self.client.head(&location).await {
            Ok(meta) => meta.size,
            // Of a key that may not list the bucket, the store hides what is missing behind a 403;
            // and only the answer to the upload says which of the credentials is wrong.
            Err(
                object_store::Error::NotFound { .. }
                | object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. },
            ) => return Ok(None),
            Err(error) => return Err(self.explain(&error)),
        };
        while offset < size {
            let end = size.min(offset + PART_BYTES as u64);
            let part = self.client.get_range(&location, offset..end).await;
            digest.update(&part.map_err(|error| self.explain(&error))?);
            offset = end;
        }
        Ok(Some((size, digest.finalize().into())))
    }

    /// One line about the cause. The stores' own answers are long XML that names the object.
    fn explain(&self, error: &(dyn Error + 'static)) -> Delivery {
        let mut text = error.to_string();
        let mut innermost = error;
        while let Some(cause) = innermost.source() {
            text += &cause.to_string();
            innermost = cause;
        }
        let code = CREDENTIAL_CODES.into_iter().find(|code| text.contains(code));
        let url = &self.base_url;
        match code {
            Some(code) => Delivery::Later(format!(
                "{url} refuses MINIO_ACCESS_KEY and MINIO_SECRET_KEY ({code}): correct them"
            )),
            None if text.contains("NoSuchBucket") => {
                Delivery::Later(format!("{url}: there is no bucket {:?} (MINIO_BUCKET)", self.name))
            }
            None => match status(&text) {
                Some(status) if status.starts_with('5') => {
                    Delivery::Unreachable(format!("{url} answers {status}"))
                }
                Some(status) => Delivery::Later(format!("{url} answers {status}")),
                None => Delivery::Unreachable(format!(
                    "{url}: {}",
                    crate::config::first_line(&innermost.to_string())
                )),
            },
        }
    }
}

fn unreadable(error: io::Error) -> Delivery {
    Delivery::Later(format!("the spool cannot be read: {error}"))
}

/// Eight bytes of the hash, in hex.
fn suffix((_, hash): &Print) -> String {
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The HTTP status in an error's text.
fn status(text: &str) -> Option<&str> {
    let after = &text[text.find("status ")? + "status ".len()..];
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    (end == 3).then(|| &after[..end])
}

fn client_options() -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(true)
        .with_connect_timeout(Duration::from_secs(5))
        .with_timeout(Duration::from_secs(60))
}

/// Renames, or copies where the store is another file system.
fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir)?;
    }
    match disk::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy_whole(from, to)?;
            fs::remove_file(from)
        }
        outcome => outcome,
    }
}

fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let part = to.with_file_name(format!("{}{name}", disk::TEMPORARY));
    fs::copy(from, &part)?;
    fs::File::open(&part)?.sync_all()?;
    if print(from)? != print(&part)? {
        return Err(io::Error::other("the copy differs from the recording"));
    }
    disk::rename(&part, to)
}

fn print(path: &Path) -> io::Result<Print> {
    let mut digest = Sha256::new();
    let length = io::copy(&mut fs::File::open(path)?, &mut digest)?;
    Ok((length, digest.finalize().into()))
}

/// What S3 and MinIO answer to a wrong key, a wrong secret, a key without rights.
const CREDENTIAL_CODES: [&str; 3] = ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"];

const PART_BYTES: usize = 8 << 20;
const CHUNK_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_recording_in_the_bucket_is_never_overwritten_by_another_of_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (client, name) = (Arc::new(InMemory::new()), "rec".to_owned());
        let bucket = Bucket { client: client.clone(), name, base_url: "http://h/rec".into() };
        let store = Store::Bucket(Arc::new(bucket));
        let key = RecordingKey::parse("20260102-s.wav").unwrap();
        let rows: [(&[u8], usize); 4] = [(b"one", 1), (b"one", 1), (b"two", 2), (b"two", 2)];
        for (bytes, expected) in rows {
            let path = dir.path().join(key.as_str());
            fs::write(&path, bytes).unwrap();
            store.take(&key, &path).await.unwrap();
            let held = client.list_with_delimiter(None).await.unwrap().objects;
            assert_eq!((held.len(), path.exists()), (expected, false));
        }
        let held = client.list_with_delimiter(None).await.unwrap().objects;
        let mut all = Vec::new();
        for object in held {
            all.push(client.get(&object.location).await.unwrap().bytes().await.unwrap());
        }
        all.sort();
        assert_eq!(all, ["one", "two"]);
    }

    #[test]
    fn a_recording_is_copied_whole_where_it_cannot_be_renamed() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a.wav"), dir.path().join("b.wav"));
        fs::write(&from, b"RIFF").unwrap();
        copy_whole(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"RIFF");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_store_error_is_one_line_without_the_objects_name() {
        let config = StorageConfig::Bucket {
            endpoint: "http://h:9000".into(),
            bucket: "rec".into(),
            access_key: "a".into(),
            secret_key: crate::config::Secret::new("hidden"),
        };
        let Store::Bucket(bucket) = Store::new(&config).unwrap() else { unreachable!("a bucket") };
        let check = |text: &str, kind: fn(String) -> Delivery, expected: &str| {
            let failed = bucket.explain(&io::Error::other(text.to_owned()));
            assert_eq!(failed, kind(expected.to_owned()));
        };
        check(
            "status 403 Forbidden: <Code>SignatureDoesNotMatch</Code><Key>x.wav</Key>",
            Delivery::Later,
            "http://h:9000/rec refuses MINIO_ACCESS_KEY and MINIO_SECRET_KEY (SignatureDoesNotMatch): correct them",
        );
        check(
            "<Code>NoSuchBucket</Code>",
            Delivery::Later,
            "http://h:9000/rec: there is no bucket \"rec\" (MINIO_BUCKET)",
        );
        let away = Delivery::Unreachable;
        check("Server returned status 503 for x.wav", away, "http://h:9000/rec answers 503");
        check("status 400 Bad Request", Delivery::Later, "http://h:9000/rec answers 400");
        check("connection refused\nmore", away, "http://h:9000/rec: connection refused");
    }
}
