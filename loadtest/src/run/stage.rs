//! What all calls of a run share.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vox_codecs::CodecKind;
use vox_codecs::wav::Wav;

use super::ledger::Ledger;
use super::{RunError, RunPlan};
use crate::generator::{Generator, GeneratorConfig, Markers, Speech, Sweep};
use crate::scenario::{Arrival, Callees, Callers, Scenario, kinds};
use crate::sip::{Transport, UserAgent, resolve, source_address};

/// What all calls of a run share.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) scenario: Scenario,
    pub(super) local: IpAddr,
    pub(super) generator: Generator,
    /// Endpoints that callers take in turn.
    agents: Vec<UserAgent>,
    pub(super) callers_voice: Arc<Speech>,
    pub(super) callees_voice: Arc<Speech>,
    pub(super) ledger: Ledger,
    /// Cancelled when all calls shall end.
    pub(super) ending: CancellationToken,
    /// Calls that may hang up at once when all do.
    pub(super) hang_ups: Semaphore,
    began: OnceLock<Instant>,
}

impl Stage {
    /// Starts threads and sockets, and makes ready what is said.
    pub(super) async fn set(plan: &RunPlan) -> Result<Arc<Self>, RunError> {
        let scenario = &plan.scenario;
        let local = plan.bind.map_or_else(|| own_address(scenario), Ok)?;
        let callers = scenario.callers.as_ref();
        let callees = scenario.callees.as_ref();
        let callers_voice = voice(
            callers.and_then(|callers| callers.speech.as_deref()),
            Sweep::Rising,
            callers.map(codecs_of_callers).unwrap_or_default(),
        );
        let callees_voice = voice(
            callees.and_then(|callees| callees.speech.as_deref()),
            Sweep::Falling,
            callees.map(|callees| kinds(&callees.codecs)).unwrap_or_default(),
        );
        let generator = Generator::start(GeneratorConfig {
            cores: plan.cores.clone(),
            legs_max: legs_max(scenario, plan.cores.len().max(1)),
            bind: local,
        })?;
        let transport = scenario.target.as_ref().map(|target| target.transport);
        Ok(Arc::new(Self {
            scenario: scenario.clone(),
            local,
            generator,
            agents: agents(local, transport).await?,
            callers_voice: callers_voice.await?,
            callees_voice: callees_voice.await?,
            ledger: Ledger::default(),
            ending: CancellationToken::new(),
            hang_ups: Semaphore::new(HANG_UPS_AT_ONCE),
            began: OnceLock::new(),
        }))
    }

    /// The run begins now.
    pub(super) fn begin(&self) {
        self.began.get_or_init(Instant::now);
    }

    /// When it began.
    pub(super) fn began(&self) -> Instant {
        *self.began.get_or_init(Instant::now)
    }

    /// The endpoint of the `nth` call; `None` without callers.
    pub(super) fn agent(&self, nth: u64) -> Option<&UserAgent> {
        self.agents.get((nth % self.agents.len().max(1) as u64) as usize)
    }

    /// Whom the `nth` address of the target is.
    pub(super) fn uri(&self, nth: usize) -> &str {
        let uris = self.scenario.target.as_ref().map_or(&[][..], |target| &target.uris);
        uris.get(nth).map_or("", |called| &called.uri)
    }
}

/// The address that packets to the target leave by, or where callees listen.
fn own_address(scenario: &Scenario) -> Result<IpAddr, RunError> {
    let first = scenario.target.as_ref().and_then(|target| target.uris.first());
    let callees = scenario.callees.as_ref().map(|callees| callees.listen.ip());
    match (first, callees) {
        (Some(called), _) => {
            let peer = resolve(&called.uri)?;
            let failed = |e| crate::sip::SipError::Socket("finding our own address", e);
            Ok(source_address(peer).map_err(failed)?)
        }
        (None, callees) => Ok(callees.unwrap_or(IpAddr::from([127, 0, 0, 1]))),
    }
}

async fn agents(local: IpAddr, transport: Option<Transport>) -> Result<Vec<UserAgent>, RunError> {
    let Some(transport) = transport else { return Ok(Vec::new()) };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut agents = Vec::new();
    for _ in 0..cores.min(AGENTS_MAX) {
        agents.push(UserAgent::start(local, transport).await?);
    }
    Ok(agents)
}

fn codecs_of_callers(callers: &Callers) -> Vec<CodecKind> {
    let offers = callers.offers();
    let changes = callers.change.iter().flat_map(|change| &change.codecs);
    let all = offers.iter().flat_map(|offer| &offer.codecs).chain(changes);
    let mut codecs: Vec<CodecKind> = Vec::new();
    for codec in all {
        if !codecs.contains(&codec.0) {
            codecs.push(codec.0);
        }
    }
    codecs
}

/// What is said: the file's words, or a voice without words. Encoded beforehand, on a thread that
/// may wait.
async fn voice(
    path: Option<&Path>,
    sweep: Sweep,
    codecs: Vec<CodecKind>,
) -> Result<Arc<Speech>, RunError> {
    let path = path.map(Path::to_owned);
    let made = tokio::task::spawn_blocking(move || {
        let (pcm, rate_hz) = match &path {
            Some(path) => {
                read_wav(path).map_err(|problem| RunError::Speech(path.clone(), problem))?
            }
            None => (Speech::synthetic(VOICE_SECONDS, VOICE_HZ), VOICE_HZ),
        };
        let markers = Markers { sweep, ..Markers::default() };
        let speech = Speech::new(pcm, rate_hz, Some(markers));
        speech.prepare(&codecs);
        Ok(Arc::new(speech))
    });
    made.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

fn read_wav(path: &Path) -> Result<(Vec<i16>, u32), String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let wav = Wav::parse(&bytes).map_err(|error| error.to_string())?;
    match wav.rate_hz {
        8_000 | 16_000 | 24_000 | 48_000 => Ok((wav.channel(0), wav.rate_hz)),
        other => Err(format!("its rate is {other} Hz; expected 8000, 16000, 24000 or 48000")),
    }
}

/// Legs that the scenario may need at once. Calls that come at a rate are as many as their rate
/// times their length (Little); the tail of both may be three times that.
fn legs_max(scenario: &Scenario, threads: usize) -> usize {
    let called = |callees: &Callees| callees.calls_max.min(CALLEES_LEGS_MAX);
    let callers = scenario.callers.as_ref().map_or(0, legs_of_callers);
    let callees = scenario.callees.as_ref().map_or(0, called);
    let wanted = callers + callees + LEGS_SPARE;
    (wanted as usize).min(LEGS_OF_THREAD_MAX * threads)
}

fn legs_of_callers(callers: &Callers) -> u64 {
    let at_a_rate = |rate: f64| {
        let length = callers.hold.mean() + callers.patience.0.min(RINGING_USUAL);
        (rate * length.as_secs_f64() * 3.0).ceil() as u64
    };
    match &callers.arrival {
        // Those that are over keep their legs for a moment.
        Arrival::AtOnce { calls, .. } => calls + calls / 4,
        Arrival::Rate(rate) | Arrival::Poisson(rate) => at_a_rate(*rate),
        Arrival::Ramp { from, to, .. } => at_a_rate(from.max(*to)),
        Arrival::Steps(steps) => at_a_rate(steps.iter().map(|step| step.rate).fold(0.0, f64::max)),
        Arrival::Bursts { calls, every } => {
            calls + at_a_rate(*calls as f64 / every.0.as_secs_f64())
        }
    }
}

/// Endpoints that share the callers: more than one reads its socket at a time.
const AGENTS_MAX: usize = 4;
/// Calls that hang up at the same time at the end: a flood of BYEs is no part of the load.
const HANG_UPS_AT_ONCE: usize = 64;
const VOICE_SECONDS: f32 = 20.0;
const VOICE_HZ: u32 = 16_000;
const RINGING_USUAL: Duration = Duration::from_secs(5);
const LEGS_SPARE: u64 = 64;
const CALLEES_LEGS_MAX: u64 = 2_000;
/// What a thread of the generator takes.
const LEGS_OF_THREAD_MAX: usize = 8_000;
