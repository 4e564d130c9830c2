//! The responses of a session: which are under way, and which are to be asked for.

use std::collections::VecDeque;

use serde_json::json;

use super::Out;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Responses {
    /// Under way, oldest first. More than one only when the server makes them so.
    active: VecDeque<String>,
    /// Cancelled: what still comes of them is not played.
    cancelled: VecDeque<String>,
    /// What was asked for last, until it is certain that the server took it.
    asked: Option<Create>,
    /// To be asked for when nothing is under way, oldest first.
    next: VecDeque<Create>,
    /// Asked for so far.
    count: u64,
}

/// A response to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Create {
    /// `None`: to what was said so far, in the model's own words.
    pub(super) instructions: Option<String>,
}

impl Responses {
    /// Asks for a response: now, or when nothing else is under way.
    pub(super) fn ask(&mut self, create: Create, out: &mut dyn Out) {
        // One answer is enough for all that was said until it is made.
        if !self.next.contains(&create) {
            push(&mut self.next, create);
        }
        self.go_on(out);
    }

    /// One is under way, whether we asked for it or not.
    pub(super) fn created(&mut self, id: &str) {
        push(&mut self.active, id.to_owned());
    }

    /// One is done, cancelled or not.
    pub(super) fn done(&mut self, id: Option<&str>, out: &mut dyn Out) {
        let of = |known: &VecDeque<String>| known.iter().position(|known| Some(&**known) == id);
        if let Some(cancelled) = of(&self.cancelled) {
            self.cancelled.remove(cancelled);
        } else {
            // Without a name it can only be the oldest.
            let active = of(&self.active).or(id.is_none().then_some(0));
            active.and_then(|active| self.active.remove(active));
            if self.active.is_empty() {
                self.asked = None;
            }
        }
        self.go_on(out);
    }

    /// Audio comes: whoever sends it without having said that a response is under way is not going
    /// to say so.
    pub(super) fn speaks(&mut self) {
        if self.active.is_empty() {
            self.asked = None;
        }
    }

    /// Cancels what is under way.
    pub(super) fn cancel(&mut self, out: &mut dyn Out) {
        for id in &self.active {
            let cancel = match &**id {
                "" => json!({"type": "response.cancel"}),
                id => json!({"type": "response.cancel", "response_id": id}),
            };
            out.text(&cancel.to_string());
        }
        self.were_cancelled();
    }

    /// The server has cancelled what was under way.
    pub(super) fn were_cancelled(&mut self) {
        if !self.active.is_empty() {
            self.asked = None;
        }
        for id in self.active.drain(..) {
            push(&mut self.cancelled, id);
        }
    }

    /// The server has begun one of its own before it saw ours, which it did not take.
    pub(super) fn not_now(&mut self) {
        self.next.extend(self.asked.take());
        self.next.rotate_right(usize::from(self.next.len() > 1));
    }

    /// The server could not use the message of this id.
    pub(super) fn refused(&mut self, event_id: Option<&str>, out: &mut dyn Out) {
        if self.asked.is_some() && event_id == Some(&event(self.count)) {
            self.asked = None;
            self.go_on(out);
        }
    }

    /// Whether nothing of this response is to be played.
    pub(super) fn is_cancelled(&self, id: Option<&str>) -> bool {
        id.is_some_and(|id| self.cancelled.iter().any(|cancelled| cancelled == id))
    }

    /// Whether none is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    fn go_on(&mut self, out: &mut dyn Out) {
        if !self.active.is_empty() || self.asked.is_some() {
            return;
        }
        let Some(create) = self.next.pop_front() else { return };
        self.count += 1;
        let mut message = json!({"type": "response.create", "event_id": event(self.count)});
        if let Some(instructions) = &create.instructions {
            message["response"] = json!({"instructions": instructions});
        }
        out.text(&message.to_string());
        self.asked = Some(create);
    }
}

/// Our name for the message, by which the server refuses it.
fn event(count: u64) -> String {
    format!("create_{count}")
}

/// The oldest goes when there are too many.
fn push<T>(queue: &mut VecDeque<T>, new: T) {
    if queue.len() == QUEUE_MAX {
        queue.pop_front();
    }
    queue.push_back(new);
}

/// Of responses under way, cancelled and to come: a few more than make sense.
const QUEUE_MAX: usize = 8;
