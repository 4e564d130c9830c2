//! Files that are whole or not there, whenever the power goes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Begins the names of files that are still being written.
pub(super) const TEMPORARY: &str = ".part-";

/// Writes `parts` one after the other as the file `name` in `dir`: to a temporary file, synced,
/// renamed, and the directory synced.
pub(super) fn write_whole(dir: &Path, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    let part = dir.join(format!("{TEMPORARY}{name}"));
    let mut file = File::create(&part)?;
    for bytes in parts {
        file.write_all(bytes)?;
    }
    file.sync_all()?;
    drop(file);
    fs::rename(&part, dir.join(name))?;
    sync_dir(dir)
}

/// Renames, and makes the new name last.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Removes what a crash left half-written.
pub(super) fn sweep(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A directory's entries last only once it is synced itself.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Runs file work where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
