use std::net::IpAddr;

use clap::{ArgGroup, Args, ValueEnum};
use livekit_protocol::SipTransport;

use crate::bots::normalised_number;
use crate::config::Secret;

/// What can be asked for on the command line.
#[derive(Debug, Args)]
#[command(
    after_long_help = EXAMPLES,
    group = ArgGroup::new("what").required(true).multiple(true).args(["numbers", "outbound_address"]),
)]
pub struct SetupArgs {
    /// Number that callers dial, as the carrier sends it (+15105550100); again for more
    #[arg(long = "number", value_name = "NUMBER", value_parser = number)]
    numbers: Vec<String>,
    /// What is made is called NAME-inbound, NAME-outbound and NAME-calls; nothing else is touched
    #[arg(long, default_value = "vox", value_parser = name)]
    name: String,
    /// Each call gets a room PREFIX_<caller>_<random>; the Backend acts on rooms call-… only
    #[arg(long, value_name = "PREFIX", default_value = "call-", value_parser = name)]
    room_prefix: String,
    /// Worker protocol: the agent LiveKit dispatches to each call [default: LIVEKIT_AGENT_NAME];
    /// "" for none
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Passed on with each call: the caller's metadata in the room, and the agent's job's
    #[arg(long, value_name = "TEXT")]
    metadata: Option<String>,
    /// Address or network (CIDR) that calls may come from; again for more, "" for any
    #[arg(long = "allow-address", value_name = "ADDRESS", value_parser = address)]
    allow_addresses: Option<Vec<String>>,
    /// The carrier authenticates as this user, with the password in LIVEKIT_SIP_AUTH_PASSWORD; ""
    /// for none
    #[arg(long, value_name = "USER")]
    auth_user: Option<String>,
    /// Calls go out to this carrier: host or host:port
    #[arg(long, value_name = "HOST")]
    outbound_address: Option<String>,
    /// How the carrier is reached
    #[arg(long, value_enum, value_name = "HOW", requires = "outbound_address")]
    outbound_transport: Option<Transport>,
    /// Number that callees see; again for more [default: those of --number]
    #[arg(long = "outbound-number", value_name = "NUMBER", value_parser = number, requires = "outbound_address")]
    outbound_numbers: Vec<String>,
    /// We authenticate as this user, with the password in LIVEKIT_SIP_OUTBOUND_PASSWORD; "" for none
    #[arg(long, value_name = "USER", requires = "outbound_address")]
    outbound_user: Option<String>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// One JSON object instead of lines for people
    #[arg(long)]
    json: bool,
}

/// How a carrier is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::livekit) enum Transport {
    /// LiveKit chooses
    Auto,
    Udp,
    Tcp,
    Tls,
}

/// What the server is to have. `None`: stays as it is, or LiveKit's default where it is new.
#[derive(Debug)]
pub(in crate::livekit) struct Wish {
    pub(super) name: String,
    pub(super) inbound: Option<Inbound>,
    pub(super) outbound: Option<Outbound>,
    pub(super) dry_run: bool,
    pub(super) json: bool,
}

/// An inbound trunk and its rule.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) numbers: Vec<String>,
    pub(super) allow_addresses: Option<Vec<String>>,
    pub(super) auth: Option<Login>,
    pub(super) room_prefix: String,
    /// `Some("")`: none.
    pub(super) agent: Option<String>,
    pub(super) metadata: Option<String>,
}

/// An outbound trunk.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) address: String,
    pub(super) transport: Option<SipTransport>,
    pub(super) numbers: Vec<String>,
    pub(super) auth: Option<Login>,
}

/// Both empty: nobody authenticates.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Secret,
}

impl Wish {
    /// What the options ask for; `agent_name` is what workers register as, `env` gives the
    /// passwords, which command lines should not show.
    pub(in crate::livekit) fn new(
        args: SetupArgs,
        agent_name: Option<String>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let auth = login(args.auth_user, "--auth-user", "LIVEKIT_SIP_AUTH_PASSWORD", &env)?;
        let outbound_auth =
            login(args.outbound_user, "--outbound-user", "LIVEKIT_SIP_OUTBOUND_PASSWORD", &env)?;
        let outbound = args.outbound_address.map(|address| Outbound {
            address,
            transport: args.outbound_transport.map(Transport::on_the_wire),
            numbers: match args.outbound_numbers.is_empty() {
                true => args.numbers.clone(),
                false => args.outbound_numbers,
            },
            auth: outbound_auth,
        });
        if outbound.as_ref().is_some_and(|outbound| outbound.numbers.is_empty()) {
            return Err(
                "--outbound-number: expected the number that callees see, found none".into()
            );
        }
        let inbound = (!args.numbers.is_empty()).then(|| Inbound {
            numbers: args.numbers,
            allow_addresses: args.allow_addresses.map(without_empty),
            auth,
            room_prefix: args.room_prefix,
            agent: args.agent.or(agent_name),
            metadata: args.metadata,
        });
        let (dry_run, json) = (args.dry_run, args.json);
        Ok(Self { name: args.name, inbound, outbound, dry_run, json })
    }
}

impl Transport {
    fn on_the_wire(self) -> SipTransport {
        match self {
            Self::Auto => SipTransport::Auto,
            Self::Udp => SipTransport::Udp,
            Self::Tcp => SipTransport::Tcp,
            Self::Tls => SipTransport::Tls,
        }
    }
}

fn login(
    user: Option<String>,
    option: &str,
    variable: &str,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Option<Login>, String> {
    let Some(user) = user else { return Ok(None) };
    if user.is_empty() {
        return Ok(Some(Login { user, password: Secret::new("") }));
    }
    let password = env(variable).filter(|password| !password.is_empty());
    let password = password
        .ok_or_else(|| format!("{variable}: expected the password of {option}, found nothing"))?;
    Ok(Some(Login { user, password: Secret::new(password) }))
}

fn without_empty(texts: Vec<String>) -> Vec<String> {
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}

fn number(text: &str) -> Result<String, String> {
    let expected = "expected digits, with or without a + before them (+15105550100)";
    normalised_number(text).filter(|number| number.len() <= 16).ok_or_else(|| expected.into())
}

/// Names stand in rooms' names, too.
fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match (1..=64).contains(&text.len()) && text.chars().all(plain) {
        true => Ok(text.into()),
        false => Err("expected 1 to 64 letters, digits, dashes, dots and underscores".into()),
    }
}

fn address(text: &str) -> Result<String, String> {
    let (host, bits) = text.split_once('/').unwrap_or((text, "0"));
    let host: Option<IpAddr> = host.parse().ok();
    let most = host.map_or(0, |host| if host.is_ipv4() { 32 } else { 128 });
    let fits = host.is_some() && bits.parse::<u8>().is_ok_and(|bits| bits <= most);
    match fits || text.is_empty() {
        true => Ok(text.into()),
        false => Err("expected an address or a network like 203.0.113.0/24".into()),
    }
}

const EXAMPLES: &str = "\
Examples:
  A number whose calls the fleet answers (LIVEKIT_URL, _API_KEY and _API_SECRET are set):
    voxcore livekit setup --number +15105550100 --allow-address 203.0.113.0/24

  The same, with LiveKit dispatching the worker called \"vox\", and calls that go out:
    LIVEKIT_SIP_OUTBOUND_PASSWORD=… voxcore livekit setup --number +15105550100 --agent vox \\
        --outbound-address sip.carrier.example --outbound-transport tls --outbound-user acme

  What would a second number change?
    voxcore livekit setup --number +15105550100 --number +15105550101 --dry-run

Run twice it changes nothing. --number and --allow-address say all there are to be; what no option
mentions stays as it is. Another --name makes a set of its own, e.g. one per carrier.

Exit status: 0 done, or nothing to do; 1 failed (what was done until then is shown); 2 wrong options;
3 --dry-run, and there is something to do; 64 wrong configuration.";
