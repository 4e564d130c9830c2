mod calling;

use std::net::SocketAddr;
use std::sync::Arc;

use rsipstack::dialog::DialogId;
use rsipstack::sip::headers::{ContentLength, ContentType};
use rsipstack::sip::typed::{Contact, RecordRoute, Route};
use rsipstack::sip::{
    CallId, Header, Headers, HeadersExt, Host, Method, Request, Response, StatusCode,
    ToTypedHeader, Transport, Uri, Version,
};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::transaction::Transaction;
use rsipstack::transaction::{make_via_branch, random_text};
use rsipstack::transport::{SipAddr, SipConnection};

use super::facts::unescape;
use super::invite::cseq;
use super::reply::{ALLOW, SDP};
use super::transport::{Wire, local_ip_towards};
use crate::calls::Destination;
pub(super) use calling::Cancel;

/// Our side of a dialog (RFC 3261 §12): one that a peer's INVITE opened, or that an INVITE of ours
/// may open (`calling`).
#[derive(Clone)]
pub(super) struct Dialog {
    /// Call-ID and both tags.
    pub(super) id: DialogId,
    /// The highest CSeq of the peer so far.
    pub(super) remote_cseq: u32,
    /// Where the peer's requests came from, or where our INVITE went.
    pub(super) peer: SocketAddr,
    /// From of our requests: the address that was called, or that calls, with our tag.
    local: String,
    /// To of our requests: the peer's address, with its tag once there is one.
    remote: String,
    /// Record-Route, our first hop first.
    route_set: Vec<Uri>,
    record_route: Vec<Header>,
    remote_target: Uri,
    local_cseq: u32,
    /// The user part of our address, with its `@`; empty when there is none.
    user: String,
    /// Our own address, as the peer sees it.
    at: SocketAddr,
    /// Our Contact.
    contact: String,
    transport: Transport,
    wire: Wire,
    /// Keeps the TCP connection it came by from being closed as idle.
    _anchor: Option<Arc<dyn Send + Sync>>,
}

impl Dialog {
    /// The dialog that answering `tx` would open; `Err` says what the INVITE lacks.
    pub(super) fn new(
        tx: &Transaction,
        wire: &Wire,
        advertised: SocketAddr,
    ) -> Result<Self, &'static str> {
        let invite = &tx.original;
        let connection = tx.connection.as_ref().ok_or("no connection")?;
        let transport = connection.transport();
        let peer = source(connection, invite).ok_or("unreadable Via")?;
        let mut id =
            DialogId::try_from((invite, TransactionRole::Server)).map_err(|_| "no tag in From")?;
        id.local_tag = random_text(16);
        let contact = contact_uri(invite).ok_or("no usable Contact")?;
        let to = invite.to_header().map_err(|_| "no To")?.value();
        let from = invite.from_header().map_err(|_| "no From")?.value();
        let user = invite.uri.user().map(|user| format!("{user}@")).unwrap_or_default();
        let ip = local_ip_towards(advertised.ip(), peer);
        let at = SocketAddr::new(ip, advertised.port());
        let parameter = if transport == Transport::Tcp { ";transport=tcp" } else { "" };
        let anchor = wire.hold(peer).filter(|_| transport == Transport::Tcp);
        Ok(Self {
            local: format!("{to};tag={}", id.local_tag),
            remote: from.to_owned(),
            remote_cseq: cseq(invite),
            route_set: route_set(&invite.headers),
            record_route: record_route(invite),
            remote_target: contact,
            local_cseq: 0,
            contact: format!("<sip:{user}{at}{parameter}>"),
            user,
            at,
            _anchor: anchor.map(|anchor| anchor as Arc<dyn Send + Sync>),
            wire: wire.clone(),
            id,
            peer,
            transport,
        })
    }

    /// Our address as this peer sees it.
    pub(super) fn local_ip(&self, bound: std::net::IpAddr) -> std::net::IpAddr {
        local_ip_towards(bound, self.peer)
    }

    /// A response to a request of this dialog, with our tag.
    pub(super) fn response(&self, request: &Request, status: StatusCode) -> Response {
        let opens_dialog = request.method == Method::Invite && status.code() > 100;
        let mut headers = Headers::default();
        for header in request.headers.iter() {
            match header {
                Header::Via(_) | Header::From(_) | Header::CallId(_) | Header::CSeq(_) => {
                    headers.push(header.clone());
                }
                Header::To(_) => headers.push(Header::To(self.local.clone().into())),
                _ => {}
            }
        }
        if opens_dialog && status.code() < 300 {
            self.record_route.iter().for_each(|header| headers.push(header.clone()));
            headers.push(Header::Contact(self.contact.clone().into()));
        }
        if status == StatusCode::OK && matches!(request.method, Method::Invite | Method::Update) {
            headers.push(Header::Allow(ALLOW.into()));
            headers.push(Header::Supported("".into()));
        }
        headers.push(Header::Server(SERVER.into()));
        headers.push(Header::ContentLength(ContentLength::from(0)));
        Response {
            status_code: status,
            wire_reason: None,
            version: Version::V2,
            headers,
            body: Vec::new(),
        }
    }

    /// The same with a session description.
    pub(super) fn response_with_sdp(&self, request: &Request, sdp: &str) -> Response {
        let mut response = self.response(request, StatusCode::OK);
        if request.method != Method::Invite {
            response.headers.push(Header::Contact(self.contact.clone().into()));
        }
        response.headers.push(Header::ContentType(ContentType::from(SDP)));
        response.headers.unique_push(Header::ContentLength(ContentLength::from(sdp.len() as u32)));
        response.body = sdp.as_bytes().to_vec();
        response
    }

    /// Takes over where the peer wants our requests from now on (RFC 3261 §12.2.2).
    pub(super) fn refresh_target(&mut self, request: &Request) {
        if let Some(contact) = contact_uri(request) {
            self.remote_target = contact;
        }
    }

    /// A BYE of ours, ready to be sent.
    pub(super) async fn bye(&mut self) -> rsipstack::Result<Transaction> {
        self.prepare(Method::Bye, Vec::new(), Vec::new()).await
    }

    /// A REFER of ours (RFC 3515), ready to be sent, and its CSeq. `refer_to` is the value of its
    /// header field.
    pub(super) async fn refer(
        &mut self,
        refer_to: String,
    ) -> rsipstack::Result<(Transaction, u32)> {
        let headers = vec![
            Header::ReferTo(refer_to.into()),
            // RFC 3892: whoever is called learns who sent the caller.
            Header::ReferredBy(self.contact.clone().into()),
            Header::Contact(self.contact.clone().into()),
        ];
        let tx = self.prepare(Method::Refer, headers, Vec::new()).await?;
        Ok((tx, self.local_cseq))
    }

    /// Numbers are the peer's to resolve: it is asked for them at the address it gave us.
    pub(super) fn refer_to(&self, to: &Destination) -> String {
        match to {
            Destination::Uri(uri) => format!("<{uri}>"),
            Destination::Number(number) => {
                let at = &self.remote_target.host_with_port;
                format!("<sip:{}@{at}>", number.replace('#', "%23"))
            }
        }
    }

    async fn prepare(
        &mut self,
        method: Method,
        headers: Vec<Header>,
        body: Vec<u8>,
    ) -> rsipstack::Result<Transaction> {
        self.local_cseq += 1;
        let (connection, to) = self.next_hop().await?;
        let mut request = self.request(method, self.local_cseq, connection.transport());
        headers.into_iter().for_each(|header| request.headers.push(header));
        request.body = body;
        let key = TransactionKey::from_request(&request, TransactionRole::Client)?;
        let endpoint = self.wire.endpoint();
        let mut tx = Transaction::new_client(key, request, endpoint, Some(connection));
        tx.destination = Some(to);
        Ok(tx)
    }

    /// Where our requests go.
    async fn next_hop(&self) -> rsipstack::Result<(SipConnection, SipAddr)> {
        let next_hop = self.route_set.first().unwrap_or(&self.remote_target).clone();
        let (transport, to) = self.resolve(&next_hop).await;
        let connection = self.wire.connection(transport, to).await?;
        Ok((connection, SipAddr { r#type: Some(transport), addr: to.into() }))
    }

    fn request(&self, method: Method, cseq: u32, transport: Transport) -> Request {
        let via = format!("SIP/2.0/{transport} {};rport{}", self.at, make_via_branch());
        let mut headers = vec![
            Header::Via(via.into()),
            Header::MaxForwards(70.into()),
            Header::From(self.local.clone().into()),
            Header::To(self.remote.clone().into()),
            Header::CallId(CallId::from(self.id.call_id.as_str())),
            Header::CSeq(format!("{cseq} {method}").into()),
        ];
        // Routes are loose: a strict router of RFC 2543 is not catered for.
        headers.extend(
            self.route_set.iter().map(|uri| Header::Route(Route::from(uri.clone()).into())),
        );
        headers.push(Header::UserAgent(SERVER.into()));
        headers.push(Header::ContentLength(ContentLength::from(0)));
        Request {
            method,
            uri: self.remote_target.clone(),
            version: Version::V2,
            headers: headers.into(),
            body: Vec::new(),
        }
    }

    /// Where a URI leads. A name that does not resolve in time leads back to where the INVITE
    /// came from, which is right for phones that write their own name into Contact.
    async fn resolve(&self, uri: &Uri) -> (Transport, SocketAddr) {
        let transport = match SipAddr::try_from(uri).ok().and_then(|address| address.r#type) {
            Some(Transport::Tcp) => Transport::Tcp,
            Some(Transport::Udp) => Transport::Udp,
            _ => self.transport,
        };
        match look_up(uri, self.peer.is_ipv4()).await {
            // Over TCP the peer's own port is not one that it listens on.
            Some(to) if transport == Transport::Tcp && self.route_set.is_empty() => {
                let open = self.wire.hold(self.peer).is_some();
                (transport, if open { self.peer } else { to })
            }
            Some(to) => (transport, to),
            None => (self.transport, self.peer),
        }
    }
}

/// The address of a URI's host.
async fn look_up(uri: &Uri, v4: bool) -> Option<SocketAddr> {
    let port = uri.host_with_port.port.map_or(5060, |port| port.value());
    match &uri.host_with_port.host {
        Host::IpAddr(ip) => Some(SocketAddr::new(*ip, port)),
        Host::Domain(name) => {
            let lookup = tokio::net::lookup_host((name.0.clone(), port));
            let looked_up = tokio::time::timeout(super::RESOLVE_LIMIT, lookup).await;
            looked_up.ok()?.ok()?.find(|to| to.is_ipv4() == v4)
        }
    }
}

/// Who we are.
pub(super) const SERVER: &str = concat!("vox/", env!("CARGO_PKG_VERSION"));

fn contact_uri(message: &impl HeadersExt) -> Option<Uri> {
    let contact: Contact = message.contact_header().ok()?.typed().ok()?;
    Some(unescaped(contact.uri))
}

/// The stack reads the user of a URI as it stands, and escapes it when it writes it.
fn unescaped(mut uri: Uri) -> Uri {
    if let Some(auth) = &mut uri.auth {
        auth.user = unescape(&auth.user);
    }
    uri
}

fn record_route(invite: &Request) -> Vec<Header> {
    invite.headers.iter().filter(|h| matches!(h, Header::RecordRoute(_))).cloned().collect()
}

/// RFC 3261 §12.1.1: a server takes Record-Route in the order it stands, a caller in the reverse one.
fn route_set(headers: &Headers) -> Vec<Uri> {
    let lists = headers.iter().filter_map(|header| match header {
        Header::RecordRoute(list) => RecordRoute::parse_header_list(list.value()).ok(),
        _ => None,
    });
    lists.flatten().map(|route| unescaped(route.uri)).collect()
}

/// Where a request really came from: the stack has written it into the top Via.
pub(super) fn source(connection: &SipConnection, request: &Request) -> Option<SocketAddr> {
    if let Some(remote) = connection.get_remote_addr() {
        return remote.get_socketaddr().ok();
    }
    let (_, at) = SipConnection::parse_target_from_via(request.via_header().ok()?).ok()?;
    at.try_into().ok()
}
