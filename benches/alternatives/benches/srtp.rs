//! SRTP (RFC 3711, RFC 7714) of one packet of Opus, 60 bytes of payload: sealed and opened.
//!
//! Ours is a call's whole WebRTC peer, as its shard uses it: `str0m` tells media from ICE and DTLS,
//! keeps what RTCP will report, and seals with AWS-LC, by what two `str0m` agree on. Its SRTP has no
//! public face of its own. `rtc-srtp` (the `webrtc` crate's core since 0.20, with AWS-LC as well)
//! and `webrtc-srtp` (before that) are the bare ciphers, in both profiles that WebRTC speaks, with a
//! replay window of 64 packets, which they have when asked for one.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use rtc_srtp::crypto::RTCCryptoProvider as _;
use vox_alternatives::{CountingAllocator, ThreadTime, quick};
use vox_gate::Sealed;
use vox_rtp::{RtpHeader, RtpTime, SeqNo, Ssrc};

#[global_allocator]
static HEAP: CountingAllocator = CountingAllocator::new();

fn srtp(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("SRTP seal");
    let mut pair = Sealed::new();
    bench(&mut group, "vox, str0m's whole peer", &mut |_| {
        let packets = batch(|_| pair.plain(&PAYLOAD));
        timed(&packets, |packet| pair.seal(packet) > packet.len())
    });
    for (name, profile) in PROFILES {
        let mut context = rtc_context(profile);
        bench(&mut group, &format!("rtc-srtp, {name}"), &mut |first| {
            timed(&batch(|n| plain(first + n)), |packet| context.encrypt_rtp(packet).is_ok())
        });
        let mut context = webrtc_context(profile);
        bench(&mut group, &format!("webrtc-srtp, {name}"), &mut |first| {
            timed(&batch(|n| plain(first + n)), |packet| context.encrypt_rtp(packet).is_ok())
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("SRTP open");
    let mut datagram = vec![0; 256];
    bench(&mut group, "vox, str0m's whole peer", &mut |_| {
        let packets = batch(|_| pair.sealed(&PAYLOAD));
        timed(&packets, |packet| {
            let datagram = &mut datagram[..packet.len()];
            datagram.copy_from_slice(packet);
            pair.open(datagram) == RtpHeader::LEN + PAYLOAD.len()
        })
    });
    for (name, profile) in PROFILES {
        let (mut sender, mut context) = (rtc_context(profile), rtc_context(profile));
        bench(&mut group, &format!("rtc-srtp, {name}"), &mut |first| {
            let sealed = batch(|n| sender.encrypt_rtp(&plain(first + n)).expect("keys").to_vec());
            timed(&sealed, |packet| context.decrypt_rtp(packet).is_ok())
        });
        let (mut sender, mut context) = (webrtc_context(profile), webrtc_context(profile));
        bench(&mut group, &format!("webrtc-srtp, {name}"), &mut |first| {
            let sealed = batch(|n| sender.encrypt_rtp(&plain(first + n)).expect("keys").to_vec());
            timed(&sealed, |packet| context.decrypt_rtp(packet).is_ok())
        });
    }
    group.finish();
}

/// A bench of `side`, which is told the number of a batch's first packet and says how long the batch
/// took; and how often it allocates.
fn bench(
    group: &mut BenchmarkGroup<'_, ThreadTime>,
    name: &str,
    side: &mut dyn FnMut(u64) -> Duration,
) {
    let mut first = 0;
    let mut batch = || {
        first += BATCH;
        side(first)
    };
    batch();
    let before = ALLOCATED.load(Relaxed);
    batch();
    let allocated = (ALLOCATED.load(Relaxed) - before) as f64 / BATCH as f64;
    println!("{name}: {allocated:.1} allocations a packet");
    group.bench_function(name, |b| {
        b.iter_custom(|batches| (0..batches).map(|_| batch()).sum::<Duration>() / BATCH as u32);
    });
}

fn batch(packet: impl FnMut(u64) -> Vec<u8>) -> Vec<Vec<u8>> {
    (0..BATCH).map(packet).collect()
}

/// The time that `job`, which must succeed, takes for all of them: the clock alone takes as long as
/// one packet.
fn timed(packets: &[Vec<u8>], mut job: impl FnMut(&[u8]) -> bool) -> Duration {
    let (before, mut done) = (HEAP.allocations(), true);
    let time = ThreadTime::of(|| done = packets.iter().all(|packet| job(black_box(packet))));
    ALLOCATED.fetch_add(HEAP.allocations() - before, Relaxed);
    assert!(done, "a packet was refused");
    time
}

/// Within what is timed.
static ALLOCATED: AtomicU64 = AtomicU64::new(0);

fn plain(n: u64) -> Vec<u8> {
    let header = RtpHeader {
        marker: false,
        payload_type: 111,
        seq: SeqNo(n as u16),
        time: RtpTime((n as u32).wrapping_mul(960)),
        ssrc: Ssrc(7),
    };
    let mut packet = vec![0; RtpHeader::LEN + PAYLOAD.len()];
    header.write(&mut packet).copy_from_slice(&PAYLOAD);
    packet
}

fn rtc_context(profile: Profile) -> rtc_srtp::context::Context {
    use rtc_srtp::crypto::providers::AwsLcRsProvider;
    use rtc_srtp::option::srtp_replay_protection;
    use rtc_srtp::protection_profile::ProtectionProfile;
    let profile = match profile {
        Profile::Cm => ProtectionProfile::Aes128CmHmacSha1_80,
        Profile::Gcm => ProtectionProfile::AeadAes128Gcm,
    };
    let (key, salt) = (&KEY[..profile.key_len()], &KEY[..profile.salt_len()]);
    let crypto = AwsLcRsProvider::new();
    let window = Some(srtp_replay_protection(WINDOW));
    rtc_srtp::context::Context::new(key, salt, profile, window, None, crypto.crypto())
        .expect("keys of the right length")
}

fn webrtc_context(profile: Profile) -> webrtc_srtp::context::Context {
    use webrtc_srtp::option::srtp_replay_protection;
    use webrtc_srtp::protection_profile::ProtectionProfile;
    let profile = match profile {
        Profile::Cm => ProtectionProfile::Aes128CmHmacSha1_80,
        Profile::Gcm => ProtectionProfile::AeadAes128Gcm,
    };
    let (key, salt) = (&KEY[..profile.key_len()], &KEY[..profile.salt_len()]);
    let window = Some(srtp_replay_protection(WINDOW));
    webrtc_srtp::context::Context::new(key, salt, profile, window, None)
        .expect("keys of the right length")
}

#[derive(Debug, Clone, Copy)]
enum Profile {
    Cm,
    Gcm,
}

const PROFILES: [(&str, Profile); 2] =
    [("AES-CM and HMAC-SHA1", Profile::Cm), ("AES-GCM", Profile::Gcm)];
const KEY: [u8; 16] = [0x42; 16];
const WINDOW: usize = 64;
const BATCH: u64 = 32;
/// 20 ms at 24 kbit/s.
const PAYLOAD: [u8; 60] = [0x5a; 60];

criterion_group! { name = benches; config = quick(); targets = srtp }
criterion_main!(benches);
