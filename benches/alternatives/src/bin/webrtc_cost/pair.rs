//! Two connections of the `webrtc` crate, on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::{
    Registry, register_default_interceptors,
};
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_PCMU, MediaEngine};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RtpCodecKind,
};
use tokio::time::timeout;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState,
};
use webrtc::runtime::{Receiver, Sender, channel};

/// A sender and a receiver of one audio track.
pub(crate) struct Pair {
    sender: Peer,
    receiver: Peer,
    track: Arc<TrackLocalStaticRTP>,
}

impl Pair {
    /// Both built; the sender has offered and gathered its candidates. Packets that the receiver
    /// hears are counted in `received`.
    pub(crate) async fn new(received: &Arc<AtomicU64>) -> anyhow::Result<Self> {
        let (mut sender, receiver) = (Peer::new(received).await?, Peer::new(received).await?);
        let track = Arc::new(TrackLocalStaticRTP::new(media_track()));
        sender.connection.add_track(Arc::clone(&track) as Arc<dyn TrackLocal>).await?;
        let offer = sender.connection.create_offer(None).await?;
        sender.connection.set_local_description(offer).await?;
        sender.gathered().await?;
        Ok(Self { sender, receiver, track })
    }

    /// Offer, answer, ICE, DTLS.
    pub(crate) async fn connect(mut self) -> anyhow::Result<Self> {
        let (sender, receiver) = (&mut self.sender, &mut self.receiver);
        let offer = sender.connection.local_description().await.context("no offer")?;
        receiver.connection.set_remote_description(offer).await?;
        let answer = receiver.connection.create_answer(None).await?;
        receiver.connection.set_local_description(answer).await?;
        receiver.gathered().await?;
        let answer = receiver.connection.local_description().await.context("no answer")?;
        sender.connection.set_remote_description(answer).await?;
        sender.connected().await?;
        receiver.connected().await?;
        Ok(self)
    }

    pub(crate) async fn send(&self, sequence: u16, payload: Bytes) -> anyhow::Result<()> {
        let packet = rtc::rtp::packet::Packet {
            header: rtc::rtp::header::Header {
                version: 2,
                payload_type: 0,
                sequence_number: sequence,
                timestamp: u32::from(sequence) * 160,
                ssrc: SSRC,
                ..Default::default()
            },
            payload,
        };
        Ok(self.track.write_rtp(packet).await?)
    }

    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.sender.connection.close().await?;
        Ok(self.receiver.connection.close().await?)
    }
}

struct Peer {
    connection: Arc<dyn PeerConnection>,
    gathered: Receiver<()>,
    connected: Receiver<()>,
}

impl Peer {
    /// With PCMU and the interceptors that everybody takes.
    async fn new(received: &Arc<AtomicU64>) -> anyhow::Result<Self> {
        let (gathered_tx, gathered) = channel(1);
        let (connected_tx, connected) = channel(1);
        let received = Arc::clone(received);
        let mut media = MediaEngine::default();
        let codec =
            RTCRtpCodecParameters { rtp_codec: pcmu(), payload_type: 0, ..Default::default() };
        media.register_codec(codec, RtpCodecKind::Audio)?;
        let registry = register_default_interceptors(Registry::new(), &mut media)?;
        let connection = PeerConnectionBuilder::new()
            .with_media_engine(media)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(Handler {
                gathered: gathered_tx,
                connected: connected_tx,
                received,
            }))
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .build()
            .await?;
        Ok(Self { connection: Arc::new(connection), gathered, connected })
    }

    async fn gathered(&mut self) -> anyhow::Result<()> {
        let gathered = timeout(PATIENCE, self.gathered.recv()).await;
        gathered.context("no ICE candidates after 30 s")?.context("the connection is gone")
    }

    async fn connected(&mut self) -> anyhow::Result<()> {
        let connected = timeout(PATIENCE, self.connected.recv()).await;
        connected.context("not connected after 30 s")?.context("the connection is gone")
    }
}

struct Handler {
    gathered: Sender<()>,
    connected: Sender<()>,
    received: Arc<AtomicU64>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.try_send(());
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if state == RTCPeerConnectionState::Connected {
            let _ = self.connected.try_send(());
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let received = Arc::clone(&self.received);
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(_) = event {
                    received.fetch_add(1, Relaxed);
                }
            }
        });
    }
}

fn media_track() -> MediaStreamTrack {
    let [stream, id, label] = ["call", "audio", "caller"].map(str::to_owned);
    let parameters = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(SSRC), ..Default::default() },
        codec: pcmu(),
        ..Default::default()
    };
    MediaStreamTrack::new(stream, id, label, RtpCodecKind::Audio, vec![parameters])
}

fn pcmu() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_PCMU.to_owned(),
        clock_rate: 8_000,
        channels: 0,
        sdp_fmtp_line: String::new(),
        rtcp_feedback: Vec::new(),
    }
}

const SSRC: u32 = 0x00de_cafe;
const PATIENCE: Duration = Duration::from_secs(30);
