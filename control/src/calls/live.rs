use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use vox_call::{CallId, Digits, MediaSession, Reason};
use vox_engine::{Engine, Refused};

/// A call that holds a slot and ports. The signalling side keeps it for as long as its dialog
/// lives; dropping it earlier ends the call as [`Reason::SignallingFailed`].
#[derive(Debug)]
pub struct LiveCall {
    call: CallId,
    rtp: SocketAddr,
    engine: Engine,
    ended: watch::Receiver<Option<Reason>>,
}

impl LiveCall {
    /// Media was agreed. The first time, the agent is built for the codec's rate and starts; later
    /// ones (hold, codec, address) only change the media.
    pub async fn answer(&self, media: MediaSession) -> Result<(), AnswerError> {
        self.engine.answer(self.call, media).map_err(AnswerError::Refused)
    }

    /// Ends the call. Harmless when it is over already; [`ended`](Self::ended) tells when it is.
    pub fn close(&self, reason: Reason) {
        let _ = self.engine.close(self.call, reason);
    }

    /// The caller pressed a key and said so by signalling (SIP INFO). Joins the digits heard in
    /// media: a press that came both ways counts once.
    pub fn digit_from_signalling(&self, digit: char, duration: Duration) {
        let _ = (digit, duration);
    }

    /// Sends digits to the caller.
    pub fn send_digits(&self, digits: &str) -> Result<(), BadDigits> {
        let digits = Digits::new(digits).ok_or(BadDigits::NotDtmf)?;
        self.engine.digits(self.call, digits).map_err(BadDigits::Refused)
    }

    /// Resolves when the call is over, whoever ended it. The signalling then sends BYE, CANCEL or
    /// a final response, when its side is still there.
    pub async fn ended(&mut self) -> Reason {
        match self.ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.unwrap_or(Reason::Fault),
            Err(_) => Reason::WorkerStopped,
        }
    }

    /// The engine's id.
    pub fn call(&self) -> CallId {
        self.call
    }

    /// Where we listen for RTP; RTCP is one port above.
    pub fn rtp(&self) -> SocketAddr {
        self.rtp
    }
}

impl Drop for LiveCall {
    fn drop(&mut self) {
        self.close(Reason::SignallingFailed);
    }
}

/// Why media could not be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The bot's prompt cannot be converted or its agent cannot be built.
    #[error("the bot's agent cannot be built: {0}")]
    Agent(String),
    /// The media engine refused.
    #[error("the media engine refuses: {0}")]
    Refused(Refused),
}

/// Why digits were not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadDigits {
    /// Not 1 to 32 of `0-9 * # A-D`.
    #[error("expected 1 to 32 of 0-9 * # A-D")]
    NotDtmf,
    /// The media engine refused.
    #[error("the media engine refuses: {0}")]
    Refused(Refused),
}
