//! LiveKit's SIP service, which cannot be installed here: captured answers of a real one before a real
//! server for everything else.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use livekit_protocol::{
    CreateSipParticipantRequest, SipParticipantInfo, TransferSipParticipantRequest,
};
use prost::Message as _;
use serde_json::Value;

use crate::http::{Reply, Request, Server};

/// What the worker asks the SIP service for.
#[derive(Debug, Clone)]
pub enum Asked {
    /// To call somebody.
    Call(Box<CreateSipParticipantRequest>),
    /// To send somebody elsewhere.
    Transfer(TransferSipParticipantRequest),
}

/// A LiveKit server with a SIP service.
#[derive(Debug, Clone)]
pub struct SipService {
    server: Server,
    paths: Arc<Mutex<Vec<String>>>,
}

impl SipService {
    /// Stands before `livekit`; `answer` gives the name of the captured answer to each request, when it
    /// is time for it.
    pub fn before(
        livekit: SocketAddr,
        answer: impl Fn(&Asked) -> &'static str + Send + Sync + 'static,
    ) -> Self {
        let paths = Arc::new(Mutex::new(Vec::new()));
        let seen = paths.clone();
        let server = Server::start(move |request: &Request| {
            let path = request.path.split('?').next().unwrap_or_default().to_owned();
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
            let body = request.body.as_slice();
            match path.strip_prefix("/twirp/livekit.SIP/") {
                Some("CreateSIPParticipant") => {
                    let call = CreateSipParticipantRequest::decode(body).expect("a request");
                    replay(answer(&Asked::Call(Box::new(call))))
                }
                Some("TransferSIPParticipant") => {
                    let transfer = TransferSipParticipantRequest::decode(body).expect("a request");
                    replay(answer(&Asked::Transfer(transfer)))
                }
                _ => Reply::By(livekit),
            }
        });
        Self { server, paths }
    }

    /// For `LIVEKIT_URL`.
    pub fn url(&self) -> String {
        format!("ws://{}", self.server.address)
    }

    /// How often `method` (`RoomService/DeleteRoom`) was asked for.
    pub fn count(&self, method: &str) -> usize {
        let path = format!("/twirp/livekit.{method}");
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.iter().filter(|found| **found == path).count()
    }
}

/// The answer as it was captured; what is granted in protobuf, as it was asked for.
fn replay(name: &str) -> Reply {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/livekit/twirp");
    let text = std::fs::read_to_string(directory.join(name).with_extension("json"));
    let captured: Value =
        serde_json::from_str(&text.expect("a captured answer")).expect("captured as JSON");
    let response = &captured["response"];
    let status = response["status"].as_u64().expect("a status") as u16;
    let body = &response["body"];
    match (status, body) {
        (200, body) => {
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            let info = SipParticipantInfo {
                participant_id: text("participant_id"),
                participant_identity: text("participant_identity"),
                room_name: text("room_name"),
                sip_call_id: text("sip_call_id"),
            };
            // The answer to a transfer is empty, and so is one with empty fields.
            Reply::Bytes(200, "application/protobuf", info.encode_to_vec())
        }
        (status, Value::String(text)) => {
            Reply::Bytes(status, "text/plain; charset=utf-8", text.clone().into_bytes())
        }
        (status, body) => Reply::Json(status, body.clone()),
    }
}
