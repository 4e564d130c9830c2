use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// The socket's name in the file system: removed with us, when it is still ours.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens on `path`. A socket that a dead worker left there is removed; one that answers, or
/// anything that is no socket, is left alone and an error.
pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    remove_stale(path)?;
    let explain = |error: io::Error| {
        io::Error::new(error.kind(), format!("HTTP cannot listen on {}: {error}", path.display()))
    };
    let listener = UnixListener::bind(path).map_err(explain)?;
    // The ingress runs as another user. What needs protection asks for the secret.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).map_err(explain)?;
    let inode = fs::symlink_metadata(path).map_err(explain)?.ino();
    Ok((listener, SocketFile { path: path.to_owned(), inode }))
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let refuse = |what: &str| {
        Err(io::Error::new(ErrorKind::AddrInUse, format!("{}: {what}", path.display())))
    };
    if !meta.file_type().is_socket() {
        return refuse("expected a socket or nothing, found another file");
    }
    match UnixStream::connect(path) {
        Ok(_) => refuse("another worker of this number listens here"),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}
