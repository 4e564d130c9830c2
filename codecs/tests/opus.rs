//! Opus against libopus' own command-line tools, and what in-band FEC is worth.

mod support;

use support::ogg;
use vox_codecs::dsp::resample::Resampler;
use vox_codecs::opus::{
    Decoder, Encoder, PACKET_SAMPLES_MAX, PAYLOAD_BYTES_MAX, RATE_HZ, Settings,
};
use vox_codecs::opus::{has_fec, samples_in};

const FRAME: usize = 320;

/// For a network that loses packets.
const LOSSY: Settings = Settings {
    bitrate_bps: 24_000,
    complexity: 5,
    expected_loss_percent: 10,
    fec: true,
    dtx: false,
};

fn encode(settings: Settings, pcm: &[i16], frame_samples: usize) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(settings);
    let packet = |pcm: &[i16]| {
        let mut payload = vec![0; PAYLOAD_BYTES_MAX];
        let written = encoder.encode(pcm, &mut payload);
        assert!(written > 0);
        payload.truncate(written);
        payload
    };
    pcm.chunks_exact(frame_samples).map(packet).collect()
}

fn decode(packets: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = Decoder::new();
    let samples = |packet: &Vec<u8>| {
        let mut pcm = vec![0; PACKET_SAMPLES_MAX];
        let written = decoder.decode(packet, &mut pcm).unwrap();
        assert_eq!(samples_in(packet), Ok(written));
        pcm.truncate(written);
        pcm
    };
    packets.iter().flat_map(samples).collect()
}

/// What the libopus that we bundle makes of packets at 48 kHz.
fn decode_at_48k(packets: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = opus::Decoder::new(48_000, opus::Channels::Mono).unwrap();
    let samples = |packet: &Vec<u8>| {
        let mut pcm = vec![0; 3 * PACKET_SAMPLES_MAX];
        let written = decoder.decode(packet, &mut pcm, false).unwrap();
        pcm.truncate(written);
        pcm
    };
    packets.iter().flat_map(samples).collect()
}

/// The likeness of 48 kHz audio to our own at 16 kHz, in dB, at the best delay.
///
/// opusdec decodes at 48 kHz only. For SILK packets libopus gets there through all-pass filters,
/// whose phase alone limits the likeness of equal streams to 30 dB; CELT packets reach 87 dB.
fn likeness_db(theirs_48k: &[i16], ours: &[i16]) -> f64 {
    let at_delay = |skipped: usize| {
        let mut theirs = vec![0; theirs_48k.len() / 3 + 1];
        let written = Resampler::new(48_000, RATE_HZ).process(&theirs_48k[skipped..], &mut theirs);
        support::best_alignment(&ours[..ours.len() - 200], &theirs[..written], 150).1
    };
    (0..3).map(at_delay).fold(f64::NEG_INFINITY, f64::max)
}

#[test]
fn opusdec_hears_in_our_packets_what_our_decoder_hears() {
    for (name, settings, frame_samples) in [
        ("default", Settings::default(), FRAME),
        ("FEC", LOSSY, FRAME),
        ("40 kbit/s", Settings { bitrate_bps: 40_000, ..Settings::default() }, FRAME),
        ("60 ms", Settings::default(), 3 * FRAME),
        ("40 ms", Settings::default(), 2 * FRAME),
    ] {
        let packets = encode(settings, &support::voice(RATE_HZ, 2.4), frame_samples);
        let stream = ogg::wrap(&packets, 3 * frame_samples as u64);
        let arguments = ["--quiet", "--no-dither", "--rate", "48000", "-", "-"];
        let Some(output) = support::peer("opusdec", &arguments, &stream) else {
            return;
        };
        let (theirs, ours) = (support::samples(&output), decode(&packets));
        let same_rate_db = support::snr_db(&decode_at_48k(&packets), &theirs);
        eprintln!("{name}: {same_rate_db:.1} dB at 48 kHz");
        assert!(same_rate_db > 70.0, "{name}: {same_rate_db:.1} dB at 48 kHz");
        assert_eq!(theirs.len(), 3 * ours.len(), "{name}");
        let likeness_db = likeness_db(&theirs, &ours);
        eprintln!("{name}: {likeness_db:.1} dB");
        assert!(likeness_db > 29.0, "{name}: {likeness_db:.1} dB");
    }
}

#[test]
fn our_decoder_hears_in_packets_of_opusenc_what_opusdec_hears() {
    for (channels, options) in [
        ("1", "--speech --bitrate 16"),
        ("1", "--speech --bitrate 24 --expect-loss 15 --framesize 60"),
        ("1", "--music --bitrate 48 --framesize 10"),
        ("1", "--music --bitrate 64 --framesize 2.5"),
        ("2", "--speech --bitrate 32 --framesize 40"),
    ] {
        let voice = support::voice(RATE_HZ, 2.4);
        let repeated = voice.iter().flat_map(|sample| vec![*sample; channels.parse().unwrap()]);
        let input = support::bytes(&repeated.collect::<Vec<_>>());
        let raw = ["--quiet", "--raw", "--raw-rate", "16000", "--raw-chan", channels];
        let arguments = raw.into_iter().chain(options.split(' ')).chain(["-", "-"]);
        let Some(stream) = support::peer("opusenc", &arguments.collect::<Vec<_>>(), &input) else {
            return;
        };
        let arguments = ["--quiet", "--no-dither", "--rate", "48000", "-", "-"];
        let Some(output) = support::peer("opusdec", &arguments, &stream) else {
            return;
        };
        let interleaved = support::samples(&output);
        let theirs: Vec<i16> =
            interleaved.iter().step_by(channels.parse().unwrap()).copied().collect();
        let (packets, pre_skip) = ogg::unwrap(&stream);
        let ours = &decode(&packets)[pre_skip / 3..];
        let likeness_db = likeness_db(&theirs, &ours[..theirs.len() / 3]);
        eprintln!("{channels} {options}: {likeness_db:.1} dB");
        assert!(likeness_db > 29.0, "{channels} {options}: {likeness_db:.1} dB");
    }
}

#[test]
fn the_flag_says_which_packets_carry_fec() {
    let voice = support::voice(RATE_HZ, 2.0);
    let share = |settings, frame_samples| {
        let packets = encode(settings, &voice, frame_samples);
        let with = packets.iter().filter(|packet| has_fec(packet)).count();
        with as f64 / packets.len() as f64
    };
    let on = LOSSY;
    for frame_samples in [FRAME / 2, FRAME, 2 * FRAME, 3 * FRAME] {
        let (with, without) =
            (share(on, frame_samples), share(Settings { fec: false, ..on }, frame_samples));
        assert!(with > 0.6, "{frame_samples} samples: {with}");
        assert_eq!(without, 0.0, "{frame_samples} samples");
    }
    // With no loss to expect, libopus spends nothing on redundancy.
    assert_eq!(share(Settings { expected_loss_percent: 0, ..on }, FRAME), 0.0);
}

#[test]
fn the_flag_is_found_in_packets_of_many_frames() {
    let packets = encode(LOSSY, &support::voice(RATE_HZ, 2.0), FRAME);
    let mut repacketizer = opus::Repacketizer::new().unwrap();
    for frames in [2, 3, 4] {
        for group in packets.chunks_exact(frames) {
            let group: Vec<&[u8]> = group.iter().map(Vec::as_slice).collect();
            let mut combined = vec![0; 2_000];
            // Frames of unlike mode or bandwidth do not go into one packet.
            let Ok(length) = repacketizer.combine(&group, &mut combined) else {
                continue;
            };
            assert_eq!(samples_in(&combined[..length]), Ok(frames * FRAME));
            assert_eq!(has_fec(&combined[..length]), has_fec(group[0]), "{frames} frames");
            // Padding makes a packet of code 3 with its length in front.
            opus::packet::pad(&mut combined, length).unwrap();
            assert_eq!(samples_in(&combined), Ok(frames * FRAME));
            assert_eq!(has_fec(&combined), has_fec(group[0]), "{frames} padded");
        }
    }
}

#[test]
fn celt_packets_carry_no_fec_whatever_their_bytes() {
    for toc in 0x80..=0xFF {
        assert!(!has_fec(&[toc, 0xFF, 0xFF]), "{toc:#04x}");
    }
}

#[test]
fn fec_brings_back_a_lost_packet_better_than_concealment() {
    let packets = encode(LOSSY, &support::voice(RATE_HZ, 4.0), FRAME);
    let reference = decode(&packets);
    let (mut with_fec, mut concealed) = (Vec::new(), Vec::new());
    let (mut fec_decoder, mut plain_decoder) = (Decoder::new(), Decoder::new());
    let mut recovered = 0;
    for (index, packet) in packets.iter().enumerate() {
        let mut pcm = [0; FRAME];
        let next = packets.get(index + 1).filter(|next| index % 10 == 9 && has_fec(next));
        if let Some(next) = next {
            recovered += 1;
            fec_decoder.decode_fec(next, &mut pcm).unwrap();
            with_fec.extend_from_slice(&pcm);
            plain_decoder.conceal(&mut pcm);
            concealed.extend_from_slice(&pcm);
            continue;
        }
        fec_decoder.decode(packet, &mut pcm).unwrap();
        with_fec.extend_from_slice(&pcm);
        plain_decoder.decode(packet, &mut pcm).unwrap();
        concealed.extend_from_slice(&pcm);
    }
    assert!(recovered > 10, "{recovered}");
    let (fec_db, plc_db) =
        (support::snr_db(&reference, &with_fec), support::snr_db(&reference, &concealed));
    eprintln!("10 % loss: FEC {fec_db:.1} dB, concealment {plc_db:.1} dB");
    assert!(fec_db > plc_db + 3.0, "FEC {fec_db:.1} dB, concealment {plc_db:.1} dB");
}

#[test]
fn fec_of_a_loss_longer_than_its_packet_fills_all_of_it() {
    let packets = encode(LOSSY, &support::voice(RATE_HZ, 1.0), FRAME);
    let mut decoder = Decoder::new();
    for packet in &packets[..30] {
        decoder.decode(packet, &mut [0; FRAME]).unwrap();
    }
    let mut pcm = [i16::MIN; 3 * FRAME];
    decoder.decode_fec(&packets[33], &mut pcm).unwrap();
    assert!(!pcm.contains(&i16::MIN));
    assert!(pcm.chunks(FRAME).all(|frame| frame.iter().any(|sample| sample.abs() > 50)));
}

#[test]
fn redundancy_comes_and_goes_with_the_loss_to_be_expected() {
    let voice = support::voice(RATE_HZ, 3.0);
    let mut encoder = Encoder::new(Settings::default());
    let share = |encoder: &mut Encoder| {
        let mut payload = [0; PAYLOAD_BYTES_MAX];
        let with = voice.chunks_exact(FRAME).filter(|pcm| {
            let written = encoder.encode(pcm, &mut payload);
            has_fec(&payload[..written])
        });
        with.count() as f64 / (voice.len() / FRAME) as f64
    };
    for (percent, expected) in [(0, 0.0..0.01), (5, 0.6..1.0), (0, 0.0..0.02)] {
        encoder.set_expected_loss(percent);
        let share = share(&mut encoder);
        assert!(expected.contains(&share), "{percent} %: {share}");
    }
}

#[test]
fn concealment_fills_any_length_and_fades() {
    let packets = encode(Settings::default(), &support::voice(RATE_HZ, 1.0), FRAME);
    for length in [1, 39, 40, 160, 320, 333, 1_920, 5_000] {
        let mut decoder = Decoder::new();
        for packet in &packets[..10] {
            decoder.decode(packet, &mut [0; FRAME]).unwrap();
        }
        let mut pcm = vec![i16::MIN; length];
        decoder.conceal(&mut pcm);
        assert!(!pcm.contains(&i16::MIN), "{length}");
        let loudest = |pcm: &[i16]| pcm.iter().map(|sample| sample.unsigned_abs()).max();
        let fades =
            loudest(&pcm[length.saturating_sub(FRAME)..]) < loudest(&pcm[..length.min(FRAME)]);
        assert!(fades || length < 2 * FRAME, "{length}");
    }
}

#[test]
fn speech_survives_at_the_configured_bit_rate_without_dtx() {
    let voice = support::voice(RATE_HZ, 4.0);
    let packets = encode(Settings::default(), &voice, FRAME);
    let bytes: usize = packets.iter().map(Vec::len).sum();
    let bits_per_second = bytes as f64 * 8.0 / 4.0;
    assert!((12_000.0..30_000.0).contains(&bits_per_second), "{bits_per_second}");
    let silence = encode(Settings::default(), &vec![0; 64_000], FRAME);
    assert!(silence.iter().all(|packet| packet.len() > 2), "DTX is off");
    let dtx = encode(Settings { dtx: true, ..Settings::default() }, &vec![0; 64_000], FRAME);
    assert!(dtx.iter().any(|packet| packet.len() <= 2), "DTX is on");
}
