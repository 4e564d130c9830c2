//! WAV files: what is read, what is refused and why, and what a crash leaves.

use std::cell::Cell;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::rc::Rc;

use vox_codecs::wav::{Wav, WavError, WavWriter};

/// A chunk with its padding.
fn chunk(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = id.to_vec();
    bytes.extend((content.len() as u32).to_le_bytes());
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((4 + body.len() as u32).to_le_bytes());
    bytes.extend(b"WAVE");
    bytes.extend(body);
    bytes
}

fn fmt(tag: u16, channels: u16, rate_hz: u32, bits: u16) -> Vec<u8> {
    let frame = channels * (bits / 8);
    let mut content = Vec::new();
    content.extend(tag.to_le_bytes());
    content.extend(channels.to_le_bytes());
    content.extend(rate_hz.to_le_bytes());
    content.extend((rate_hz * u32::from(frame)).to_le_bytes());
    content.extend(frame.to_le_bytes());
    content.extend(bits.to_le_bytes());
    content
}

fn extensible(tag: u16, guid_tail: &[u8; 14]) -> Vec<u8> {
    let mut content = fmt(0xFFFE, 1, 16_000, 16);
    content.extend([22, 0, 16, 0, 4, 0, 0, 0]);
    content.extend(tag.to_le_bytes());
    content.extend(guid_tail);
    content
}

const GUID: &[u8; 14] = b"\0\0\0\0\x10\0\x80\0\0\xAA\0\x38\x9B\x71";
const PCM: [u8; 8] = [1, 0, 2, 0, 0xFF, 0xFF, 0, 0x80];
const SAMPLES: [i16; 4] = [1, 2, -1, -32_768];

#[test]
fn telephony_wavs_are_read() {
    let mono = |bytes: Vec<u8>, rate_hz, samples: &[i16]| (bytes, rate_hz, 1, samples.to_vec());
    let pcm = || chunk(b"fmt ", &fmt(1, 1, 8_000, 16));
    let odd_list = || chunk(b"LIST", b"odd");
    let mut endless = riff(&[pcm(), chunk(b"data", &PCM)]);
    endless[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut cut = riff(&[pcm(), chunk(b"data", &PCM)]);
    cut.truncate(cut.len() - 3);
    let rows = [
        mono(riff(&[pcm(), chunk(b"data", &PCM)]), 8_000, &SAMPLES),
        mono(riff(&[odd_list(), pcm(), odd_list(), chunk(b"data", &PCM)]), 8_000, &SAMPLES),
        mono(riff(&[chunk(b"data", &PCM), pcm()]), 8_000, &SAMPLES),
        mono(riff(&[pcm(), chunk(b"data", &[])]), 8_000, &[]),
        mono(endless, 8_000, &SAMPLES),
        mono(cut, 8_000, &SAMPLES[..2]),
        mono(riff(&[chunk(b"fmt ", &extensible(1, GUID)), chunk(b"data", &PCM)]), 16_000, &SAMPLES),
        // µ-law 0xFF and A-law 0xD5 are the codes of silence.
        mono(
            riff(&[chunk(b"fmt ", &fmt(7, 1, 8_000, 8)), chunk(b"data", &[0xFF, 0x80, 0])]),
            8_000,
            &[0, 32_124, -32_124],
        ),
        mono(
            riff(&[chunk(b"fmt ", &fmt(6, 1, 8_000, 8)), chunk(b"data", &[0xD5, 0x55])]),
            8_000,
            &[8, -8],
        ),
        (
            riff(&[chunk(b"fmt ", &fmt(1, 2, 48_000, 16)), chunk(b"data", &PCM)]),
            48_000,
            2,
            SAMPLES.to_vec(),
        ),
    ];
    for (row, (bytes, rate_hz, channels, samples)) in rows.into_iter().enumerate() {
        let wav = Wav::parse(&bytes).unwrap_or_else(|error| panic!("row {row}: {error}"));
        assert_eq!(wav, Wav { rate_hz, channels, samples }, "row {row}");
    }
}

#[test]
fn channels_come_apart() {
    let wav = Wav { rate_hz: 8_000, channels: 2, samples: vec![1, -1, 2, -2, 3, -3] };
    assert_eq!(wav.channel(0), [1, 2, 3]);
    assert_eq!(wav.channel(1), [-1, -2, -3]);
    assert!(wav.channel(2).is_empty());
    assert_eq!(wav.frames(), 3);
}

#[test]
fn a_bad_wav_is_refused_with_what_was_expected_and_found() {
    let data = || chunk(b"data", &PCM);
    let with_fmt = |content: &[u8]| riff(&[chunk(b"fmt ", content), data()]);
    let mut crooked = fmt(1, 2, 8_000, 16);
    crooked[12] = 2;
    let mut avi = riff(&[data()]);
    avi[8..12].copy_from_slice(b"AVI ");
    let rows = [
        (vec![], "not a WAV: expected \"RIFF\", found \"\""),
        (b"RIFF\0\0\0\0WA".to_vec(), "not a WAV: expected \"RIFF\", found \"RIFF\""),
        (b"OggS\0\x02\0\0".to_vec(), "not a WAV: expected \"RIFF\", found \"OggS\""),
        (b"RF64____WAVE".to_vec(), "not a WAV: expected \"RIFF\", found \"RF64\""),
        (avi, "not a WAV: expected form \"WAVE\", found \"AVI \""),
        (riff(&[]), "WAV without a \"fmt \" chunk"),
        (riff(&[data()]), "WAV without a \"fmt \" chunk"),
        (riff(&[chunk(b"fmt ", &fmt(1, 1, 8_000, 16))]), "WAV without a \"data\" chunk"),
        (with_fmt(&[1, 0]), "WAV \"fmt \" chunk: expected 16 bytes or more, found 2"),
        (
            with_fmt(&fmt(0xFFFE, 1, 8_000, 16)),
            "WAV \"fmt \" chunk: expected 40 bytes or more, found 16",
        ),
        (
            with_fmt(&fmt(3, 1, 8_000, 32)),
            "WAV coding: expected 16-bit PCM (tag 1) or 8-bit A-law (6) or µ-law (7), found tag 3 \
             with 32 bits",
        ),
        (
            with_fmt(&extensible(1, b"not the usual ")),
            "WAV coding: expected 16-bit PCM (tag 1) or 8-bit A-law (6) or µ-law (7), found tag \
             65534 with 16 bits",
        ),
        (
            with_fmt(&fmt(1, 0, 8_000, 16)),
            "WAV layout: expected 1 to 8 channels, 1 to 192000 Hz and a fitting frame size, found \
             0 channels, 8000 Hz, 0 bytes",
        ),
        (
            with_fmt(&fmt(1, 1, 0, 16)),
            "WAV layout: expected 1 to 8 channels, 1 to 192000 Hz and a fitting frame size, found \
             1 channels, 0 Hz, 2 bytes",
        ),
        (
            with_fmt(&crooked),
            "WAV layout: expected 1 to 8 channels, 1 to 192000 Hz and a fitting frame size, found \
             2 channels, 8000 Hz, 2 bytes",
        ),
    ];
    for (bytes, message) in rows {
        let error: WavError = Wav::parse(&bytes).expect_err(message);
        assert_eq!(error.to_string(), message);
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_parse_or_are_refused_in_bounded_memory(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        flips in proptest::collection::vec((0usize..60, proptest::num::u8::ANY), 0..6),
        tag in proptest::sample::select(vec![1u16, 3, 6, 7, 0xFFFE]),
        bits in proptest::sample::select(vec![8u16, 16]),
    ) {
        let _ = Wav::parse(&bytes);
        let mut wav = riff(&[chunk(b"fmt ", &fmt(tag, 1, 8_000, bits)), chunk(b"data", &bytes)]);
        for (at, value) in flips {
            let at = at % wav.len();
            wav[at] = value;
        }
        if let Ok(parsed) = Wav::parse(&wav) {
            assert!(parsed.samples.capacity() * 2 <= 2 * wav.len() + 64);
            assert_eq!(parsed.samples.len() % usize::from(parsed.channels), 0);
        }
    }

    #[test]
    fn what_was_written_is_read_back(
        rate_hz in proptest::sample::select(vec![8_000u32, 16_000, 48_000]),
        channels in 1u16..=3,
        pieces in proptest::collection::vec((0usize..20_000, proptest::bool::ANY), 0..12),
    ) {
        let mut writer = WavWriter::new(Cursor::new(Vec::new()), rate_hz, channels).unwrap();
        let mut samples = Vec::new();
        for (frames, silent) in pieces {
            let from = samples.len();
            let count = frames * usize::from(channels);
            if silent {
                writer.write_silence(frames as u64).unwrap();
                samples.resize(from + count, 0);
            } else {
                samples.extend((from..from + count).map(|i| (i as i16).wrapping_mul(31)));
                writer.write(&samples[from..]).unwrap();
            }
        }
        assert_eq!(writer.frames() as usize * usize::from(channels), samples.len());
        let bytes = writer.finish().unwrap().into_inner();
        let wav = Wav::parse(&bytes).unwrap();
        assert!(wav == Wav { rate_hz, channels, samples });
        assert_eq!(u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize, bytes.len() - 8);
    }
}

/// A disk that is looked at after every write, as a crash would leave it there.
struct CrashingDisk<F: FnMut(&[u8])> {
    disk: Cursor<Vec<u8>>,
    writes: usize,
    look: F,
}

impl<F: FnMut(&[u8])> Write for CrashingDisk<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.disk.write(bytes)?;
        self.writes += 1;
        (self.look)(self.disk.get_ref());
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: FnMut(&[u8])> Seek for CrashingDisk<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.disk.seek(to)
    }
}

#[test]
fn a_crash_at_any_moment_costs_one_second_at_most() {
    let rows: [(u32, u16, &[usize]); 4] = [
        (8_000, 1, &[160; 400]),
        (16_000, 2, &[320, 1, 15_999, 640, 48_000, 7]),
        // Pieces of five seconds, as after a stall: the header may still not lag by more than one.
        (8_000, 2, &[40_000, 40_000]),
        (8_000, 2, &[0, 7_999, 2]),
    ];
    for (rate_hz, channels, pieces) in rows {
        for silent in [false, true] {
            let disk = CrashingDisk {
                disk: Cursor::new(Vec::new()),
                writes: 0,
                look: |bytes: &[u8]| {
                    let wav = Wav::parse(bytes).expect("a crash leaves a WAV");
                    let on_disk = (bytes.len() - 44) / (2 * usize::from(channels));
                    assert_eq!((wav.rate_hz, wav.channels), (rate_hz, channels));
                    assert!(wav.frames() <= on_disk && on_disk - wav.frames() <= rate_hz as usize);
                },
            };
            let mut writer = WavWriter::new(disk, rate_hz, channels).unwrap();
            for frames in pieces {
                if silent {
                    writer.write_silence(*frames as u64).unwrap();
                } else {
                    writer.write(&vec![1_000; frames * usize::from(channels)]).unwrap();
                }
            }
            let written = writer.frames() as usize;
            let disk = writer.finish().unwrap();
            assert_eq!(Wav::parse(disk.disk.get_ref()).unwrap().frames(), written);
            let seconds = written / rate_hz as usize;
            assert!(disk.writes <= 2 * pieces.len() + 4 * seconds + 2, "{} writes", disk.writes);
        }
    }
}

/// A disk that is full, or whose write is cut, for a while.
struct FullDisk {
    disk: Cursor<Vec<u8>>,
    room: Rc<Cell<usize>>,
}

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(self.room.get());
        if fits == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room.set(self.room.get() - fits);
        self.disk.write(&bytes[..fits])
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for FullDisk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.disk.seek(to)
    }
}

#[test]
fn a_write_that_failed_half_way_is_not_counted_and_may_be_tried_again() {
    let disk = FullDisk { disk: Cursor::new(Vec::new()), room: Rc::new(Cell::new(44 + 320 + 101)) };
    let room = disk.room.clone();
    let mut writer = WavWriter::new(disk, 8_000, 1).unwrap();
    writer.write(&[1; 160]).unwrap();
    assert_eq!(writer.write(&[2; 160]).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(writer.frames(), 160);
    room.set(usize::MAX);
    writer.write(&[3; 160]).unwrap();
    let bytes = writer.finish().unwrap().disk.into_inner();
    assert_eq!(Wav::parse(&bytes).unwrap().samples, [[1; 160], [3; 160]].concat());
}

#[test]
fn half_frames_and_empty_layouts_are_refused() {
    let mut writer = WavWriter::new(Cursor::new(Vec::new()), 8_000, 2).unwrap();
    let error = writer.write(&[1, 2, 3]).unwrap_err();
    assert_eq!(error.to_string(), "WAV: expected whole frames of 2, found 3");
    assert!(WavWriter::new(Cursor::new(Vec::new()), 0, 1).is_err());
    assert!(WavWriter::new(Cursor::new(Vec::new()), 8_000, 0).is_err());
}
