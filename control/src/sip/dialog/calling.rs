//! The caller's side of a dialog: before it is there, and how it comes to be (RFC 3261 §12.1.2, §13.2).

use std::net::SocketAddr;
use std::sync::Arc;

use rsipstack::dialog::DialogId;
use rsipstack::sip::headers::{ContentLength, ContentType};
use rsipstack::sip::{
    Header, HeadersExt, Method, Request, Response, Scheme, Transport, Uri, Version,
};
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::random_text;
use rsipstack::transaction::transaction::Transaction;
use rsipstack::transport::{SipAddr, SipConnection};

use super::{Dialog, contact_uri, look_up, route_set, unescaped};
use crate::calls::Destination;
use crate::sip::invite::cseq;
use crate::sip::reply::{ALLOW, SDP};
use crate::sip::transport::{Wire, local_ip_towards};

impl Dialog {
    /// A dialog that calling `to` may open, beside this one and from the same address of ours.
    /// Numbers are called where this peer is, or at the proxy before it. `Err` says why that cannot
    /// be. `advertised` is what goes into Contact; its IP may be unspecified.
    pub(in crate::sip) async fn beside(
        &self,
        to: &Destination,
        advertised: SocketAddr,
    ) -> Result<Self, String> {
        let text = match to {
            Destination::Number(number) => self.number(number),
            Destination::Uri(uri) => match tel(uri) {
                Some(number) => self.number(&number),
                None => uri.clone(),
            },
        };
        let to = Uri::try_from(text.as_str()).map_err(|_| format!("cannot call {text}"))?;
        let to = unescaped(to);
        let transport = match (&to.scheme, SipAddr::try_from(&to).ok().and_then(|at| at.r#type)) {
            (Some(Scheme::Sip), None | Some(Transport::Udp)) => Transport::Udp,
            (Some(Scheme::Sip), Some(Transport::Tcp)) => Transport::Tcp,
            _ => return Err(format!("cannot call {text}: expected sip: over UDP or TCP")),
        };
        let peer = look_up(&to, self.at.is_ipv4()).await;
        let peer = peer.ok_or_else(|| format!("cannot call {text}: its host is not known"))?;
        if peer.is_ipv4() != self.at.is_ipv4() {
            return Err(format!("cannot call {text}: not the IP version that we speak"));
        }
        let at = SocketAddr::new(local_ip_towards(advertised.ip(), peer), advertised.port());
        Ok(Self::calling(&self.wire, &self.user, to, (transport, peer), at))
    }

    fn number(&self, number: &str) -> String {
        let at = &self.route_set.first().unwrap_or(&self.remote_target).host_with_port;
        let parameter = if self.transport == Transport::Tcp { ";transport=tcp" } else { "" };
        format!("sip:{}@{at}{parameter}", number.replace('#', "%23"))
    }

    /// A dialog that calling `to`, which is there, may open. `user` is the user part of our own address
    /// with its `@`, `at` the rest of it as the peer sees it.
    fn calling(
        wire: &Wire,
        user: &str,
        to: Uri,
        (transport, peer): (Transport, SocketAddr),
        at: SocketAddr,
    ) -> Self {
        let local_tag = random_text(16);
        let parameter = if transport == Transport::Tcp { ";transport=tcp" } else { "" };
        let call_id = format!("{}@{}", uuid::Uuid::new_v4(), at.ip());
        Self {
            local: format!("<sip:{user}{at}>;tag={local_tag}"),
            remote: format!("<{to}>"),
            remote_cseq: 0,
            route_set: Vec::new(),
            record_route: Vec::new(),
            remote_target: to,
            local_cseq: 0,
            contact: format!("<sip:{user}{at}{parameter}>"),
            user: user.to_owned(),
            at,
            _anchor: None,
            wire: wire.clone(),
            id: DialogId { call_id, local_tag, remote_tag: String::new() },
            peer,
            transport,
        }
    }

    /// The INVITE, ready to be sent.
    pub(in crate::sip) async fn invite(&mut self, sdp: &str) -> rsipstack::Result<Transaction> {
        let headers = vec![
            Header::Contact(self.contact.clone().into()),
            Header::Allow(ALLOW.into()),
            Header::Accept(SDP.into()),
            Header::ContentType(ContentType::from(SDP)),
        ];
        let tx = self.prepare(Method::Invite, headers, sdp.as_bytes().to_vec()).await?;
        if self.transport == Transport::Tcp {
            self._anchor = self.wire.hold(self.peer).map(|it| it as Arc<dyn Send + Sync>);
        }
        Ok(tx)
    }

    /// The peer answered: the dialog is there (RFC 3261 §12.1.2).
    pub(in crate::sip) fn confirm(&mut self, ok: &Response) -> Result<(), &'static str> {
        let id = DialogId::try_from((ok, TransactionRole::Client)).map_err(|_| "no tag in To")?;
        self.remote = ok.to_header().map_err(|_| "no To")?.value().to_owned();
        self.remote_target = contact_uri(ok).ok_or("no usable Contact")?;
        self.route_set = route_set(&ok.headers);
        self.route_set.reverse();
        self.id = id;
        Ok(())
    }

    /// Acknowledges a 2xx to the INVITE with this number: every time it comes (RFC 3261 §13.2.2.4).
    pub(in crate::sip) async fn ack(&self, cseq: u32) -> rsipstack::Result<()> {
        let (connection, to) = self.next_hop().await?;
        let ack = self.request(Method::Ack, cseq, connection.transport());
        connection.send(ack.into(), Some(&to)).await
    }

    /// The value of a Refer-To by which whoever is referred takes this dialog's peer over (RFC 5589
    /// §7.1). RFC 3891 §3: the tags are named as that peer sees them.
    pub(in crate::sip) fn replacing(&self) -> String {
        let DialogId { call_id, local_tag, remote_tag } = &self.id;
        let replaces = format!("{call_id};to-tag={remote_tag};from-tag={local_tag}");
        let target = Uri { headers: Vec::new(), ..self.remote_target.clone() };
        format!("<{target}?Replaces={}>", escaped(&replaces))
    }
}

/// CANCEL of an INVITE of ours (RFC 3261 §9.1), to be sent when it has to be.
pub(in crate::sip) struct Cancel {
    request: Request,
    endpoint: EndpointInnerRef,
    connection: Option<SipConnection>,
    destination: Option<SipAddr>,
}

impl Cancel {
    pub(in crate::sip) fn of(invite: &Transaction) -> Self {
        let kept = |header: &&Header| {
            matches!(
                header,
                Header::Via(_)
                    | Header::MaxForwards(_)
                    | Header::From(_)
                    | Header::To(_)
                    | Header::CallId(_)
                    | Header::Route(_)
            )
        };
        let original = &invite.original;
        let mut headers: Vec<Header> = original.headers.iter().filter(kept).cloned().collect();
        headers.push(Header::CSeq(format!("{} {}", cseq(original), Method::Cancel).into()));
        headers.push(Header::ContentLength(ContentLength::from(0)));
        let request = Request {
            method: Method::Cancel,
            uri: original.uri.clone(),
            version: Version::V2,
            headers: headers.into(),
            body: Vec::new(),
        };
        Self {
            request,
            endpoint: invite.endpoint_inner.clone(),
            connection: invite.connection.clone(),
            destination: invite.destination.clone(),
        }
    }

    /// Ready to be sent.
    pub(in crate::sip) fn prepare(self) -> Option<Transaction> {
        let key = TransactionKey::from_request(&self.request, TransactionRole::Client).ok()?;
        let mut tx = Transaction::new_client(key, self.request, self.endpoint, self.connection);
        tx.destination = self.destination;
        Some(tx)
    }
}

/// The number of a `tel:` URI, without what people write between digits. Its parameters are for
/// whom it is written, not for a SIP host.
fn tel(uri: &str) -> Option<String> {
    let rest = uri.get(4..).filter(|_| uri[..4].eq_ignore_ascii_case("tel:"))?;
    let number = rest.split(';').next()?;
    Some(number.replace(['-', '.', '(', ')'], ""))
}

/// RFC 3261 §19.1.1: in a header field of a URI, everything but the unreserved is escaped.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            true => escaped.push(char::from(byte)),
            false => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_replaces_says_survives_being_part_of_a_uri() {
        let rows = [
            ("a1-b2", "a1-b2"),
            ("7@192.0.2.1;to-tag=x;from-tag=y", "7%40192.0.2.1%3Bto-tag%3Dx%3Bfrom-tag%3Dy"),
            ("a&b?c=%20 \"<>", "a%26b%3Fc%3D%2520%20%22%3C%3E"),
            ("[::1]/é", "%5B%3A%3A1%5D%2F%C3%A9"),
        ];
        for (text, expected) in rows {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn a_tel_uri_is_called_by_its_number() {
        let rows = [
            ("tel:+49-30-123", Some("+4930123")),
            ("TEL:600;phone-context=x", Some("600")),
            ("sip:600@h", None),
            ("té", None),
        ];
        for (uri, expected) in rows {
            assert_eq!(tel(uri).as_deref(), expected, "{uri}");
        }
    }
}
