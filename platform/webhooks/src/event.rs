//! What a webhook says. Protojson in camelCase: enums are names, 64-bit numbers are strings.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// One event. Absent text fields are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `EV_…`, the same for every attempt to deliver it.
    pub id: String,
    /// `participant_joined`, `room_finished`, … or a name that came up since.
    pub event: String,
    /// Seconds since 1970 on the server's clock.
    pub created_at: Option<i64>,
    /// Where it happened; only `sid` and `name` in events of tracks.
    pub room: Option<Room>,
    /// Who it is about; only `sid` and `identity` in events of tracks.
    pub participant: Option<Participant>,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// `RM_…`, another one each time that a room of this name opens.
    pub sid: String,
    /// Its name.
    pub name: String,
    /// What the dispatch rule's `room_config` gave it.
    pub metadata: String,
}

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// `PA_…`
    pub sid: String,
    /// Unique in the room; `sip_+1510…` of a SIP call.
    pub identity: String,
    /// Its name for people.
    pub name: String,
    /// `SIP`, `AGENT`, `STANDARD` (also when absent), …; a kind without a name is its number.
    pub kind: String,
    /// `ACTIVE`, `DISCONNECTED`, …
    pub state: String,
    /// What the dispatch rule or the token gave it.
    pub metadata: String,
    /// `sip.*` and whatever else.
    pub attributes: BTreeMap<String, String>,
    /// Why it left: `CLIENT_INITIATED`, `USER_REJECTED`, …
    pub disconnect_reason: String,
}

/// A caller who waits in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundCall<'a> {
    /// The room's name.
    pub room: &'a str,
    /// The caller's identity there.
    pub identity: &'a str,
    /// `SCL_…`; empty when the server gives none.
    pub call_id: &'a str,
    /// Who calls; empty when the dispatch rule hides numbers.
    pub caller: &'a str,
    /// Which of our numbers was dialled; empty when the dispatch rule hides numbers.
    pub dialed: &'a str,
    /// `ST_…`
    pub trunk_id: &'a str,
    /// `SDR_…`
    pub rule_id: &'a str,
}

impl Event {
    /// Reads a body; says what was expected where it cannot.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let fields: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| format!("expected a JSON object, found {error}"))?;
        let event = text(&fields, "event");
        if event.is_empty() {
            return Err("expected the name of an event under \"event\", found none".into());
        }
        Ok(Self {
            id: text(&fields, "id"),
            event,
            created_at: integer(&fields, "createdAt"),
            room: fields.get("room").and_then(Value::as_object).map(Room::of),
            participant: fields.get("participant").and_then(Value::as_object).map(Participant::of),
        })
    }

    /// The call that begins with this event: a SIP participant joined whom a dispatch rule brought
    /// in. One that we dial has no rule, begins as `dialing`, and is somebody else's business.
    pub fn inbound_call(&self) -> Option<InboundCall<'_>> {
        let (room, caller) = (self.room.as_ref()?, self.participant.as_ref()?);
        let rule_id = caller.attribute("sip.ruleID");
        let is_over = matches!(caller.attribute("sip.callStatus"), "dialing" | "hangup");
        let joined = self.event == "participant_joined" && caller.is_sip();
        (joined && !rule_id.is_empty() && !is_over && !room.name.is_empty()).then(|| InboundCall {
            room: &room.name,
            identity: &caller.identity,
            call_id: caller.attribute("sip.callID"),
            caller: caller.attribute("sip.phoneNumber"),
            dialed: caller.attribute("sip.trunkPhoneNumber"),
            trunk_id: caller.attribute("sip.trunkID"),
            rule_id,
        })
    }
}

impl Room {
    fn of(fields: &Map<String, Value>) -> Self {
        let text = |name| text(fields, name);
        Self { sid: text("sid"), name: text("name"), metadata: text("metadata") }
    }
}

impl Participant {
    /// Whether this is a telephone, in either direction.
    pub fn is_sip(&self) -> bool {
        self.kind == "SIP"
    }

    /// An attribute; empty when it is not there.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    fn of(fields: &Map<String, Value>) -> Self {
        let attributes = fields.get("attributes").and_then(Value::as_object);
        let texts = attributes.into_iter().flatten().filter_map(|(name, value)| {
            value.as_str().map(|value| (name.clone(), value.to_owned()))
        });
        let kind = text(fields, "kind");
        Self {
            sid: text(fields, "sid"),
            identity: text(fields, "identity"),
            name: text(fields, "name"),
            kind: if kind.is_empty() { "STANDARD".into() } else { kind },
            state: text(fields, "state"),
            metadata: text(fields, "metadata"),
            attributes: texts.collect(),
            disconnect_reason: text(fields, "disconnectReason"),
        }
    }
}

/// A string, or a number as one: protojson writes an enum value without a name as its number.
fn text(fields: &Map<String, Value>, name: &str) -> String {
    match fields.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn integer(fields: &Map<String, Value>, name: &str) -> Option<i64> {
    match fields.get(name)? {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}
