//! What a LiveKit server does on request: rooms, their participants, telephone calls.
//!
//! What is asked for goes through the `livekit-api` crate, whose errors carry the answer's `meta`.

use std::fmt;
use std::time::Duration;

use livekit_api::services::room::CreateRoomOptions;
use livekit_api::services::sip::{CreateSIPParticipantOptions, TransferSIPParticipantOptions};
use livekit_api::services::{LiveKitApi, ServerError as ApiError, ServiceError};
use livekit_protocol::participant_info::Kind;
use livekit_protocol::{ParticipantInfo, Room, SipOutboundConfig, SipTransport};
use tokio::time::{sleep, timeout};

use super::claims::is_ours;
use crate::bots::OutboundTrunk;
use crate::config::LivekitConfig;

/// The server's APIs.
#[derive(Debug)]
pub(super) struct Server(LiveKitApi);

/// Whom to call, and through what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dial {
    /// Number or user part.
    pub(super) to: String,
    /// The number that the callee sees; empty: the trunk's own.
    pub(super) from: String,
    pub(super) trunk: Trunk,
}

/// What calls go out through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trunk {
    /// Stored in LiveKit, by id.
    Stored(String),
    /// A carrier that LiveKit does not know.
    Inline { hostname: String, transport: SipTransport },
}

/// Why a request was not granted; never with a token in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerError {
    /// Twirp's code, or `unreachable`.
    pub(super) code: String,
    /// The status of the SIP exchange behind it. The HTTP status and the code say less: `486` and
    /// `480` share theirs.
    pub(super) sip_status: Option<u16>,
    /// In words; the reason phrase where there is a status.
    pub(super) why: String,
}

impl Server {
    pub(super) fn new(config: &LivekitConfig) -> Self {
        let secret = config.api_secret.expose();
        let api = LiveKitApi::with_api_key(&config.url, &config.api_key, secret);
        // One server, whose name is in the configuration: there is no other region to try.
        Self(api.with_failover(false).with_request_timeout(REQUEST_LIMIT))
    }

    pub(super) async fn create_room(&self, room: &str) -> Result<(), ServerError> {
        let options =
            CreateRoomOptions { empty_timeout: EMPTY_SECONDS, ..CreateRoomOptions::default() };
        self.0.room().create_room(room, options).await.map_err(ServerError::of)?;
        Ok(())
    }

    /// Ends a room: whoever is there has to go, and a telephone is hung up. It is no error when there
    /// is none.
    pub(super) async fn delete_room(&self, room: &str) -> Result<(), ServerError> {
        not_there_is_fine(self.0.room().delete_room(room).await)
    }

    /// Puts a participant out; a telephone is hung up at once. It is no error when there is none.
    pub(super) async fn remove(&self, room: &str, identity: &str) -> Result<(), ServerError> {
        not_there_is_fine(self.0.room().remove_participant(room, identity).await)
    }

    /// Hangs up every telephone in `room` unless it is answered, and waits for a moment for one to come.
    pub(super) async fn turn_away(&self, room: &str) {
        let turned = timeout(TURN_AWAY_LIMIT, async {
            loop {
                let people = self.people(room).await?;
                // Another worker has answered meanwhile.
                if people.iter().any(is_ours) {
                    return Ok::<_, ServerError>(());
                }
                let phones = people.iter().filter(|them| them.kind() == Kind::Sip);
                let phones: Vec<_> = phones.map(|them| &them.identity).collect();
                for phone in &phones {
                    self.remove(room, phone).await?;
                }
                if !phones.is_empty() {
                    return Ok(());
                }
                sleep(TURN_AWAY_PAUSE).await;
            }
        });
        match turned.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(room, "a caller may be left ringing: {error}"),
            Err(_) => tracing::info!(room, "no telephone is there to be turned away"),
        }
    }

    /// Whether a dispatch to `room` has not been deleted.
    pub(super) async fn is_dispatched(
        &self,
        room: &str,
        dispatch_id: &str,
    ) -> Result<bool, ServerError> {
        match self.0.agent_dispatch().get_dispatch(dispatch_id, room).await.map_err(ServerError::of)
        {
            Err(error) if error.code == NOT_FOUND => Ok(false),
            found => Ok(found?.is_some()),
        }
    }

    /// Calls somebody into `room` and waits for the answer, for [`RING_LIMIT`] at most.
    pub(super) async fn dial(
        &self,
        dial: Dial,
        room: String,
        identity: String,
    ) -> Result<(), ServerError> {
        let (trunk_id, trunk) = match dial.trunk {
            Trunk::Stored(id) => (id, None),
            Trunk::Inline { hostname, transport } => {
                let config = SipOutboundConfig {
                    hostname,
                    transport: transport.into(),
                    ..SipOutboundConfig::default()
                };
                (String::new(), Some(config))
            }
        };
        let options = CreateSIPParticipantOptions {
            participant_identity: identity,
            participant_name: Some(format!("Phone {}", dial.to)),
            sip_number: Some(dial.from),
            wait_until_answered: Some(true),
            ringing_timeout: Some(RING_LIMIT),
            timeout: Some(RING_LIMIT + ANSWER_MARGIN),
            ..CreateSIPParticipantOptions::default()
        };
        let sip = self.0.sip();
        let dialled = sip.create_sip_participant(trunk_id, dial.to, room, options, trunk).await;
        dialled.map(|_| ()).map_err(ServerError::of)
    }

    /// Has a telephone go to `to`, a `tel:` or `sip:` URI, by REFER, and waits for the outcome.
    pub(super) async fn refer(
        &self,
        room: String,
        identity: String,
        to: String,
    ) -> Result<(), ServerError> {
        let options = TransferSIPParticipantOptions {
            ringing_timeout: Some(REFER_LIMIT),
            ..TransferSIPParticipantOptions::default()
        };
        let sip = self.0.sip();
        sip.transfer_sip_participant(room, identity, to, options).await.map_err(ServerError::of)
    }

    /// The rooms that there are.
    pub(super) async fn rooms(&self) -> Result<Vec<Room>, ServerError> {
        self.0.room().list_rooms(Vec::new()).await.map_err(ServerError::of)
    }

    /// Who is in a room, which need not be there.
    pub(super) async fn people(&self, room: &str) -> Result<Vec<ParticipantInfo>, ServerError> {
        let people = timeout(LOOK_LIMIT, self.0.room().list_participants(room)).await;
        let late = |_| ServerError::without("unreachable", "no answer in time");
        match people.map_err(late)?.map_err(ServerError::of) {
            Err(error) if error.code == NOT_FOUND => Ok(Vec::new()),
            people => people,
        }
    }
}

impl Trunk {
    /// What the Backend's answer means.
    pub(super) fn of(found: &OutboundTrunk) -> Result<Self, String> {
        if !found.trunk_id.is_empty() {
            return Ok(Self::Stored(found.trunk_id.clone()));
        }
        if found.sip_address.is_empty() {
            return Err("the Backend's trunk has neither trunk_id nor sip_address".into());
        }
        let transport = match found.transport.as_str() {
            "" | "auto" => SipTransport::Auto,
            "udp" => SipTransport::Udp,
            "tcp" => SipTransport::Tcp,
            "tls" => SipTransport::Tls,
            other => {
                return Err(format!("transport: expected auto, udp, tcp or tls, found {other}"));
            }
        };
        Ok(Self::Inline { hostname: found.sip_address.clone(), transport })
    }
}

impl fmt::Display for Trunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Stored(name) | Self::Inline { hostname: name, .. }) = self;
        f.write_str(name)
    }
}

impl ServerError {
    fn of(error: ServiceError) -> Self {
        match error {
            ServiceError::Twirp(ApiError::Twirp(answer)) => {
                let status = answer.meta.get("sip_status_code").and_then(|code| code.parse().ok());
                let phrase = answer.meta.get("sip_status").filter(|_| status.is_some());
                let why = phrase.unwrap_or(&answer.msg).chars().take(WORDS).collect();
                Self { code: answer.code, sip_status: status, why }
            }
            // A key or secret that is not the server's is answered in plain text, with the token in it.
            ServiceError::Twirp(ApiError::Request(error)) if error.is_decode() => Self::without(
                "unreadable",
                "the server's answer is no Twirp: wrong key or secret, or no LiveKit there",
            ),
            ServiceError::Twirp(ApiError::Request(error)) if error.is_timeout() => {
                Self::without("unreachable", "no answer in time")
            }
            ServiceError::Twirp(ApiError::Request(error)) => {
                Self::without("unreachable", &innermost(&error))
            }
            error => Self::without("unreadable", &error.to_string()),
        }
    }

    /// Something of ours fell over.
    pub(super) fn fault(why: &dyn fmt::Display) -> Self {
        Self::without("fault", &why.to_string())
    }

    fn without(code: &str, why: &str) -> Self {
        Self { code: code.to_owned(), sip_status: None, why: why.to_owned() }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sip_status {
            Some(status) => write!(f, "{status} {}", self.why),
            None => write!(f, "{}: {}", self.code, self.why),
        }
    }
}

fn not_there_is_fine(done: Result<(), ServiceError>) -> Result<(), ServerError> {
    match done.map_err(ServerError::of) {
        Err(error) if error.code != NOT_FOUND => Err(error),
        _ => Ok(()),
    }
}

/// The innermost cause says what a person can act on ("connection refused").
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Twirp's code for what is not there.
const NOT_FOUND: &str = "not_found";
/// Of an answer's words.
const WORDS: usize = 200;

/// For what does not call anybody.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// Of a look into a room: a caller waits meanwhile.
const LOOK_LIMIT: Duration = Duration::from_secs(1);
/// A telephone may ring for so long (contract §1.3).
pub(super) const RING_LIMIT: Duration = Duration::from_secs(45);
/// For the server to say so, after that.
const ANSWER_MARGIN: Duration = Duration::from_secs(5);
/// For a transfer's target to answer. LiveKit's own limit is the same.
const REFER_LIMIT: Duration = Duration::from_secs(30);
/// A room that nobody came to is gone after that.
const EMPTY_SECONDS: u32 = 60;
/// For a telephone to come that is to be turned away: the word of it may be faster than itself.
const TURN_AWAY_LIMIT: Duration = Duration::from_secs(5);
const TURN_AWAY_PAUSE: Duration = Duration::from_millis(250);

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What a real server's answer means that was captured.
    pub(in crate::livekit) fn captured(name: &str) -> ServerError {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/livekit/twirp");
        let text = std::fs::read_to_string(format!("{dir}/{name}.json")).unwrap();
        let captured: serde_json::Value = serde_json::from_str(&text).unwrap();
        let body = serde_json::from_value(captured["response"]["body"].clone()).unwrap();
        ServerError::of(ServiceError::Twirp(ApiError::Twirp(body)))
    }

    #[test]
    fn an_errors_status_is_the_metas_and_nothing_elses() {
        let answer = |body: &str| {
            ServerError::of(ServiceError::Twirp(ApiError::Twirp(
                serde_json::from_str(body).unwrap(),
            )))
        };
        let rows = [
            (
                r#"{"code":"resource_exhausted","msg":"m","meta":{"sip_status_code":"486"}}"#,
                Some(486),
            ),
            (
                r#"{"code":"resource_exhausted","msg":"m","meta":{"sip_status_code":"480"}}"#,
                Some(480),
            ),
            (r#"{"code":"canceled","msg":"m"}"#, None),
            (r#"{"code":"x","msg":"m","meta":{"sip_status_code":"no number"}}"#, None),
            (r#"{"code":"x","msg":"sip status: 486","meta":{"sip_status":"Busy Here"}}"#, None),
        ];
        for (body, expected) in rows {
            assert_eq!(answer(body).sip_status, expected, "{body}");
        }
        let long = format!(r#"{{"code":"x","msg":"{}"}}"#, "m".repeat(5_000));
        assert!(answer(&long).why.len() <= WORDS);
    }

    #[test]
    fn a_trunk_is_stored_or_a_carriers_address() {
        let inline = |transport: &str| OutboundTrunk {
            sip_address: "sip.carrier.example:5060".into(),
            transport: transport.into(),
            ..OutboundTrunk::default()
        };
        let stored = OutboundTrunk { trunk_id: "ST_1".into(), ..inline("tls") };
        assert_eq!(Trunk::of(&stored), Ok(Trunk::Stored("ST_1".into())));
        let hostname = || "sip.carrier.example:5060".to_owned();
        for (transport, expected) in [
            ("", SipTransport::Auto),
            ("auto", SipTransport::Auto),
            ("udp", SipTransport::Udp),
            ("tcp", SipTransport::Tcp),
            ("tls", SipTransport::Tls),
        ] {
            let expected = Trunk::Inline { hostname: hostname(), transport: expected };
            assert_eq!(Trunk::of(&inline(transport)), Ok(expected), "{transport}");
        }
        assert!(Trunk::of(&inline("pigeon")).unwrap_err().contains("pigeon"));
        assert!(Trunk::of(&OutboundTrunk::default()).unwrap_err().contains("neither"));
    }
}
