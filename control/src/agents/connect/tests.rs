use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::*;

#[test]
fn a_certificate_is_trusted_only_for_its_name_and_from_a_known_authority() {
    let known: &[u8] = include_bytes!("certificates/ca.der");
    // Signs nothing, and is not who signed.
    let stranger: &[u8] = include_bytes!("certificates/localhost.der");
    for (host, authority, expected) in [
        ("localhost", known, Ok(())),
        ("127.0.0.1", known, Err("certificate")),
        ("localhost", stranger, Err("certificate")),
    ] {
        let (port, server) = serve(secured);
        let opened = open(&format!("wss://{host}:{port}"), authority);
        check(opened, expected);
        let accepted = server.join().expect("the server's thread");
        assert_eq!(accepted, expected.is_ok(), "{host}: no word goes to whom we do not trust");
    }
}

#[test]
fn a_peer_that_is_no_brain_is_refused_in_words_that_hold_no_secret() {
    let answering = |answer: &'static str| {
        move |mut tcp: TcpStream| {
            let _ = tcp.read(&mut [0; 4_096]);
            let _ = tcp.write_all(answer.as_bytes());
            false
        }
    };
    let rows = [
        ("ws", "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "found 403"),
        ("ws", "HTTP/1.1 302 Found\r\nlocation: ws://elsewhere\r\n\r\n", "found 302"),
        ("ws", "SSH-2.0-OpenSSH_9.9\r\n", ""),
        ("ws", "", ""),
        ("wss", "HTTP/1.1 400 Bad Request\r\n\r\n", ""),
    ];
    for (scheme, answer, expected) in rows {
        let (port, server) = serve(answering(answer));
        check(open(&format!("{scheme}://localhost:{port}"), CA), Err(expected));
        server.join().expect("the server's thread");
    }
}

#[test]
fn a_peer_that_takes_the_connection_and_says_nothing_is_given_up_in_time() {
    for scheme in ["ws", "wss"] {
        // The kernel accepts in the listener's place.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = silent.local_addr().expect("bound").port();
        let url = format!("{scheme}://127.0.0.1:{port}");
        let opened = open_within(&url, CA, Duration::from_millis(200));
        check(opened, Err(""));
    }
}

fn check(opened: Result<Opened, String>, expected: Result<(), &str>) {
    match (opened.map(|_| ()), expected) {
        (Ok(()), Ok(())) => {}
        (Err(why), Err(part)) => {
            assert!(why.contains(part), "expected {part:?}, found {why:?}");
            assert!(!why.contains("secret"), "{why}");
        }
        (opened, expected) => panic!("expected {expected:?}, found {opened:?}"),
    }
}

fn open(base: &str, authority: &[u8]) -> Result<Opened, String> {
    open_within(base, authority, Duration::from_secs(60))
}

fn open_within(base: &str, authority: &[u8], limit: Duration) -> Result<Opened, String> {
    let headers = serde_json::json!({"authorization": "secret"});
    let headers = headers.as_object().expect("an object");
    let address = Address::parse(&format!("{base}/secret?token=secret"), headers)?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority)).map_err(|error| error.to_string())?;
    let at = [IpAddr::from([127, 0, 0, 1])];
    connect_trusting(|| trusting(roots), &address, &at, None, Instant::now() + limit)
}

/// One connection; whether it became a WebSocket.
fn serve(with: impl FnOnce(TcpStream) -> bool + Send + 'static) -> (u16, JoinHandle<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let served = thread::spawn(move || with(listener.accept().expect("a connection").0));
    (port, served)
}

fn secured(tcp: TcpStream) -> bool {
    let certificate = CertificateDer::from(&include_bytes!("certificates/localhost.der")[..]);
    let key = PrivatePkcs8KeyDer::from(&include_bytes!("certificates/localhost.key.der")[..]);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key))
        .expect("a certificate and its key");
    let tls = ServerConnection::new(Arc::new(config)).expect("a config that fits");
    tungstenite::accept(StreamOwned::new(tls, tcp)).is_ok()
}

const CA: &[u8] = include_bytes!("certificates/ca.der");
