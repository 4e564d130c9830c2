//! What we answer requests with.

use rsipstack::sip::{Header, StatusCode};

/// Methods we take.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY";
/// The body type of offers and answers.
pub(super) const SDP: &str = "application/sdp";
/// Body types of INFO.
pub(super) const DTMF: &str = "application/dtmf-relay, application/dtmf";

/// The event package of transfers (RFC 3515),
pub(super) const REFER_EVENT: &str = "refer";
/// and the body type of its reports.
pub(super) const SIPFRAG: &str = "message/sipfrag";

/// A final answer that is not a success, and why it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<Header>,
    /// For the log: one line, no bodies.
    pub(super) why: String,
}

impl Refused {
    /// `status` with its standard phrase.
    pub(super) fn new(status: u16, why: impl Into<String>) -> Self {
        let status = StatusCode::from(status);
        Self { status, headers: Vec::new(), why: why.into() }
    }

    /// With a header field more.
    pub(super) fn with(mut self, header: Header) -> Self {
        self.headers.push(header);
        self
    }

    /// Come back later (RFC 3261 §20.33).
    pub(super) fn retry_after(self, seconds: u32) -> Self {
        self.with(Header::RetryAfter(seconds.to_string().into()))
    }

    /// A warning in our name (RFC 3261 §20.43).
    pub(super) fn warning(self, code: u16, text: &str) -> Self {
        let text = text.replace(['"', '\\', '\r', '\n'], "'");
        self.with(Header::Warning(format!("{code} vox \"{text}\"").into()))
    }

    /// 400 with a warning that says how.
    pub(super) fn bad_request(why: &str) -> Self {
        Self::new(400, why).warning(399, why)
    }

    /// 405 with what we do take.
    pub(super) fn method_not_allowed(method: impl std::fmt::Display) -> Self {
        Self::new(405, format!("{method} is not taken")).with(Header::Allow(ALLOW.into()))
    }

    /// 415 with what we do read.
    pub(super) fn unsupported_body(found: &str, accepted: &str) -> Self {
        Self::new(415, format!("body of type \"{found}\"")).with(Header::Accept(accepted.into()))
    }

    /// 500 for a request that comes at a bad moment (RFC 3261 §12.2.2, §14.2).
    pub(super) fn out_of_order(why: &str) -> Self {
        Self::new(500, why).retry_after(1)
    }
}

impl From<super::sdp::SdpRefusal> for Refused {
    fn from(refusal: super::sdp::SdpRefusal) -> Self {
        let refused = Self::new(refusal.status(), refusal.to_string());
        match refusal.warning() {
            Some((code, text)) => refused.warning(code, text),
            None => {
                let why = refused.why.clone();
                refused.warning(399, &why)
            }
        }
    }
}
