//! The worker's Unix socket and its file.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::BindError;

/// The socket's file, removed on drop.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: Inode,
}

/// Device and number: tells a file from another that took its name.
type Inode = (u64, u64);

/// Listens on `path`. A file that a dead worker left there is removed first; anything else there
/// is left alone.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, SocketFile), BindError> {
    let failed = |error| BindError::Unix { path: path.to_owned(), error };
    remove_stale(path)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    // nginx runs as another user. Whoever can reach the socket can ask for health and metrics, as
    // on TCP; everything else asks for the secret.
    fs::set_permissions(path, Permissions::from_mode(0o666)).map_err(failed)?;
    let inode = inode(path).map_err(failed)?;
    Ok((listener, SocketFile { path: path.to_owned(), inode }))
}

fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |error| BindError::Unix { path: path.to_owned(), error };
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(failed)?,
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NoSocket(path.to_owned()));
    }
    match StdUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Ok(_) => return Err(BindError::Taken(path.to_owned())),
        Err(error) => return Err(failed(error)),
    }
    // Another worker that starts at this moment may have put its own there meanwhile.
    match inode(path) {
        Ok(now) if now == (found.dev(), found.ino()) => fs::remove_file(path).map_err(failed),
        _ => Err(BindError::Taken(path.to_owned())),
    }
}

fn inode(path: &Path) -> io::Result<Inode> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Not one that a successor has put in its place. While we listen, ours keeps its number.
        if inode(&self.path).is_ok_and(|now| now == self.inode)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!("{} stays behind: {error}", self.path.display());
        }
    }
}
