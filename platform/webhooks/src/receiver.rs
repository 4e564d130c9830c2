//! Whether a webhook is what it says it is.

use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Event;
use crate::replay::{Mark, Seen};

/// Verifies webhooks of servers whose API keys it knows.
pub struct Receiver {
    keys: HashMap<String, DecodingKey>,
    seen: Seen,
}

/// Why a webhook is not believed. Says what was expected and what was found; never the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 413: the body is not even hashed.
    #[error("expected a body of up to {BODY_BYTES_MAX} bytes, found {0}")]
    TooLarge(usize),
    /// 401: no token, or none that can be read.
    #[error("Authorization: expected {0}")]
    NoToken(&'static str),
    /// 401: signed for somebody else.
    #[error("Authorization: expected the issuer to be an API key of ours, found {0:?}")]
    UnknownKey(String),
    /// 401: not signed with the secret of the key that it names.
    #[error("Authorization: expected a signature by the secret of {0:?}, found another")]
    Forged(String),
    /// 401: too late, or one of the clocks is wrong.
    #[error("Authorization: expected a token that is valid now, found one that expired {0} s ago")]
    Expired(u64),
    /// 401: too early: one of the clocks is wrong.
    #[error("Authorization: expected a token that is valid now, found one valid in {0} s")]
    NotYetValid(u64),
    /// 401: the token belongs to another body.
    #[error("expected the body whose SHA-256 the token signs, found another")]
    OtherBody,
    /// 400: LiveKit signed it, but we cannot read it.
    #[error("body: {0}")]
    Unreadable(String),
    /// 200: it was acted on already.
    #[error("expected an event for the first time, found {0:?} again")]
    Replayed(String),
}

/// What LiveKit puts into the token. Everything is optional here, so that what is missing can be
/// named.
#[derive(Deserialize)]
struct Claims {
    exp: Option<u64>,
    nbf: Option<u64>,
    sha256: Option<String>,
}

#[derive(Deserialize)]
struct Issuer {
    iss: Option<Value>,
}

impl Receiver {
    /// Knows these API keys, each with its secret, and remembers the last 262,144 events (16 MB):
    /// ten minutes of 430 a second, and tokens expire after five.
    pub fn new<K: Into<String>, S: AsRef<[u8]>>(keys: impl IntoIterator<Item = (K, S)>) -> Self {
        Self::with_capacity(keys, EVENTS_SEEN)
    }

    /// Remembers the last `events` events only.
    pub fn with_capacity<K: Into<String>, S: AsRef<[u8]>>(
        keys: impl IntoIterator<Item = (K, S)>,
        events: usize,
    ) -> Self {
        let keys = keys.into_iter();
        let keys =
            keys.map(|(key, secret)| (key.into(), DecodingKey::from_secret(secret.as_ref())));
        Self { keys: keys.collect(), seen: Seen::new(events) }
    }

    /// Believes a webhook, or says why not.
    ///
    /// `authorization` is the header's value (LiveKit sends the bare JWT, without `Bearer`), `body`
    /// the bytes as they came: the server's spacing differs from event to event, so a body that was
    /// parsed and written again has another hash. `now` is in seconds since 1970.
    pub fn receive(
        &mut self,
        authorization: Option<&str>,
        body: &[u8],
        now: u64,
    ) -> Result<Event, Refusal> {
        if body.len() > BODY_BYTES_MAX {
            return Err(Refusal::TooLarge(body.len()));
        }
        let claims = self.verify(authorization.unwrap_or_default())?;
        let expires = check_time(&claims, now)?;
        check_body(&claims, body)?;
        let event = Event::read(body).map_err(Refusal::Unreadable)?;
        match self.seen.admit(mark(&event.id, body), now, expires) {
            true => Ok(event),
            false => Err(Refusal::Replayed(excerpt(&event.id))),
        }
    }

    /// Takes an event back that could not be acted on, so that the server's next attempt to deliver
    /// it is believed again. The server tries again after an answer of 5xx.
    pub fn forget(&mut self, event: &Event, body: &[u8]) {
        self.seen.forget(&mark(&event.id, body));
    }

    fn verify(&self, token: &str) -> Result<Claims, Refusal> {
        match token.len() {
            0 => return Err(Refusal::NoToken("a bare JWT, found nothing")),
            TOO_LONG.. => return Err(Refusal::NoToken("a JWT of up to 4096 bytes, found more")),
            _ => {}
        }
        // Whose it claims to be decides which secret it is held against; nothing else of it is
        // believed yet.
        let claimed: TokenData<Issuer> = jsonwebtoken::dangerous::insecure_decode(token)
            .map_err(|_| Refusal::NoToken("a bare JWT, found something else"))?;
        let issuer = claimed.claims.iss.as_ref().and_then(Value::as_str).unwrap_or_default();
        let key = self.keys.get(issuer).ok_or_else(|| Refusal::UnknownKey(excerpt(issuer)))?;
        jsonwebtoken::decode::<Claims>(token, key, &signature_only())
            .map_or_else(|error| Err(refusal(error.kind(), issuer)), |verified| Ok(verified.claims))
    }
}

impl Refusal {
    /// The HTTP status to answer with. LiveKit tries again only after 429 and 5xx, which none of
    /// these is.
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLarge(_) => 413,
            Self::Unreadable(_) => 400,
            Self::Replayed(_) => 200,
            _ => 401,
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("keys", &self.keys.keys()).finish_non_exhaustive()
    }
}

/// HS256 and nothing else. Times are checked by [`check_time`], against the caller's clock.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn refusal(kind: &ErrorKind, issuer: &str) -> Refusal {
    match kind {
        ErrorKind::InvalidSignature => Refusal::Forged(excerpt(issuer)),
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
            Refusal::NoToken("a JWT signed with HS256, found another algorithm")
        }
        _ => Refusal::NoToken("a JWT with the claims of a webhook, found others"),
    }
}

/// When the token expires, leeway included; or that it is not valid now.
fn check_time(claims: &Claims, now: u64) -> Result<u64, Refusal> {
    let expires = claims.exp.ok_or(Refusal::NoToken("the claim \"exp\", found none"))?;
    if now > expires.saturating_add(LEEWAY_SECONDS) {
        return Err(Refusal::Expired(now - expires));
    }
    match claims.nbf {
        Some(begins) if begins > now.saturating_add(LEEWAY_SECONDS) => {
            Err(Refusal::NotYetValid(begins - now))
        }
        _ => Ok(expires.saturating_add(LEEWAY_SECONDS)),
    }
}

fn check_body(claims: &Claims, body: &[u8]) -> Result<(), Refusal> {
    let signed = claims.sha256.as_deref();
    let signed = signed.ok_or(Refusal::NoToken("the claim \"sha256\", found none"))?;
    let signed = BASE64_STANDARD
        .decode(signed)
        .map_err(|_| Refusal::NoToken("the claim \"sha256\" in base64, found something else"))?;
    match bool::from(Sha256::digest(body).as_slice().ct_eq(&signed)) {
        true => Ok(()),
        false => Err(Refusal::OtherBody),
    }
}

/// What an event is remembered by: its id, or its body when it has none.
fn mark(id: &str, body: &[u8]) -> Mark {
    let digest = Sha256::digest(if id.is_empty() { body } else { id.as_bytes() });
    let mut mark = Mark::default();
    mark.copy_from_slice(&digest[..size_of::<Mark>()]);
    mark
}

/// Enough of somebody else's text to recognise it by.
fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Room and participant may have 64 kB of metadata and of attributes each; escaped that is more.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// A webhook's token has about 270.
pub const TOKEN_BYTES_MAX: usize = 4_096;
const TOO_LONG: usize = TOKEN_BYTES_MAX + 1;
/// Between the server's clock and ours, either way. LiveKit itself grants 60.
const LEEWAY_SECONDS: u64 = 30;
const EVENTS_SEEN: usize = 1 << 18;
