use std::os::unix::fs::symlink;

use super::client::{Answer, request, send};
use super::*;

/// With the secret, and more `headers`.
async fn ask(worker: &Rig, method: &str, target: &str, headers: &str) -> Answer {
    let headers = format!("x-voxcore-secret: {SECRET}\r\n{headers}");
    send(worker.tcp, &request(method, target, &headers)).await
}

#[tokio::test]
async fn only_the_secret_opens_the_door() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "1", 1, 1).await;
    fs::write(dir.path().join("1/spool/a.wav"), "RIFF").unwrap();
    let rows = [
        ("", 403),
        ("x-voxcore-secret: \r\n", 403),
        ("x-voxcore-secret: wrong\r\n", 403),
        ("x-voxcore-secret: s3cre\r\n", 403),
        ("x-voxcore-secret: s3crets\r\n", 403),
        ("x-voxcore-secret: s3cret\r\nx-voxcore-secret: s3cret\r\n", 403),
        ("authorization: s3cret\r\n", 403),
        ("x-voxcore-secret: s3cret\r\n", 200),
        ("X-VoxCore-Secret:s3cret\r\n", 200),
    ];
    for (headers, expected) in rows {
        for target in ["/recordings/a.wav", "/recordings/none.wav", "/recordings/..%2fa"] {
            let answer = send(worker.tcp, &request("GET", target, headers)).await;
            let expected =
                if expected == 200 && target != "/recordings/a.wav" { 404 } else { expected };
            assert_eq!(answer.status, expected, "{headers:?} {target}");
            if expected == 403 {
                assert_eq!(answer.text(), "{\"detail\":\"forbidden\"}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_configured_secret_nobody_is_let_through() {
    let dir = directory();
    let worker = WorkerConfig { secret: None, ..worker_config(dir.path(), "1", 1) };
    let http = http_config(dir.path(), "1", 1);
    let desk = desk(&worker, &http, Slots::new(1));
    let server = HttpServer::start(&http, desk).await.unwrap();
    let address = server.local_addr().unwrap();
    fs::write(dir.path().join("1/spool/a.wav"), "RIFF").unwrap();
    for headers in ["", "x-voxcore-secret: \r\n"] {
        let answer = send(address, &request("GET", "/recordings/a.wav", headers)).await;
        assert_eq!(answer.status, 403, "{headers:?}");
    }
}

#[tokio::test]
async fn a_range_gets_its_bytes_and_nothing_else() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "1", 1, 1).await;
    let whole: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    fs::write(dir.path().join("1/spool/a.wav"), &whole).unwrap();
    let rows = [
        ("", 200, Some(0..300_000), None),
        ("range: bytes=0-0\r\n", 206, Some(0..1), Some("bytes 0-0/300000")),
        (
            "range: bytes=70000-199999\r\n",
            206,
            Some(70_000..200_000),
            Some("bytes 70000-199999/300000"),
        ),
        (
            "range: bytes=299990-\r\n",
            206,
            Some(299_990..300_000),
            Some("bytes 299990-299999/300000"),
        ),
        ("range: bytes=-5\r\n", 206, Some(299_995..300_000), Some("bytes 299995-299999/300000")),
        ("range: bytes=300000-\r\n", 416, None, Some("bytes */300000")),
        ("range: bytes=5-4\r\n", 200, Some(0..300_000), None),
        ("range: bytes=0-1,5-6\r\n", 200, Some(0..300_000), None),
        ("range: bytes=0-0\r\nif-range: \"other\"\r\n", 200, Some(0..300_000), None),
    ];
    for (headers, status, bytes, range) in rows {
        let answer = ask(&worker, "GET", "/recordings/a.wav", headers).await;
        let expected = bytes.map_or(&[][..], |bytes| &whole[bytes]);
        assert_eq!((answer.status, answer.header("content-range")), (status, range), "{headers:?}");
        assert!(answer.body == expected, "{headers:?}: {} bytes", answer.body.len());
        let length = expected.len().to_string();
        assert_eq!(answer.header("content-length"), Some(length.as_str()), "{headers:?}");
        assert_eq!(answer.header("accept-ranges"), Some("bytes"), "{headers:?}");
    }
    let etag =
        ask(&worker, "GET", "/recordings/a.wav", "").await.header("etag").unwrap().to_owned();
    let headers = format!("range: bytes=0-0\r\nif-range: {etag}\r\n");
    assert_eq!(ask(&worker, "GET", "/recordings/a.wav", &headers).await.status, 206);

    let head = ask(&worker, "HEAD", "/recordings/a.wav", "range: bytes=0-0\r\n").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("300000")));
    assert_eq!((head.header("content-type"), head.body.len()), (Some("audio/wav"), 0));
}

#[tokio::test]
async fn a_recording_is_found_in_the_spool_then_in_the_store_and_with_a_neighbour() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "1", 2, 1).await;
    let (spooled, stored) =
        (dir.path().join("1/spool/a.wav"), dir.path().join("1/recordings/a.wav"));
    assert_eq!(ask(&worker, "GET", "/recordings/a.wav", "").await.status, 404);
    fs::write(&spooled, "RIFF").unwrap();
    let before = ask(&worker, "GET", "/recordings/a.wav", "").await;
    fs::rename(&spooled, &stored).unwrap();
    let after = ask(&worker, "GET", "/recordings/a.wav", "").await;
    assert_eq!((before.status, before.text()), (200, "RIFF"));
    assert_eq!(after.header("etag"), before.header("etag"));
    assert_eq!((after.status, after.text()), (200, "RIFF"));
    let neighbours = dir.path().join("2/recordings");
    fs::create_dir_all(&neighbours).unwrap();
    fs::write(neighbours.join("b.wav"), "WAVE").unwrap();
    assert_eq!(ask(&worker, "GET", "/recordings/b.wav", "").await.text(), "WAVE");
    fs::write(&stored, "").unwrap();
    let empty = ask(&worker, "GET", "/recordings/a.wav", "").await;
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    assert_eq!(ask(&worker, "GET", "/recordings/a.wav", "range: bytes=0-\r\n").await.status, 416);
}

#[tokio::test]
async fn nothing_outside_the_recordings_is_ever_opened() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "1", 1, 1).await;
    // Each row names one of these where a naive server would find it.
    for name in [
        "secret.wav",
        "1/secret.wav",
        "1/spool/%2e%2e",
        "1/spool/a%2fb",
        "1/spool/a b.wav",
        "1/spool/.hidden",
    ] {
        fs::write(dir.path().join(name), "hidden").unwrap();
    }
    fs::create_dir_all(dir.path().join("1/spool/active")).unwrap();
    fs::write(dir.path().join("1/spool/active/a.wav"), "hidden").unwrap();
    symlink(dir.path().join("secret.wav"), dir.path().join("1/spool/link.wav")).unwrap();
    let absolute = dir.path().join("1/secret.wav").display().to_string().replace('/', "%2F");
    let long = "a".repeat(300);
    let rows = [
        "..",
        "../secret.wav",
        "%2e%2e",
        "%2E%2E/secret.wav",
        "..%2fsecret.wav",
        "..%2Fsecret.wav",
        "%2e%2e%2fsecret.wav",
        "..%5csecret.wav",
        "..\\secret.wav",
        "a%2f..%2f..%2fsecret.wav",
        "active/a.wav",
        "active%2fa.wav",
        "./active/a.wav",
        "%252e%252e",
        "a%252fb",
        "a%252Fb",
        "..%252fsecret.wav",
        "..%c0%afsecret.wav",
        "%ff",
        "%",
        "%zz",
        "a.wav%00",
        "a%00.wav",
        "secret.wav%00",
        ".hidden",
        "a%20b.wav",
        "link.wav",
        "active",
        ".",
        "",
        "//etc/passwd",
        &absolute,
        &long,
    ];
    for key in rows {
        let answer = ask(&worker, "GET", &format!("/recordings/{key}"), "").await;
        assert_eq!((answer.status, answer.text()), (404, "{\"detail\":\"not_found\"}"), "{key:?}");
    }
}

#[tokio::test]
async fn a_recording_leaves_in_pieces_while_it_is_read() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "1", 1, 1).await;
    // More than memory holds; a sparse file costs no disk.
    let length = 64_u64 << 30;
    let path = dir.path().join("1/spool/a.wav");
    fs::File::create(&path).unwrap().set_len(length).unwrap();
    let answer = ask(&worker, "HEAD", "/recordings/a.wav", "").await;
    assert_eq!(answer.header("content-length"), Some(length.to_string().as_str()));
    let answer = ask(&worker, "GET", "/recordings/a.wav", "range: bytes=68719476000-\r\n").await;
    assert_eq!((answer.status, answer.body.len()), (206, 736));
}
