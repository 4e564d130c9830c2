//! The SIP side: places a call and follows it to its end.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rsipstack::EndpointBuilder;
use rsipstack::dialog::dialog::{DialogState, DialogStateReceiver};
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::dialog::invitation::InviteOption;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{Response, Uri};
use rsipstack::transaction::TransactionReceiver;
use rsipstack::transaction::endpoint::Endpoint;
use rsipstack::transport::TransportLayer;
use rsipstack::transport::udp::UdpConnection;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;
use vox_codecs::CodecKind;

use crate::capture::Capture;
use crate::measure;
use crate::media::{self, Agreed, SdpError, Stream, StreamEnd, Talker};
use crate::network::Profile;
use crate::report::CallReport;

/// How long a final answer to the INVITE may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long the BYE's answer may take; the call is over for us either way.
const BYE_MAX: Duration = Duration::from_secs(5);

/// How SIP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// UDP.
    #[default]
    Udp,
    /// TCP.
    Tcp,
}

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
    /// The address cannot be called.
    #[error("{0:?} cannot be called: expected sip:user@host[:port]")]
    BadUri(String),
    /// A socket failed.
    #[error("{0}: {1}")]
    Socket(&'static str, io::Error),
    /// The SIP stack failed.
    #[error("SIP: {0}")]
    Sip(#[from] rsipstack::Error),
    /// The other side refused.
    #[error("refused with {status} {reason}{}", after.map(|s| format!(", retry after {s} s")).unwrap_or_default())]
    Refused {
        /// SIP status code.
        status: u16,
        /// Its phrase.
        reason: String,
        /// `Retry-After`, when sent.
        after: Option<u32>,
    },
    /// No final answer came.
    #[error("no answer: is a SIP server listening there?")]
    NoAnswer,
    /// The answer's SDP cannot be used.
    #[error("{0}")]
    Sdp(#[from] SdpError),
}

/// A SIP phone: one endpoint that can hold several calls.
pub struct Phone {
    dialogs: Arc<DialogLayer>,
    contact: Uri,
    local_ip: IpAddr,
    transport: Transport,
    stop: CancellationToken,
}

impl std::fmt::Debug for Phone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Phone").field("contact", &self.contact.to_string()).finish_non_exhaustive()
    }
}

impl Phone {
    /// A phone that can reach `peer` (any address of the network to be called).
    pub async fn start(peer: SocketAddr, transport: Transport) -> Result<Self, PhoneError> {
        let local_ip =
            source_address(peer).map_err(|e| PhoneError::Socket("finding our own address", e))?;
        let stop = CancellationToken::new();
        let layer = TransportLayer::new(stop.clone());
        let local = SocketAddr::new(local_ip, 0);
        let udp = UdpConnection::create_connection(local, None, Some(stop.child_token())).await?;
        layer.add_transport(udp.into());
        let endpoint = EndpointBuilder::new()
            .with_cancel_token(stop.clone())
            .with_transport_layer(layer)
            .with_user_agent(concat!("voxload/", env!("CARGO_PKG_VERSION")))
            .build();
        let address = endpoint.get_addrs().first().cloned().ok_or(PhoneError::NoAnswer)?;
        let contact = Uri {
            scheme: Some(rsipstack::sip::Scheme::Sip),
            auth: None,
            host_with_port: address.addr,
            params: Vec::new(),
            headers: Vec::new(),
        };
        let dialogs = Arc::new(DialogLayer::new(endpoint.inner.clone()));
        let incoming = endpoint.incoming_transactions()?;
        tokio::spawn(serve(endpoint));
        tokio::spawn(answer_requests(dialogs.clone(), incoming));
        Ok(Self { dialogs, contact, local_ip, transport, stop })
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
        let (dialog, agreed, states) = self.invite(&plan, local, &abandon).await?;
        let setup = placed.elapsed();
        let rate_hz = agreed.codec.rate_hz();
        let said = resample(&plan.speech.0, plan.speech.1, rate_hz);
        let hung_up = abandon.child_token();
        let watch = tokio::spawn(watch_hang_up(states, hung_up.clone()));
        let end = talk(socket, &plan, agreed, said.clone(), hung_up.clone()).await;
        let by_peer = hung_up.is_cancelled() && !abandon.is_cancelled();
        if !by_peer {
            _ = tokio::time::timeout(BYE_MAX, dialog.hangup()).await;
        }
        watch.abort();
        Ok(report(&said, agreed, setup, by_peer, end?))
    }

    async fn invite(
        &self,
        plan: &CallPlan,
        local: SocketAddr,
        abandon: &CancellationToken,
    ) -> Result<(InviteDialog, Agreed, DialogStateReceiver), PhoneError> {
        let bad_uri = || PhoneError::BadUri(plan.uri.clone());
        let transport = if self.transport == Transport::Tcp { ";transport=tcp" } else { "" };
        let callee =
            Uri::try_from(format!("{}{transport}", plan.uri).as_str()).map_err(|_| bad_uri())?;
        let mut contact = self.contact.clone();
        contact.auth = Some(rsipstack::sip::Auth { user: plan.caller.clone(), password: None });
        let option = InviteOption {
            caller: contact.clone(),
            callee,
            contact,
            content_type: Some("application/sdp".into()),
            offer: Some(media::offer(local, &plan.codecs).into_bytes()),
            call_id: Some(format!("{:08x}-{}@{}", plan.seed, local.port(), local.ip())),
            ..InviteOption::default()
        };
        let (states_in, states) = self.dialogs.new_dialog_state_channel();
        let (dialog, mut answer) = self.dialogs.do_invite_async(option, states_in)?;
        let result = tokio::select! {
            result = &mut answer => result,
            () = abandon.cancelled() => { _ = dialog.hangup().await; answer.await }
            () = tokio::time::sleep(ANSWER_MAX) => { _ = dialog.hangup().await; return Err(PhoneError::NoAnswer) }
        };
        let (_, response) = result.map_err(|_| PhoneError::NoAnswer)??;
        let response = response.ok_or(PhoneError::NoAnswer)?;
        let status = u16::from(response.status_code.clone());
        // The stack's own word for a server that says nothing for 64 * T1.
        if status == 408 {
            return Err(PhoneError::NoAnswer);
        }
        if !(200..300).contains(&status) {
            return Err(refusal(status, &response));
        }
        match media::answer(&response.body, &plan.codecs) {
            Ok(agreed) => Ok((dialog, agreed, states)),
            Err(error) => {
                _ = tokio::time::timeout(BYE_MAX, dialog.hangup()).await;
                Err(error.into())
            }
        }
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(endpoint: Endpoint) {
    _ = endpoint.serve().await;
}

/// In-dialog requests of the other side: BYE, OPTIONS, re-INVITE.
async fn answer_requests(dialogs: Arc<DialogLayer>, mut incoming: TransactionReceiver) {
    while let Some(mut request) = incoming.recv().await {
        match dialogs.match_dialog(&request) {
            Some(mut dialog) => _ = tokio::spawn(async move { dialog.handle(&mut request).await }),
            None => {
                _ = request.reply(rsipstack::sip::StatusCode::CallTransactionDoesNotExist).await
            }
        }
    }
}

async fn watch_hang_up(mut states: DialogStateReceiver, hung_up: CancellationToken) {
    while let Some(state) = states.recv().await {
        if matches!(state, DialogState::Terminated(..)) {
            return hung_up.cancel();
        }
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

fn refusal(status: u16, response: &Response) -> PhoneError {
    let retry_after = response.headers.iter().find_map(|header| match header {
        rsipstack::sip::Header::RetryAfter(value) => {
            value.to_string().rsplit(' ').next()?.parse().ok()
        }
        _ => None,
    });
    let reason = response.status_code.to_string();
    let reason = reason.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').to_owned();
    PhoneError::Refused { status, reason, after: retry_after }
}

/// The address packets to `peer` leave from, asked of the kernel's routing table.
fn source_address(peer: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
    let probe = StdUdpSocket::bind((any, 0))?;
    probe.connect(peer)?;
    Ok(probe.local_addr()?.ip())
}

fn resample(pcm: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    if from_hz == to_hz {
        return pcm.to_vec();
    }
    let mut resampler = vox_codecs::dsp::resample::Resampler::new(from_hz, to_hz);
    let mut out = vec![0; pcm.len() * to_hz as usize / from_hz as usize + 1];
    let samples = resampler.process(pcm, &mut out);
    out.truncate(samples);
    out
}
