use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rsipstack::dialog::DialogId;
use rsipstack::sip::{HeadersExt, Method, Request, Response, StatusCodeKind};
use rsipstack::transaction::key::TransactionRole;
use rsipstack::transaction::transaction::Transaction;
use tokio::sync::{Notify, mpsc};

use super::invite::cseq;

/// What reaches a call's task from its peer.
pub(super) enum Mail {
    /// A request inside the dialog, to be answered: re-INVITE, BYE, INFO, UPDATE, OPTIONS.
    Request(Box<Transaction>),
    /// The ACK of a 2xx.
    Ack { cseq: u32, request: Box<Request> },
    /// The peer gave up an INVITE that has no final answer yet.
    Cancel,
    /// An answer to an INVITE of ours, provisional or final; one that came again, or from another
    /// branch of a fork, when it is a 2xx. `None` when there is none and none will come.
    Answer(Option<Box<Response>>),
    /// The final answer to a REFER of ours; `None` when there is none.
    Referred { cseq: u32, response: Option<Box<Response>> },
    /// The transaction of an INVITE is over, acknowledged or not.
    InviteOver { cseq: u32 },
}

/// The dialogs in progress. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Dialogs {
    table: Arc<Mutex<Table>>,
    over: Arc<Notify>,
}

#[derive(Default)]
struct Table {
    open: HashMap<DialogId, mpsc::Sender<Mail>>,
    /// Call-ID, From tag and CSeq of every INVITE that opened one of them.
    asked: HashMap<(String, String, u32), DialogId>,
    /// Call-ID and our tag of INVITEs of ours, until their calls are over.
    calling: HashMap<(String, String), Calling>,
}

struct Calling {
    mail: mpsc::Sender<Mail>,
    is_answered: bool,
}

/// A dialog's place in the table, given back when dropped.
pub(super) struct Registered {
    dialogs: Dialogs,
    /// The dialog, once it is there.
    id: Option<DialogId>,
    asked: Option<(String, String, u32)>,
    calling: Option<(String, String)>,
}

/// Why a request could not be handed to its dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undelivered {
    /// There is no such dialog.
    Unknown,
    /// Its mailbox is full.
    Full,
}

impl Dialogs {
    /// Takes a dialog in. `None` when the same INVITE opened one already and came here by another
    /// way too (RFC 3261 §8.2.2.2).
    pub(super) fn register(
        &self,
        id: DialogId,
        cseq: u32,
        mail: mpsc::Sender<Mail>,
    ) -> Option<Registered> {
        let asked = (id.call_id.clone(), id.remote_tag.clone(), cseq);
        let mut table = self.lock();
        if table.asked.contains_key(&asked) {
            return None;
        }
        table.asked.insert(asked.clone(), id.clone());
        table.open.insert(id.clone(), mail);
        drop(table);
        let (dialogs, id, asked) = (self.clone(), Some(id), Some(asked));
        Some(Registered { dialogs, id, asked, calling: None })
    }

    /// Takes an INVITE of ours in: the dialog it opens is to be [confirmed](Registered::confirm).
    pub(super) fn call(&self, id: &DialogId, mail: mpsc::Sender<Mail>) -> Registered {
        let calling = (id.call_id.clone(), id.local_tag.clone());
        let entry = Calling { mail, is_answered: false };
        self.lock().calling.insert(calling.clone(), entry);
        let dialogs = self.clone();
        Registered { dialogs, id: None, asked: None, calling: Some(calling) }
    }

    /// Takes a 2xx to an INVITE of ours that was answered before: it came again, or from another
    /// branch of a fork. The stack knows it no more (RFC 3261 §17.1.1.2). `false` for all others.
    pub(super) fn take_again(&self, response: &Response) -> bool {
        let is_ok = response.status_code.kind() == StatusCodeKind::Successful;
        let method = response.cseq_header().and_then(|cseq| cseq.method());
        if !is_ok || method.ok() != Some(Method::Invite) {
            return false;
        }
        let id = DialogId::try_from((response, TransactionRole::Client));
        let Ok(DialogId { call_id, local_tag, .. }) = id else { return false };
        let table = self.lock();
        let Some(calling) = table.calling.get(&(call_id, local_tag)) else { return false };
        if calling.is_answered {
            // One that is lost here comes again.
            let _ = calling.mail.try_send(Mail::Answer(Some(Box::new(response.clone()))));
        }
        calling.is_answered
    }

    /// Hands a request to its dialog, or back.
    pub(super) fn deliver(
        &self,
        id: &DialogId,
        tx: Box<Transaction>,
    ) -> Result<(), (Undelivered, Box<Transaction>)> {
        let Some(mail) = self.lock().open.get(id).cloned() else {
            return Err((Undelivered::Unknown, tx));
        };
        let back = |mail| match mail {
            Mail::Request(tx) => tx,
            _ => unreachable!("only a request was sent"),
        };
        mail.try_send(Mail::Request(tx)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(mail) => (Undelivered::Full, back(mail)),
            mpsc::error::TrySendError::Closed(mail) => (Undelivered::Unknown, back(mail)),
        })
    }

    /// Whether a request belongs to one of them: it is inside the dialog, or cancels the INVITE that
    /// opened it.
    pub(super) fn knows(&self, request: &Request) -> bool {
        let Ok(id) = DialogId::try_from((request, TransactionRole::Server)) else { return false };
        let table = self.lock();
        match request.method {
            Method::Cancel => table.asked.contains_key(&(id.call_id, id.remote_tag, cseq(request))),
            _ => table.open.contains_key(&id),
        }
    }

    /// Dialogs in progress, those that we try to open included.
    pub(super) fn len(&self) -> usize {
        let table = self.lock();
        table.open.len() + table.calling.values().filter(|it| !it.is_answered).count()
    }

    /// Waits until there are none.
    pub(super) async fn all_over(&self) {
        loop {
            let mut over = std::pin::pin!(self.over.notified());
            over.as_mut().enable();
            if self.len() == 0 {
                return;
            }
            over.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registered {
    /// The INVITE of ours was answered, by this dialog.
    pub(super) fn confirm(&mut self, id: &DialogId, mail: mpsc::Sender<Mail>) {
        let mut table = self.dialogs.lock();
        table.open.insert(id.clone(), mail);
        if let Some(calling) = self.calling.as_ref().and_then(|it| table.calling.get_mut(it)) {
            calling.is_answered = true;
        }
        drop(table);
        self.id = Some(id.clone());
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut table = self.dialogs.lock();
        if let Some(id) = &self.id {
            table.open.remove(id);
        }
        if let Some(asked) = &self.asked {
            table.asked.remove(asked);
        }
        if let Some(calling) = &self.calling {
            table.calling.remove(calling);
        }
        drop(table);
        self.dialogs.over.notify_waiters();
    }
}

/// Mail waiting for a call's task: it handles each in microseconds, and a peer sends one at a time.
pub(super) const MAILBOX: usize = 16;
