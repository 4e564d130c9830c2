use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::{OnceCell, mpsc, watch};
use vox_call::pipeline::AgentLine;
use vox_call::{CallId, Digits, MediaSession, Reason};
use vox_codecs::CodecKind;
use vox_engine::Refused;

use super::{Calls, Destination, Order, TransferMode};
use crate::bots::AgentPlan;

/// A call that holds a slot and ports. The signalling side keeps it for as long as its dialog
/// lives; dropping it earlier ends the call as [`Reason::SignallingFailed`].
#[derive(Debug)]
pub struct LiveCall {
    pub(super) call: CallId,
    pub(super) rtp: SocketAddr,
    pub(super) plan: AgentPlan,
    pub(super) calls: Calls,
    pub(super) ended: watch::Receiver<Option<Reason>>,
    pub(super) orders: mpsc::Receiver<(Destination, TransferMode)>,
    /// Set by the first answer.
    pub(super) agent: OnceCell<()>,
}

impl LiveCall {
    /// Media was agreed. The first time, the agent is built for the codec's rate and starts, and so
    /// does the recording; later ones (hold, codec, address) only change the media.
    pub async fn answer(&self, media: MediaSession) -> Result<(), AnswerError> {
        let (codec, hears) = (media.codec(), media.direction.receives());
        let mut brain = None;
        let start = async || {
            brain = self.start(codec).await?;
            Ok(())
        };
        self.agent.get_or_try_init(start).await?;
        self.calls.engine().answer(self.call, media).map_err(AnswerError::Refused)?;
        let digits = self.calls.answered(self.call, codec, hears);
        // A brain may want something the moment it hears of the answer: the call is answered by then.
        if let Some(line) = brain {
            self.calls.start_agent(self.call, line, codec);
        }
        if let Some(digits) = digits {
            self.calls.press(self.call, digits).map_err(AnswerError::Refused)?;
        }
        Ok(())
    }

    /// Attaches the agent; gives the line to a brain that lives elsewhere.
    async fn start(&self, codec: CodecKind) -> Result<Option<AgentLine>, AnswerError> {
        let rate_hz = codec.rate_hz();
        let (agent, line) = match &self.plan {
            AgentPlan::Socket(plan) => {
                let (agent, line) = plan.line(codec);
                (agent, Some(line))
            }
            plan => {
                let agent = self.calls.bots().build(plan, rate_hz).await;
                (agent.map_err(AnswerError::Agent)?, None)
            }
        };
        self.calls.record(self.call, rate_hz);
        self.calls.engine().attach(self.call, agent).map_err(AnswerError::Refused)?;
        Ok(line)
    }

    /// Ends the call. Harmless when it is over already; [`ended`](Self::ended) tells when it is.
    pub fn close(&self, reason: Reason) {
        if let Err(refused) = self.calls.engine().close(self.call, reason) {
            tracing::debug!(call_id = self.call.0, "close: {refused}");
        }
    }

    /// Ends a call that somebody else has answered, as if it had never been: it has no result.
    /// Nobody has heard it yet.
    pub fn withdraw(&self) {
        self.calls.0.table.with(self.call, |entry| entry.withdrawn = true);
        self.close(Reason::CallerCancelled);
    }

    /// The caller pressed a key and said so by signalling (SIP INFO). Joins the digits heard in
    /// media: a press that came both ways counts once.
    pub fn digit_from_signalling(&self, digit: char, duration: Duration) {
        self.calls.digit_from_signalling(self.call, digit, duration);
    }

    /// The caller pressed a key and a telephony socket said so.
    pub fn digit_from_socket(&self, digit: char, duration: Duration) {
        self.calls.digit_from_socket(self.call, digit, duration);
    }

    /// Writes down what happened, for the call's result.
    pub fn note(&self, event: &str, facts: vox_contracts::Object) {
        self.calls.note(self.call, event, facts.into());
    }

    /// Sends digits to the caller.
    pub fn send_digits(&self, digits: &str) -> Result<(), BadDigits> {
        let digits = Digits::new(digits).ok_or(BadDigits::NotDtmf)?;
        self.calls.press(self.call, digits).map_err(BadDigits::Refused)
    }

    /// Resolves when the call is over, whoever ended it. The signalling then sends BYE, CANCEL or
    /// a final response, when its side is still there.
    pub async fn ended(&mut self) -> Reason {
        match self.ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.unwrap_or(Reason::Fault),
            Err(_) => Reason::WorkerStopped,
        }
    }

    /// What the signalling is to do next: end its side, or send the caller somewhere else. Nothing
    /// is lost when the future is dropped.
    pub async fn next_order(&mut self) -> Order {
        let (ended, orders) = (&mut self.ended, &mut self.orders);
        let ended = async {
            match ended.wait_for(Option::is_some).await {
                Ok(reason) => reason.unwrap_or(Reason::Fault),
                Err(_) => Reason::WorkerStopped,
            }
        };
        tokio::select! {
            biased;
            reason = ended => Order::Ended(reason),
            Some((to, mode)) = orders.recv() => Order::Transfer { to, mode },
        }
    }

    /// Changes whenever audio of the bot is dropped unheard: what the caller's side still holds of
    /// it is void, too.
    pub fn cuts(&self) -> watch::Receiver<()> {
        self.calls.cuts(self.call)
    }

    /// What became of a transfer that was ordered: the caller is there, and the call ends as
    /// [`Reason::Transferred`]; or it is not, for a reason in words, and the call goes on. `method`
    /// is how it was done, for the result.
    pub fn transferred(&self, method: &'static str, outcome: Result<(), String>) {
        self.calls.transferred(self.call, method, outcome);
    }

    /// A call of ours to whom this caller is to be handed over, for the attended transfer that was
    /// ordered. It takes a slot, and has no result of its own; `Err` says why there is none.
    pub fn consult(&self) -> Result<Self, String> {
        self.calls.consult(self.call)
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
        if self.ended.borrow().is_none() {
            self.close(Reason::SignallingFailed);
        }
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
