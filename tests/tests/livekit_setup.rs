//! `voxcore livekit setup` and `check` against a real LiveKit server with a real Redis.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use vox_tests::backend::{Backend, DID};
use vox_tests::livekit::{KEYS, Server};
use vox_tests::redis::Redis;
use vox_tests::webhooks::Webhooks;
use vox_tests::worker::{Worker, binary};
use vox_tests::{one_at_a_time, wait_for};

/// The number that the stand-in for the Backend knows.
const NUMBER: &str = DID;

/// LiveKit with SIP, as far as there is one without livekit-sip.
struct Sip {
    server: Server,
    _redis: Redis,
}

impl Sip {
    fn start() -> Option<Self> {
        let redis = Redis::start()?;
        let server = Server::start_with(&redis.for_livekit())?;
        Some(Self { server, _redis: redis })
    }

    fn tool(&self) -> Tool {
        Tool::new(&self.server.url)
    }

    fn stored(&self) -> Vec<Value> {
        ["SIP/ListSIPInboundTrunk", "SIP/ListSIPOutboundTrunk", "SIP/ListSIPDispatchRule"]
            .map(|method| self.server.api(method, &json!({}))["items"].take())
            .into()
    }
}

/// `voxcore livekit`, in an environment of its own.
#[derive(Clone)]
struct Tool(Vec<(&'static str, String)>);

impl Tool {
    fn new(url: &str) -> Self {
        let [key, secret] = KEYS;
        Self(vec![
            ("LIVEKIT_URL", url.into()),
            ("LIVEKIT_API_KEY", key.into()),
            ("LIVEKIT_API_SECRET", secret.into()),
            ("LIVEKIT_SIP_AUTH_PASSWORD", "p4ssword".into()),
            ("LIVEKIT_SIP_OUTBOUND_PASSWORD", "p4ssword".into()),
            ("VOXCORE_SOCKET", "/nowhere/voxcore.sock".into()),
        ])
    }

    fn with(&self, name: &'static str, value: &str) -> Self {
        let mut environment = self.0.clone();
        environment.push((name, value.into()));
        Self(environment)
    }

    /// Exit status, and what it says on both ways out. Neither tokens nor passwords.
    fn run(&self, options: &str) -> (i32, String, String) {
        let mut command = Command::new(binary("voxcore"));
        command.arg("livekit").args(options.split_whitespace());
        let output = command.env_clear().envs(self.0.iter().cloned()).output().expect("voxcore");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        for hidden in ["eyJ", "p4ssword", KEYS[1]] {
            assert!(!out.contains(hidden) && !err.contains(hidden), "{options}: {out}{err}");
        }
        (output.status.code().expect("an end of its own"), out, err)
    }

    /// Runs `setup`; which status it ends with, and what it does to what.
    fn setup(&self, options: &str) -> (i32, Vec<(String, String)>) {
        let (status, out, err) = self.run(&format!("setup --json {options}"));
        let summary: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let steps = summary["steps"].as_array().expect("steps").iter();
        (status, steps.map(|step| (text(&step["action"]), text(&step["name"]))).collect())
    }

    /// The piece of this name, as `check` finds it.
    fn piece(&self, options: &str, name: &str) -> (i32, Value) {
        let (status, out, err) = self.run(&format!("check --json {options}"));
        let summary: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        let mut pieces = summary["pieces"].as_array().expect("pieces").iter();
        let piece = pieces.find(|piece| piece["piece"] == name);
        (status, piece.unwrap_or_else(|| panic!("no {name} in {summary}")).clone())
    }

    /// `check` finds this piece in this state, and says this.
    fn finds(&self, options: &str, name: &str, state: &str, says: &str) {
        let (status, piece) = self.piece(options, name);
        assert_eq!(piece["state"], state, "{options}: {piece}");
        let text = format!("{}: {}", piece["found"], piece["remedy"]);
        assert!(text.contains(says), "{options}: {text} does not say {says:?}");
        assert!(status == 1 || !["missing", "wrong"].contains(&state), "{options}: {status}");
    }
}

/// Actions and names, as `setup` tells them.
fn steps(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|&(action, name)| (action.into(), name.into())).collect()
}

/// Gives every request this answer, for as long as the process lives.
fn always(answer: &'static str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Requests are small: one read has the head, and nobody here wants more.
            _ = stream.read(&mut [0; 4_096]);
            _ = write!(
                stream,
                "HTTP/1.1 {answer}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
        }
    });
    format!("http://{address}")
}

#[test]
fn set_up_twice_is_set_up_once_and_what_others_made_stays() {
    let _turn = one_at_a_time();
    let Some(sip) = Sip::start() else { return };
    let tool = sip.tool();
    let theirs = json!({"trunk": {"name": "theirs", "numbers": ["+15105550999"], "metadata": "m"}});
    sip.server.api("SIP/CreateSIPInboundTrunk", &theirs);
    let theirs = json!({"dispatch_rule": {
        "name": "theirs", "metadata": "m", "room_preset": "p",
        "rule": {"dispatch_rule_direct": {"room_name": "lobby", "pin": "77"}},
    }});
    sip.server.api("SIP/CreateSIPDispatchRule", &theirs);
    let before = sip.stored();

    let options = "--number +15105550100 --agent vox --metadata m --auth-user u \
                   --allow-address 203.0.113.0/24 --outbound-address sip.carrier.example:5061 \
                   --outbound-transport tls --outbound-user acme";
    let create = [("create", "vox-inbound"), ("create", "vox-calls"), ("create", "vox-outbound")];
    assert_eq!(tool.setup(&format!("{options} --dry-run")), (3, steps(&create)));
    assert_eq!(sip.stored(), before, "--dry-run");
    assert_eq!(tool.setup(options), (0, steps(&create)));
    let made = sip.stored();
    let keep = [("keep", "vox-inbound"), ("keep", "vox-calls"), ("keep", "vox-outbound")];
    assert_eq!(tool.setup(options), (0, steps(&keep)));
    assert_eq!(tool.setup(&format!("{options} --dry-run")), (0, steps(&keep)));
    assert_eq!(sip.stored(), made, "a second run");
    is_what_was_asked_for(&made);

    let changed = [("change", "vox-inbound"), ("keep", "vox-calls")];
    assert_eq!(tool.setup("--number +15105550100 --number 200"), (0, steps(&changed)));
    let after = sip.stored();
    let ours = of_name(&after[0], "vox-inbound");
    assert_eq!(ours["numbers"], json!(["+15105550100", "200"]));
    assert_eq!(ours["sip_trunk_id"], of_name(&made[0], "vox-inbound")["sip_trunk_id"]);
    assert_eq!(ours["auth_password"], "p4ssword", "what no option mentions stays");
    for (at, kind) in before.iter().enumerate() {
        for theirs in kind.as_array().expect("items") {
            assert_eq!(of_name(&after[at], "theirs"), theirs);
        }
    }
}

/// The names of LiveKit's own API.
fn is_what_was_asked_for(stored: &[Value]) {
    let (trunk, rule) = (of_name(&stored[0], "vox-inbound"), of_name(&stored[2], "vox-calls"));
    assert_eq!((&trunk["numbers"], &trunk["auth_username"]), (&json!([NUMBER]), &json!("u")));
    assert_eq!(trunk["allowed_addresses"], json!(["203.0.113.0/24"]));
    assert_eq!(rule["rule"]["dispatch_rule_individual"]["room_prefix"], "call-");
    assert_eq!(rule["trunk_ids"], json!([trunk["sip_trunk_id"]]));
    let agent = &rule["room_config"]["agents"][0];
    assert_eq!((&agent["agent_name"], &agent["metadata"]), (&json!("vox"), &json!("m")));
    let out = of_name(&stored[1], "vox-outbound");
    assert_eq!(
        (&out["address"], &out["transport"]),
        (&json!("sip.carrier.example:5061"), &json!("SIP_TRANSPORT_TLS"))
    );
    assert_eq!((&out["numbers"], &out["auth_username"]), (&json!([NUMBER]), &json!("acme")));
}

fn of_name<'a>(items: &'a Value, name: &str) -> &'a Value {
    let mut items = items.as_array().expect("items").iter();
    items.find(|item| item["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn what_cannot_be_set_up_is_refused_in_words_and_nothing_is_half_done() {
    let _turn = one_at_a_time();
    let Some(sip) = Sip::start() else { return };
    let tool = sip.tool();
    let says = |tool: &Tool, status: i32, says: &str| {
        let (found, out, err) = tool.run(&format!("setup --number {NUMBER}"));
        assert_eq!(found, status, "{out}{err}");
        assert!(err.contains(says), "{err:?} does not say {says:?}");
    };
    let theirs = json!({"trunk": {"name": "theirs", "numbers": [NUMBER]}});
    sip.server.api("SIP/CreateSIPInboundTrunk", &theirs);
    let before = sip.stored();
    says(&tool, 1, "+15105550100 is at the inbound trunk \"theirs\"");
    assert_eq!(sip.stored(), before);
    says(
        &tool.with("LIVEKIT_API_SECRET", "another-secret-of-32-or-more-characters"),
        1,
        "do not belong together",
    );
    says(&tool.with("LIVEKIT_URL", "ws://127.0.0.1:9"), 1, "LIVEKIT_URL: Connection refused");
    says(&tool.with("LIVEKIT_URL", ""), 64, "LIVEKIT_URL: expected");

    let Some(alone) = Server::start() else { return };
    says(&Tool::new(&alone.url), 1, "runs without Redis, which SIP needs");
    Tool::new(&alone.url).finds("", "sip", "missing", "redis: {address: HOST:6379}");
}

#[test]
fn a_server_that_is_away_late_or_not_ours_is_told() {
    let _turn = one_at_a_time();
    let Some(server) = Server::start() else { return };
    let tool = Tool::new(&server.url);
    tool.finds("", "server", "ok", "answers in");
    tool.finds("", "clock", "ok", "agree");
    tool.finds("", "key", "ok", "devkey is accepted");

    tool.with("LIVEKIT_API_SECRET", "another-secret-of-32-or-more-characters").finds(
        "",
        "key",
        "wrong",
        "has another secret",
    );
    tool.with("LIVEKIT_API_KEY", "stranger").finds("", "key", "wrong", "does not know stranger");
    let away = tool.with("LIVEKIT_URL", "ws://127.0.0.1:9");
    away.finds("", "server", "wrong", "Connection refused");
    for piece in ["clock", "key", "sip", "trunk", "rule", "rooms", "agent"] {
        away.finds("", piece, "unknown", "not asked");
    }
    let gone = always("502 Bad Gateway");
    tool.with("LIVEKIT_URL", &gone).finds("", "server", "wrong", "answers 502");
    let late = always("200 OK\r\nDate: Wed, 01 Jan 2020 00:00:00 GMT");
    tool.with("LIVEKIT_URL", &late).finds("", "clock", "wrong", "behind ours");
}

#[test]
fn each_piece_that_keeps_a_number_from_being_answered_is_told() {
    let _turn = one_at_a_time();
    let Some(sip) = Sip::start() else { return };
    let (tool, of_number) = (sip.tool(), format!("--number {NUMBER}"));
    tool.finds(&of_number, "trunk", "missing", "there is none at all");
    tool.finds("", "trunk", "missing", "there is no inbound trunk");
    assert_eq!(tool.setup(&format!("{of_number} --room-prefix ring")).0, 0);
    tool.finds("--number 999", "trunk", "missing", "they have +15105550100");
    tool.finds(&of_number, "rooms", "wrong", "the Backend acts on rooms call-… only");
    assert_eq!(tool.setup(&of_number).0, 0);
    for (piece, says) in
        [("trunk", "vox-inbound"), ("rule", "vox-calls"), ("rooms", "call-_"), ("agent", "none")]
    {
        tool.finds(&of_number, piece, "ok", says);
    }
    tool.finds("", "trunk", "ok", "has +15105550100");
    tool.with("LIVEKIT_AGENT_NAME", "vox").finds(
        &of_number,
        "agent",
        "missing",
        "dispatches no agent",
    );
    assert_eq!(tool.setup(&format!("{of_number} --agent vox")).0, 0);
    tool.finds(&of_number, "agent", "wrong", "no LIVEKIT_AGENT_NAME");
    tool.finds(&format!("{of_number} --agent box"), "agent", "wrong", "dispatches vox");
    tool.with("LIVEKIT_AGENT_NAME", "vox").finds(&of_number, "agent", "ok", "vox is dispatched");

    // One of somebody else's that LiveKit prefers.
    let trunk_id = of_name(&sip.stored()[0], "vox-inbound")["sip_trunk_id"].clone();
    let pin = json!({"dispatch_rule": {
        "name": "conference", "trunk_ids": [trunk_id],
        "rule": {"dispatch_rule_direct": {"room_name": "lobby", "pin": "77"}},
    }});
    let made = sip.server.api("SIP/CreateSIPDispatchRule", &pin);
    tool.finds(&of_number, "rule", "wrong", "asks callers for a PIN");
    let rule = |id: &Value| json!({"sip_dispatch_rule_id": id});
    sip.server.api("SIP/DeleteSIPDispatchRule", &rule(&made["sip_dispatch_rule_id"]));
    let ours = of_name(&sip.stored()[2], "vox-calls")["sip_dispatch_rule_id"].clone();
    sip.server.api("SIP/DeleteSIPDispatchRule", &rule(&ours));
    tool.finds(&of_number, "rule", "missing", "no rule takes calls for");
}

#[test]
fn backend_and_fleet_are_looked_at_too_and_a_set_up_that_works_ends_with_0() {
    let _turn = one_at_a_time();
    let Some(sip) = Sip::start() else { return };
    let (backend, webhooks) = (Backend::of(json!({"kind": "echo"})), Webhooks::start());
    let worker = Worker::start("", &[]);
    let tool = sip.tool();
    let of_number = format!("--number {NUMBER}");
    assert_eq!(tool.setup(&of_number).0, 0);
    tool.finds(&of_number, "bot", "missing", "VOXBRIDGE_CONFIG_URL");
    tool.finds(&of_number, "fleet", "missing", "/nowhere/voxcore.sock");
    tool.finds(&of_number, "webhook", "unknown", "does not tell where webhooks go");
    tool.finds(&of_number, "sip-process", "unknown", "does not tell whether livekit-sip runs");

    let tool = tool.with("VOXBRIDGE_CONFIG_URL", &backend.config_url());
    tool.with("VOXCORE_SECRET", "wrong").finds(&of_number, "bot", "wrong", "see VOXCORE_SECRET");
    let tool = tool.with("VOXCORE_SECRET", "between-services");
    tool.finds("--number 999", "bot", "missing", "no bot answers 999");
    tool.finds(&of_number, "bot", "ok", "answered by front-desk");

    let hook = format!("--webhook {}", webhooks.url());
    tool.finds(&hook, "webhook", "ok", "takes what devkey signs");
    let stranger = tool.with("LIVEKIT_API_KEY", "stranger");
    stranger.finds(&hook, "webhook", "wrong", "does not believe stranger");
    tool.finds("--webhook http://127.0.0.1:9/", "webhook", "missing", "Connection refused");
    tool.finds(
        &format!("--webhook http://{}/", webhooks.address()),
        "webhook",
        "wrong",
        "answers 404",
    );

    tool.finds(&format!("--sip-health {}", always("200 OK")), "sip-process", "ok", "is healthy");
    let busy = always("503 Service Unavailable");
    tool.finds(&format!("--sip-health {busy}"), "sip-process", "wrong", "answers 503");
    tool.finds("--sip-health http://127.0.0.1:9", "sip-process", "missing", "Connection refused");

    let socket = worker.directory().join("voxcore_1.sock");
    let tool = tool.with("VOXCORE_SOCKET", &socket.display().to_string());
    tool.finds(&of_number, "fleet", "ok", "slots free");
    tool.finds("--agent vox", "registered", "wrong", "has not registered with LiveKit");
    let livekit = [("LIVEKIT_AGENT_NAME", "vox")].into_iter().chain(sip.server.environment());
    let registered = Worker::start("", &livekit.collect::<Vec<_>>());
    wait_for("a registration", Duration::from_secs(10), || {
        registered.metric("vox_livekit_registered").filter(|is_it| *is_it == 1.0)
    });
    let fleet = format!("--agent vox --fleet http://{}", registered.http);
    tool.finds(&fleet, "registered", "ok", "LiveKit offers calls to the worker at");
    let fleet = format!("--fleet http://{}", worker.http);
    let (status, out, err) = tool.run(&format!("check {of_number} {hook} {fleet}"));
    assert_eq!(status, 0, "{out}{err}");
    assert!(
        out.lines().count() == 12 && !out.contains("MISSING") && !out.contains("WRONG"),
        "{out}"
    );
    println!("{out}");
}
