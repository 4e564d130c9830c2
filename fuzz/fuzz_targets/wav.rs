//! Any bytes as a WAV file.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use vox_codecs::wav::{Wav, WavWriter};

fuzz_target!(|bytes: &[u8]| {
    let Ok(wav) = Wav::parse(bytes) else { return };
    // What is read is never more than the file holds: one byte can be a sample (G.711).
    assert!(wav.samples.len() <= bytes.len());
    assert_eq!(wav.frames(), wav.samples.len() / usize::from(wav.channels));
    let longest = (0..usize::from(wav.channels)).map(|index| wav.channel(index).len()).max();
    assert_eq!(longest, Some(wav.frames()));

    let mut writer = WavWriter::new(Cursor::new(Vec::new()), wav.rate_hz, wav.channels)
        .expect("memory takes it");
    writer.write(&wav.samples).expect("memory takes it");
    let written = writer.finish().expect("memory takes it").into_inner();
    assert_eq!(Wav::parse(&written).expect("our own file").samples, wav.samples);
});
