use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tokio::time::Instant;
use vox_contracts::{CallEvent, Object};

/// What happened during a call, for its result.
#[derive(Debug)]
pub(super) struct Journal {
    began: Instant,
    began_at: OffsetDateTime,
    events: Vec<CallEvent>,
    /// Of what others had written down.
    noted: usize,
    noted_bytes: usize,
}

impl Journal {
    pub(super) fn begin() -> Self {
        let began_at = OffsetDateTime::now_utc();
        Self { began: Instant::now(), began_at, events: Vec::new(), noted: 0, noted_bytes: 0 }
    }

    /// Writes down that `event` happens now. `facts` is a JSON object.
    pub(super) fn write(&mut self, event: &str, facts: Value) {
        if self.events.len() >= EVENTS_MAX {
            return;
        }
        let offset = self.elapsed();
        let extra = match facts {
            Value::Object(extra) => extra,
            _ => Object::new(),
        };
        self.events.push(CallEvent {
            event: event.to_owned(),
            timestamp: timestamp(self.began_at + offset),
            offset_ms: millis(offset),
            extra,
        });
    }

    /// Writes down what somebody else wants written, as long as they want little; whether it did.
    pub(super) fn note(&mut self, event: &str, facts: Value) -> bool {
        let bytes = facts.to_string().len();
        if self.noted >= NOTES_MAX || self.noted_bytes + bytes > NOTES_BYTES_MAX {
            return false;
        }
        self.noted += 1;
        self.noted_bytes += bytes;
        self.write(event, facts);
        true
    }

    /// As in the events.
    pub(super) fn now(&self) -> String {
        timestamp(self.began_at + self.elapsed())
    }

    /// Since the call began.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn into_events(self) -> Vec<CallEvent> {
        self.events
    }
}

/// RFC 3339, UTC, milliseconds.
fn timestamp(at: OffsetDateTime) -> String {
    // The format has no part that a UTC time lacks.
    at.format(TIMESTAMP).unwrap_or_default()
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A call's digits and a few dozen others.
const EVENTS_MAX: usize = 2_000;
/// Of these, what a brain has written down,
const NOTES_MAX: usize = 500;
/// and its size as JSON.
pub(super) const NOTES_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        let at = datetime!(2026-01-02 03:04:05.006_7 UTC);
        assert_eq!(timestamp(at), "2026-01-02T03:04:05.006Z");
    }

    #[test]
    fn a_journal_keeps_order_and_is_bounded() {
        let mut journal = Journal::begin();
        journal.write("answered", serde_json::json!({"codec": "PCMU"}));
        for _ in 0..EVENTS_MAX {
            journal.write("digit", Value::Null);
        }
        let events = journal.into_events();
        assert_eq!(events.len(), EVENTS_MAX);
        assert_eq!(
            (events[0].event.as_str(), &events[0].extra["codec"]),
            ("answered", &"PCMU".into())
        );
    }

    #[test]
    fn what_a_brain_has_written_down_is_bounded_and_leaves_room_for_the_rest() {
        let large = Value::from_iter([("text", "x".repeat(NOTES_BYTES_MAX / 2))]);
        for (facts, expected) in [(large, 1), (Value::Null, NOTES_MAX)] {
            let mut journal = Journal::begin();
            let noted = (0..EVENTS_MAX).filter(|_| journal.note("agent_note", facts.clone()));
            assert_eq!(noted.count(), expected);
            journal.write("caller_hung_up", Value::Null);
            assert_eq!(journal.into_events().len(), expected + 1);
        }
    }
}
