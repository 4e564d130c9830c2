//! One call: placed, spoken, heard, followed to its end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;
use vox_codecs::CodecKind;

use crate::capture::Capture;
use crate::measure;
use crate::media::{self, Agreed, SdpError, Stream, StreamEnd, Talker};
use crate::network::Profile;
use crate::report::CallReport;
pub use crate::sip::Transport;
use crate::sip::{Invite, LiveCall, PeerEvent, SipError, UserAgent, source_address};

/// How long a final answer to the INVITE may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long the BYE's answer may take; the call is over for us either way.
const BYE_MAX: Duration = Duration::from_secs(5);

/// What a call shall do.
#[derive(Debug, Clone)]
pub struct CallPlan {
    /// Whom to call, as `sip:user@host[:port]`.
    pub uri: String,
    /// User part of our own address: the caller's number.
    pub caller: String,
    /// Codecs to offer, in order.
    pub codecs: Vec<CodecKind>,
    /// What to say, mono, and its rate in Hz: 8,000, 16,000, 24,000 or 48,000.
    pub speech: (Vec<i16>, u32),
    /// What to press afterwards.
    pub digits: Option<String>,
    /// How long to listen after everything was said.
    pub tail: Duration,
    /// When to hang up at the latest.
    pub limit: Duration,
    /// What lies between our mouth and the wire.
    pub network: Profile,
    /// Whether to keep the packets: [`CallReport::capture`].
    pub capture: bool,
    /// Seed of SSRC, sequence number and timestamp.
    pub seed: u32,
}

/// Why a call could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// It could not be placed, or was refused.
    #[error(transparent)]
    Sip(#[from] SipError),
    /// A socket of its audio failed.
    #[error("{0}: {1}")]
    Socket(&'static str, io::Error),
    /// The answer's SDP cannot be used.
    #[error("{0}")]
    Sdp(#[from] SdpError),
}

/// A SIP phone: one endpoint that can hold several calls.
#[derive(Debug)]
pub struct Phone {
    agent: UserAgent,
    local_ip: IpAddr,
}

impl Phone {
    /// A phone that can reach `peer` (any address of the network to be called).
    pub async fn start(peer: SocketAddr, transport: Transport) -> Result<Self, PhoneError> {
        let local_ip =
            source_address(peer).map_err(|e| PhoneError::Socket("finding our own address", e))?;
        Ok(Self { agent: UserAgent::start(local_ip, transport).await?, local_ip })
    }

    /// Places a call, lives it, hangs up, and reports. `abandon` hangs up early.
    pub async fn call(
        &self,
        plan: CallPlan,
        abandon: CancellationToken,
    ) -> Result<CallReport, PhoneError> {
        let socket = UdpSocket::bind((self.local_ip, 0))
            .await
            .map_err(|e| PhoneError::Socket("binding RTP", e))?;
        let local = socket.local_addr().map_err(|e| PhoneError::Socket("binding RTP", e))?;
        let placed = Instant::now();
        let (mut call, agreed) = self.invite(&plan, local, &abandon).await?;
        let setup = placed.elapsed();
        let rate_hz = agreed.codec.rate_hz();
        let said = media::resample(&plan.speech.0, plan.speech.1, rate_hz);
        let over = abandon.child_token();
        let talk = talk(socket, &plan, agreed, said.clone(), over.clone());
        let (by_peer, end) = {
            tokio::pin!(talk);
            tokio::select! {
                end = &mut talk => (false, end),
                () = until_hung_up(&mut call) => { over.cancel(); (true, talk.await) }
            }
        };
        if !by_peer {
            _ = call.hang_up(BYE_MAX).await;
        }
        Ok(report(&said, agreed, setup, by_peer, end?))
    }

    async fn invite(
        &self,
        plan: &CallPlan,
        local: SocketAddr,
        abandon: &CancellationToken,
    ) -> Result<(LiveCall, Agreed), PhoneError> {
        let mut outgoing = self.agent.place(Invite {
            uri: plan.uri.clone(),
            caller: plan.caller.clone(),
            call_id: format!("{:08x}-{}@{}", plan.seed, local.port(), local.ip()),
            offer: media::offer(local, &plan.codecs).into_bytes(),
        })?;
        let answered = tokio::select! {
            answered = outgoing.answered() => answered,
            () = abandon.cancelled() => {
                outgoing.cancel().await;
                outgoing.answered().await
            }
            () = tokio::time::sleep(ANSWER_MAX) => {
                outgoing.cancel().await;
                return Err(SipError::NoAnswer.into());
            }
        };
        let answer = answered?;
        let call = outgoing.live();
        match media::answer(&answer.body, &plan.codecs) {
            Ok(agreed) => Ok((call, agreed)),
            Err(error) => {
                _ = call.hang_up(BYE_MAX).await;
                Err(error.into())
            }
        }
    }
}

/// A phone keeps the audio it has agreed on: other offers are refused.
async fn until_hung_up(call: &mut LiveCall) {
    while let PeerEvent::Offer(offer) = call.event().await {
        offer.refuse().await;
    }
}

async fn talk(
    socket: UdpSocket,
    plan: &CallPlan,
    agreed: Agreed,
    said: Vec<i16>,
    hung_up: CancellationToken,
) -> Result<StreamEnd, PhoneError> {
    let failed = |e| PhoneError::Socket("connecting RTP", e);
    socket.connect(agreed.remote).await.map_err(failed)?;
    let local = socket.local_addr().map_err(failed)?;
    let stream = Stream {
        socket,
        talker: Talker::new(&agreed, said, plan.digits.as_deref().unwrap_or_default(), plan.seed),
        listener: media::Listener::new(agreed),
        network: plan.network,
        capture: plan.capture.then(|| Capture::new(local, agreed.remote)),
        tail: plan.tail,
        limit: plan.limit,
    };
    stream.run(hung_up).await.map_err(|e| PhoneError::Socket("RTP", e))
}

fn report(
    said: &[i16],
    agreed: Agreed,
    setup: Duration,
    hung_up_by_peer: bool,
    end: StreamEnd,
) -> CallReport {
    let expected = end.heard.packets + end.heard.lost;
    let loss = if expected == 0 { 1.0 } else { end.heard.lost as f64 / expected as f64 };
    CallReport {
        codec: agreed.codec,
        setup,
        said: Duration::from_secs_f64(said.len() as f64 / f64::from(agreed.codec.rate_hz())),
        duration: end.duration,
        round_trip: measure::round_trip(said, &end.recording, agreed.codec.rate_hz()),
        mos: measure::mos(agreed.codec, loss),
        loss,
        sent: end.sent,
        lost_on_purpose: end.lost_on_purpose,
        send_lateness_max: end.send_lateness_max,
        hung_up_by_peer,
        heard: end.heard,
        recording: end.recording,
        capture: end.capture,
    }
}
