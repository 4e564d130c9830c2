//! What becomes of a request: a new call, mail for a call in progress, or an answer at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rsipstack::dialog::DialogId;
use rsipstack::sip::{Header, HeadersExt, Method, Request, StatusCode};
use rsipstack::transaction::TransactionReceiver;
use rsipstack::transaction::key::TransactionRole;
use rsipstack::transaction::transaction::Transaction;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Provisional;
use super::border::Switchboard;
use super::call::{CallTask, IncomingCall};
use super::dialog::{Dialog, source};
use super::facts::facts;
use super::invite::{ServerInvite, cseq};
use super::journal::Journal;
use super::mailbox::{Dialogs, MAILBOX, Undelivered};
use super::reply::{ALLOW, Refused, SDP};
use super::sdp::{LocalMedia, MediaPolicy, negotiate};
use super::transport::Wire;
use crate::calls::Refusal;

/// The user agent server: one per endpoint.
pub(super) struct Uas<B> {
    pub(super) board: B,
    pub(super) wire: Wire,
    pub(super) dialogs: Dialogs,
    pub(super) journal: Arc<Journal>,
    pub(super) media: MediaPolicy,
    /// What goes into Contact and SDP; the IP may be unspecified, then it is found per peer.
    pub(super) advertised: SocketAddr,
    /// 64 × T1 (RFC 3261 §17.1.1.1): how long an ACK is waited for.
    pub(super) ack_limit: Duration,
    /// When a caller who still waits for the bot's config is told so.
    pub(super) ring_after: Duration,
    /// With what.
    pub(super) provisional: Provisional,
}

impl<B: Switchboard> Uas<B> {
    /// Takes requests until stopped.
    pub(super) async fn run(
        self: Arc<Self>,
        mut incoming: TransactionReceiver,
        stop: CancellationToken,
    ) {
        loop {
            let tx = tokio::select! {
                () = stop.cancelled() => return,
                tx = incoming.recv() => tx,
            };
            match tx {
                Some(tx) => self.dispatch(tx),
                None => return,
            }
        }
    }

    fn dispatch(self: &Arc<Self>, tx: Transaction) {
        if let Err(refused) = check(&tx.original) {
            return self.refuse(tx, refused);
        }
        let in_dialog = DialogId::try_from((&tx.original, TransactionRole::Server))
            .ok()
            .filter(|id| !id.local_tag.is_empty());
        match (in_dialog, tx.original.method) {
            (Some(id), _) => self.deliver(&id, tx),
            (None, Method::Invite) => self.invite(tx),
            (None, Method::Options) => self.answer(tx, StatusCode::OK, capabilities()),
            (None, _) => self.refuse(tx, Refused::new(481, "no such dialog")),
        }
    }

    fn deliver(self: &Arc<Self>, id: &DialogId, tx: Transaction) {
        if let Err((why, tx)) = self.dialogs.deliver(id, Box::new(tx)) {
            let refused = match why {
                Undelivered::Unknown => Refused::new(481, "no such dialog"),
                Undelivered::Full => Refused::new(503, "call is busy").retry_after(1),
            };
            self.refuse(*tx, refused);
        }
    }

    /// A call begins, or is refused before anything else happens.
    fn invite(self: &Arc<Self>, tx: Transaction) {
        if let Err(refused) = offer(&tx.original).and_then(|offer| self.could_answer(offer)) {
            return self.refuse(tx, refused);
        }
        let dialog = match Dialog::new(&tx, &self.wire, self.advertised) {
            Ok(dialog) => dialog,
            Err(why) => return self.refuse(tx, Refused::bad_request(why)),
        };
        let (mail, mailbox) = mpsc::channel(MAILBOX);
        let Some(registered) =
            self.dialogs.register(dialog.id.clone(), dialog.remote_cseq, mail.clone())
        else {
            return self.refuse(tx, Refused::new(482, "came here by two ways"));
        };
        let slot = match self.board.admit() {
            Ok(slot) => slot,
            Err(Refusal::Full) => {
                return self
                    .refuse(tx, Refused::new(486, "at capacity").retry_after(RETRY_SECONDS));
            }
            Err(Refusal::Draining) => {
                return self.refuse(tx, Refused::new(503, "draining").retry_after(RETRY_SECONDS));
            }
        };
        let facts = facts(&tx.original);
        let invite = ServerInvite::start(tx, mail.clone(), INVITE_LIMIT + self.ack_limit);
        invite.respond(dialog.response(&invite.request, StatusCode::Trying));
        let call = IncomingCall { dialog, invite, mail, mailbox, registered, slot, facts };
        CallTask::start(self.clone(), call);
    }

    /// Whether the offer can be answered at all, asked before a slot is taken.
    fn could_answer(&self, offer: Option<&[u8]>) -> Result<(), Refused> {
        let rtp = SocketAddr::new(self.advertised.ip(), 9);
        let local = LocalMedia { rtp, session_id: 0, version: 0 };
        match offer {
            Some(offer) => negotiate(offer, &self.media, &local).map(drop).map_err(Refused::from),
            None => Ok(()),
        }
    }

    /// Answers with a failure and says so in the log.
    pub(super) fn refuse(&self, tx: Transaction, refused: Refused) {
        self.note(&tx, &refused);
        self.answer(tx, refused.status, refused.headers);
    }

    /// One line about a request that is refused.
    pub(super) fn note(&self, tx: &Transaction, refused: &Refused) {
        let peer = tx.connection.as_ref().and_then(|by| source(by, &tx.original));
        let peer = peer.unwrap_or(UNKNOWN);
        self.journal.refused(peer, refused.status.code(), &refused.why);
    }

    /// Sends the final response and keeps an INVITE's transaction until its ACK.
    pub(super) fn answer(&self, tx: Transaction, status: StatusCode, headers: Vec<Header>) {
        let limit = self.ack_limit + ANSWER_SLACK;
        tokio::spawn(async move { tokio::time::timeout(limit, answer(tx, status, headers)).await });
    }
}

async fn answer(mut tx: Transaction, status: StatusCode, headers: Vec<Header>) {
    if tx.reply_with(status, headers, None).await.is_ok() && tx.original.method == Method::Invite {
        while tx.receive().await.is_some() {}
    }
}

/// What is wrong with a request whatever it is for (RFC 3261 §8.2).
fn check(request: &Request) -> Result<(), Refused> {
    let taken = [
        Method::Invite,
        Method::Bye,
        Method::Options,
        Method::Info,
        Method::Update,
        Method::Notify,
        Method::Ack,
        Method::Cancel,
    ];
    if !taken.contains(&request.method) {
        return Err(Refused::method_not_allowed(request.method));
    }
    let required = request.headers.iter().filter_map(|header| match header {
        Header::Require(value) => Some(value.value()),
        _ => None,
    });
    let required: Vec<&str> = required
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|t| !t.is_empty())
        .collect();
    if !required.is_empty() {
        let unsupported = required.join(", ");
        return Err(Refused::new(420, format!("requires {unsupported}"))
            .with(Header::Unsupported(unsupported.into())));
    }
    if let Some(encoding) = request.headers.iter().find_map(content_encoding) {
        return Err(Refused::unsupported_body(encoding, SDP)
            .with(Header::AcceptEncoding("identity".into())));
    }
    Ok(())
}

fn content_encoding(header: &Header) -> Option<&str> {
    match header {
        Header::ContentEncoding(value) if !value.value().eq_ignore_ascii_case("identity") => {
            Some(value.value())
        }
        _ => None,
    }
}

/// The session description of a request that may carry one.
pub(super) fn offer(request: &Request) -> Result<Option<&[u8]>, Refused> {
    description(request, &request.body)
}

/// The session description of a message that has this body.
pub(super) fn description<'a>(
    message: &impl HeadersExt,
    body: &'a [u8],
) -> Result<Option<&'a [u8]>, Refused> {
    if body.is_empty() {
        return Ok(None);
    }
    let found = content_type(message);
    match found.as_str() {
        SDP => Ok(Some(body)),
        _ => Err(Refused::unsupported_body(&found, SDP)),
    }
}

/// The body's type in lower case, without parameters.
pub(super) fn content_type(message: &impl HeadersExt) -> String {
    let value = message.header_value("Content-Type").unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// What OPTIONS tells (RFC 3261 §11.2).
pub(super) fn capabilities() -> Vec<Header> {
    vec![
        Header::Allow(ALLOW.into()),
        Header::Accept(SDP.into()),
        Header::AcceptEncoding("identity".into()),
        Header::Supported("".into()),
    ]
}

/// The sequence number is below the last one, or the same (RFC 3261 §12.2.2).
pub(super) fn is_old(request: &Request, last: u32) -> bool {
    cseq(request) <= last
}

/// What a refused caller is told to wait, in seconds: a call lasts minutes, a restart seconds.
const RETRY_SECONDS: u32 = 10;
/// From an INVITE to its final answer: the longest config fetch is 10 s, 5 s for the number's
/// lookup and 5 s for the config.
const INVITE_LIMIT: Duration = Duration::from_secs(60);
/// A final answer's transaction is kept a little longer than its own timers.
const ANSWER_SLACK: Duration = Duration::from_secs(2);
/// In the log when a request's source is unknown.
const UNKNOWN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
