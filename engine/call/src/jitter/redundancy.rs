//! Whether to wait for the packet that repairs the one before it.
use std::time::Duration;

use crate::MediaTime;

/// Whether losses come so often that it pays to wait for the packet after them.
#[derive(Debug, Default)]
pub(super) struct Redundancy {
    /// The latest loss that FEC could have helped with.
    lost: Option<MediaTime>,
    until: MediaTime,
}

impl Redundancy {
    /// Losses closer than this are no accident.
    const SPAN: Duration = Duration::from_secs(4);
    const HOLD: Duration = Duration::from_secs(10);

    /// Notes a loss that the packet after it could repair.
    pub(super) fn lost(&mut self, now: MediaTime) {
        if self.lost.is_some_and(|before| now.since(before) < Self::SPAN) {
            self.until = now + Self::HOLD;
        }
        self.lost = Some(now);
    }

    pub(super) fn is_worth_waiting_for(&self, now: MediaTime) -> bool {
        now < self.until
    }
}
