//! Opening a brain's socket: TCP, TLS, upgrade, all by one deadline, on a thread that may block.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;
use tungstenite::http::{HeaderName, HeaderValue, Uri};

use super::socket::Opened;
use super::stream::{Stream, Wire};
use super::upgrade::upgrade;

/// Where a brain is. Its URL and headers may hold secrets: they are never shown.
#[derive(Clone, PartialEq)]
pub struct Address {
    uri: Uri,
    host: String,
    port: u16,
    tls: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({self})")
    }
}

/// Scheme, host and port: what may be logged.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "wss" } else { "ws" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl Address {
    /// From a bot's config, or what is wrong with it.
    pub(crate) fn parse(
        url: &str,
        headers: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, String> {
        let expected = "agent.url: expected ws://host[:port]/path or wss://…";
        let uri: Uri = url.parse().map_err(|error| format!("{expected}: {error}"))?;
        let tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            Some(other) => return Err(format!("{expected}, found {other}://")),
            None => return Err(format!("{expected}, found no scheme")),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(expected)?.to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let headers = headers.iter().map(|(name, value)| header(name, value));
        let headers = headers.collect::<Result<_, _>>()?;
        Ok(Self { uri, host, port, tls, headers })
    }

    /// Its name, or IP address.
    pub(super) fn host(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    fn request(&self, subprotocol: Option<&'static str>) -> Result<Request, String> {
        let mut request = self.uri.clone().into_client_request().map_err(|e| e.to_string())?;
        let headers = request.headers_mut();
        if let Some(subprotocol) = subprotocol {
            let value = HeaderValue::from_static(subprotocol);
            headers.insert("sec-websocket-protocol", value);
        }
        let own = HeaderValue::from_static(concat!("vox/", env!("CARGO_PKG_VERSION")));
        headers.insert("user-agent", own);
        headers.extend(self.headers.iter().cloned());
        Ok(request)
    }
}

fn header(name: &str, value: &serde_json::Value) -> Result<(HeaderName, HeaderValue), String> {
    let text = match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        _ => return Err(format!("agent.headers.{name}: expected a string")),
    };
    let bad = |_| format!("agent.headers.{name}: not a header that can be sent");
    let known = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("agent.headers.{name}: not a header's name"))?;
    let mut value = HeaderValue::from_str(&text).map_err(bad)?;
    value.set_sensitive(true);
    Ok((known, value))
}

/// Opens it at one of the addresses that its name has, or says in words why not.
pub(super) fn connect(
    address: &Address,
    at: &[IpAddr],
    subprotocol: Option<&'static str>,
    deadline: Instant,
) -> Result<Opened, String> {
    connect_trusting(trust, address, at, subprotocol, deadline)
}

/// `trust` says whose certificates are good.
fn connect_trusting(
    trust: impl FnOnce() -> Result<Arc<ClientConfig>, String>,
    address: &Address,
    at: &[IpAddr],
    subprotocol: Option<&'static str>,
    deadline: Instant,
) -> Result<Opened, String> {
    let tcp = reach(at, address.port, deadline)?;
    let wire = Wire::new(tcp, deadline);
    let stream = match address.tls {
        false => Stream::Plain(wire),
        true => {
            let name = ServerName::try_from(address.host().to_owned())
                .map_err(|error| error.to_string())?;
            let tls = ClientConnection::new(trust()?, name).map_err(|error| error.to_string())?;
            Stream::Tls(Box::new(StreamOwned::new(tls, wire)))
        }
    };
    let request = address.request(subprotocol)?;
    let (mut stream, early) = upgrade(stream, request)?;
    stream.opened().map_err(|error| error.to_string())?;
    Ok(Opened { stream, early })
}

fn reach(at: &[IpAddr], port: u16, deadline: Instant) -> Result<TcpStream, String> {
    let mut why = "its name has no address".to_owned();
    for to in at.iter().map(|&ip| SocketAddr::new(ip, port)) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("no connection in time".into());
        }
        match TcpStream::connect_timeout(&to, left) {
            Ok(tcp) => {
                tcp.set_nodelay(true).map_err(|error| error.to_string())?;
                return Ok(tcp);
            }
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

/// The system's certificates (`SSL_CERT_FILE` names others), read once.
fn trust() -> Result<Arc<ClientConfig>, String> {
    static TRUST: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    TRUST
        .get_or_init(|| {
            let mut roots = RootCertStore::empty();
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err("no trusted certificates here: install ca-certificates".into());
            }
            trusting(roots)
        })
        .clone()
}

fn trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
