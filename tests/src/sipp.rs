//! SIPp as one party of one call, by a scenario put together from steps.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use voxload::target::owner_of;

use crate::peers::{self, Process};
use crate::wait_for;
use crate::worker::free_port;

/// What SIPp does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Calls: INVITE, its answer, ACK.
    Call,
    /// Waits for a request of this method.
    Get(&'a str),
    /// Waits for a request of this method, in which this regular expression is found.
    GetWith(&'a str, &'a str),
    /// Answers the last request with this status and phrase.
    Answer(&'a str),
    /// Answers the INVITE with this status and phrase, whatever came since.
    AnswerInvite(&'a str),
    /// The same with a session description (PCMU) and a Contact.
    AnswerInviteWithSdp(&'a str),
    /// Reports this status of a REFER, and waits for the answer.
    Report(&'a str),
    /// Waits, in milliseconds.
    Pause(u32),
    /// Hangs up a call of ours: BYE and its answer.
    HangUp,
    /// Gives back the audio that it hears, for as long as it runs.
    Echo,
}

/// A running SIPp.
#[derive(Debug)]
pub struct Sipp {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Sipp {
    /// Starts one that goes through `steps` once; a caller calls `user` at `remote`. `None` when
    /// there is no SIPp.
    pub fn start(
        directory: &Path,
        port: u16,
        user: &str,
        remote: SocketAddr,
        steps: &[Step<'_>],
    ) -> Option<Self> {
        let program = peers::find("sipp")?;
        let address = SocketAddr::new(remote.ip(), port);
        let scenario = directory.join(format!("sipp-{port}.xml"));
        std::fs::write(&scenario, text(steps)).expect("the scenario");
        let mut command = Command::new(program);
        command.arg(remote.to_string()).arg("-sf").arg(&scenario).args(["-s", user]);
        let ip = address.ip().to_string();
        command.args(["-i", &ip, "-mi", &ip, "-p", &port.to_string()]);
        if steps.contains(&Step::Echo) {
            command.arg("-rtp_echo");
        }
        command.args(["-mp", &free_port().to_string(), "-m", "1", "-nostdin"]);
        command.args(["-timeout", "60", "-timeout_error", "-trace_err", "-recv_timeout", "50000"]);
        command.current_dir(directory).stdout(Stdio::null()).stderr(Stdio::null());
        Some(Self { process: listening(&mut command, address), address })
    }

    /// Waits for the end of its scenario.
    ///
    /// # Panics
    /// When something else came than what a step waits for, or nothing.
    pub fn finish(mut self) {
        let status = wait_for("SIPp to end", Duration::from_secs(70), || {
            self.process.0.try_wait().expect("a child of ours")
        });
        assert!(
            status.success(),
            "SIPp at {} saw another call than it expects: {status}",
            self.address
        );
    }
}

/// Starts it until it listens: another's short-lived socket may have a port that was free a moment
/// ago.
fn listening(command: &mut Command, address: SocketAddr) -> Process {
    for _ in 0..BIND_TRIES {
        let mut process = Process::start(command);
        let listens = wait_for("SIPp to listen", Duration::from_secs(10), || {
            match process.0.try_wait().expect("a child of ours") {
                // A scenario may be over before we look.
                Some(status) => Some(status.code() != Some(CANNOT_BIND)),
                None => (owner_of(address) == Some(process.0.id())).then_some(true),
            }
        });
        if listens {
            return process;
        }
    }
    panic!("SIPp could not bind {address} or its media port in {BIND_TRIES} tries")
}

const BIND_TRIES: usize = 5;
/// SIPp's exit status for it: -2.
const CANNOT_BIND: i32 = 254;

fn text(steps: &[Step<'_>]) -> String {
    let mut text =
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<scenario name=\"steps\">\n".to_owned();
    // Numbers of our own requests inside the dialog.
    let mut cseq = 1;
    let mut add = |part: &str| text.push_str(part);
    let mut references = String::new();
    let mut last = "";
    for (nth, step) in steps.iter().enumerate() {
        if let Step::Get(method) | Step::GetWith(method, _) = step {
            last = method;
        }
        // Requests inside the dialog have our tag already.
        let tag = match last {
            "INVITE" | "CANCEL" => ";tag=[pid]SIPpTag[call_number]",
            _ => "",
        };
        match step {
            Step::Call => add(CALL),
            Step::Get(method) => add(&format!("<recv request=\"{method}\"/>\n")),
            Step::GetWith(method, pattern) => {
                let pattern = pattern.replace('<', "&lt;").replace('>', "&gt;");
                add(&format!(
                    "<recv request=\"{method}\"><action><ereg regexp=\"{pattern}\" \
                     search_in=\"msg\" check_it=\"true\" assign_to=\"m{nth}\"/></action></recv>\n"
                ));
                let _ =
                    write!(references, "{}m{nth}", if references.is_empty() { "" } else { "," });
            }
            Step::Answer(status) => {
                add(&send("", &ANSWER.replace("STATUS", status).replace("TAG", tag)));
            }
            Step::AnswerInvite(status) => {
                let answer = ANSWER.replace("[last_CSeq:]", "CSeq: 1 INVITE");
                add(&send("", &answer.replace("STATUS", status).replace("TAG", tag)));
            }
            Step::AnswerInviteWithSdp(status) => {
                add(&send(" retrans=\"500\"", &ANSWER_SDP.replace("STATUS", status)));
            }
            Step::Report(status) => {
                cseq += 1;
                let notify = NOTIFY.replace("STATUS", status).replace("NUMBER", &cseq.to_string());
                add(&send(" retrans=\"500\"", &notify));
                add("<recv response=\"200\"/>\n");
            }
            Step::HangUp => {
                cseq += 1;
                add(&send(" retrans=\"500\"", &BYE.replace("NUMBER", &cseq.to_string())));
                add("<recv response=\"200\"/>\n");
            }
            Step::Echo => {}
            Step::Pause(ms) => add(&format!("<pause milliseconds=\"{ms}\"/>\n")),
        }
    }
    if !references.is_empty() {
        let _ = writeln!(text, "<Reference variables=\"{references}\"/>");
    }
    text + "</scenario>\n"
}

fn send(attributes: &str, message: &str) -> String {
    format!("<send{attributes}><![CDATA[\n{message}\n]]></send>\n")
}

const CALL: &str = r#"<send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]SIPpTag[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=sipp 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
]]></send>
<recv response="100" optional="true"/>
<recv response="180" optional="true"/>
<recv response="200"/>
<send><![CDATA[
ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]SIPpTag[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
"#;

const BYE: &str = "BYE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]SIPpTag[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: NUMBER BYE
Max-Forwards: 70
Content-Length: 0
";

const ANSWER: &str = "SIP/2.0 STATUS
[last_Via:]
[last_From:]
[last_To:]TAG
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0
";

const ANSWER_SDP: &str = "SIP/2.0 STATUS
[last_Via:]
[last_From:]
[last_To:];tag=[pid]SIPpTag[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:desk@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=sipp 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
";

const NOTIFY: &str = "NOTIFY sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]SIPpTag[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: NUMBER NOTIFY
Max-Forwards: 70
Event: refer
Subscription-State: active;expires=60
Content-Type: message/sipfrag
Content-Length: [len]

SIP/2.0 STATUS
";
