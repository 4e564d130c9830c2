use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use vox_call::{MediaSession, Reason};

use crate::calls::{AnswerError, CallFacts, Calls, LiveCall, OpenError, Order, Refusal, Slot};

/// What signalling needs of the worker's calls. [`Calls`] is it; tests bring their own.
pub trait Switchboard: Send + Sync + 'static {
    /// A call's place, given back when dropped.
    type Slot: Send + 'static;
    /// An open call.
    type Line: Line;

    /// See [`Calls::admit`].
    fn admit(&self) -> Result<Self::Slot, Refusal>;
    /// See [`Calls::open`].
    fn open(
        &self,
        slot: Self::Slot,
        facts: CallFacts,
    ) -> impl Future<Output = Result<Self::Line, OpenError>> + Send;
}

/// What signalling needs of an open call. [`LiveCall`] is it.
pub trait Line: Send + Sync + 'static {
    /// See [`LiveCall::rtp`].
    fn rtp(&self) -> SocketAddr;
    /// See [`LiveCall::answer`].
    fn answer(&self, media: MediaSession) -> impl Future<Output = Result<(), AnswerError>> + Send;
    /// See [`LiveCall::close`].
    fn close(&self, reason: Reason);
    /// See [`LiveCall::digit_from_signalling`].
    fn digit_from_signalling(&self, digit: char, duration: Duration);
    /// See [`LiveCall::next_order`].
    fn next_order(&mut self) -> impl Future<Output = Order> + Send;
    /// See [`LiveCall::transferred`].
    fn transferred(&self, method: &'static str, outcome: Result<(), String>);
    /// See [`LiveCall::consult`].
    fn consult(&self) -> Result<Self, String>
    where
        Self: Sized;
}

impl Switchboard for Calls {
    type Slot = Slot;
    type Line = LiveCall;

    fn admit(&self) -> Result<Slot, Refusal> {
        Calls::admit(self)
    }

    async fn open(&self, slot: Slot, facts: CallFacts) -> Result<LiveCall, OpenError> {
        Calls::open(self, slot, facts).await
    }
}

impl Line for LiveCall {
    fn rtp(&self) -> SocketAddr {
        LiveCall::rtp(self)
    }

    async fn answer(&self, media: MediaSession) -> Result<(), AnswerError> {
        LiveCall::answer(self, media).await
    }

    fn close(&self, reason: Reason) {
        LiveCall::close(self, reason);
    }

    fn digit_from_signalling(&self, digit: char, duration: Duration) {
        LiveCall::digit_from_signalling(self, digit, duration);
    }

    async fn next_order(&mut self) -> Order {
        LiveCall::next_order(self).await
    }

    fn transferred(&self, method: &'static str, outcome: Result<(), String>) {
        LiveCall::transferred(self, method, outcome);
    }

    fn consult(&self) -> Result<Self, String> {
        LiveCall::consult(self)
    }
}
