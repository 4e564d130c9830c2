use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdUnixListener;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::client::get_unix;
use super::*;

/// Starts worker 1, which must not come up.
async fn refused(http: &HttpConfig, dir: &Path) -> BindError {
    let desk = desk(&worker_config(dir, "1", 1), http, Slots::new(1));
    HttpServer::start(http, desk).await.unwrap_err()
}

#[tokio::test]
async fn a_dead_workers_socket_is_replaced() {
    let dir = directory();
    drop(StdUnixListener::bind(socket_of(dir.path(), "1")).unwrap());
    let worker = Rig::start(dir.path(), "1", 1, 1).await;
    assert_eq!(get_unix(&worker.socket, "/health").await.status, 200);
    let mode = fs::metadata(&worker.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    let socket = worker.socket.clone();
    worker.server.stop().await;
    assert!(!socket.exists(), "the file stayed behind");
}

#[tokio::test]
async fn a_living_workers_socket_and_other_files_are_left_alone() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "1", 1, 1).await;
    let error = refused(&http_config(dir.path(), "1", 1), dir.path()).await;
    assert!(matches!(error, BindError::Taken(_)), "{error}");
    assert_eq!(get_unix(&worker.socket, "/health").await.status, 200);
    worker.server.stop().await;

    fs::write(socket_of(dir.path(), "1"), "precious").unwrap();
    let error = refused(&http_config(dir.path(), "1", 1), dir.path()).await;
    assert!(matches!(error, BindError::NoSocket(_)), "{error}");
    assert!(error.to_string().ends_with("set VOXCORE_SOCKET"), "{error}");
    assert_eq!(fs::read_to_string(socket_of(dir.path(), "1")).unwrap(), "precious");
}

#[tokio::test]
async fn a_directory_that_is_not_there_and_a_taken_port_are_named() {
    let dir = directory();
    let missing = http_config(&dir.path().join("missing"), "1", 1);
    let error = refused(&missing, dir.path()).await.to_string();
    assert!(error.contains("missing/voxcore_1.sock: No such file"), "{error}");

    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let config = HttpConfig { listen: Some(address), ..http_config(dir.path(), "1", 1) };
    let error = refused(&config, dir.path()).await.to_string();
    assert!(error.starts_with(&format!("cannot listen for HTTP on {address}: ")), "{error}");
    assert!(!config.socket.exists(), "a start that failed leaves nothing behind");
}

#[tokio::test]
async fn a_successors_socket_survives_our_end() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "1", 1, 1).await;
    let socket = worker.socket.clone();
    fs::remove_file(&socket).unwrap();
    let _successor = UnixListener::bind(&socket).unwrap();
    worker.server.stop().await;
    assert!(socket.exists(), "the successor's file is gone");
}

#[tokio::test]
async fn a_stop_closes_idle_connections_and_frees_the_name() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "1", 1, 1).await;
    let mut kept = UnixStream::connect(&worker.socket).await.unwrap();
    kept.write_all(b"GET /health HTTP/1.1\r\nhost: vox\r\n\r\n").await.unwrap();
    assert_eq!(kept.read_u8().await.unwrap(), b'H');
    worker.server.stop().await;
    let mut rest = Vec::new();
    kept.read_to_end(&mut rest).await.unwrap();
    assert!(rest.starts_with(b"TTP/1.1 200"), "{}", rest.escape_ascii());
    let again = Rig::start(dir.path(), "1", 1, 1).await;
    assert_eq!(get_unix(&again.socket, "/health").await.status, 200);
}
