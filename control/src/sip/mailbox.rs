use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rsipstack::dialog::DialogId;
use rsipstack::sip::{Method, Request, Response};
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
}

/// A dialog's place in the table, given back when dropped.
pub(super) struct Registered {
    dialogs: Dialogs,
    id: DialogId,
    asked: (String, String, u32),
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
        Some(Registered { dialogs: self.clone(), id, asked })
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

    /// Dialogs in progress.
    pub(super) fn len(&self) -> usize {
        self.lock().open.len()
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

impl Drop for Registered {
    fn drop(&mut self) {
        let mut table = self.dialogs.lock();
        table.open.remove(&self.id);
        table.asked.remove(&self.asked);
        drop(table);
        self.dialogs.over.notify_waiters();
    }
}

/// Mail waiting for a call's task: it handles each in microseconds, and a peer sends one at a time.
pub(super) const MAILBOX: usize = 16;
