//! Greetings put together from Debian's prompts, and an hour of them all for the digit detector.
//!
//! The corpus has no recording of a person who answers a phone. What stands in for one: "hello", a
//! name of the spelling alphabet (as one says a surname), and both with a pause between.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use vox_call::hearing::{Amd, AmdNews, AmdOptions, AmdReason, AmdVerdict, Answered};
use vox_codecs::g711::Law;
use vox_codecs::tones::{DtmfDetector, ToneGenerator};
use vox_codecs::wav::Wav;

use crate::{FRAME, HOUR_FRAMES};

type Recordings = Vec<Vec<i16>>;

/// Plays all languages' recordings in a loop for an hour.
pub(crate) fn digits(corpus: &Path) -> Result<()> {
    let (mut paths, languages) = (vec![], languages(corpus)?);
    languages.iter().try_for_each(|language| list(language, &mut paths))?;
    let recordings: Vec<_> = paths.iter().filter_map(|path| read(path)).collect();
    let frames = recordings.iter().flat_map(|it| it.chunks_exact(FRAME));
    let once = frames.clone().count();
    ensure!(once > 0, "no recordings");
    let (mut detector, mut heard) = (DtmfDetector::new(8_000), 0);
    for frame in frames.cycle().take(HOUR_FRAMES.max(once)) {
        heard += usize::from(detector.push(frame).is_some());
    }
    let (minutes, played) = (once / 3_000, HOUR_FRAMES.max(once) / 3_000);
    println!(
        "{} recordings in {} languages, {minutes} minutes, played for {played}: {heard} digits",
        recordings.len(),
        languages.len()
    );
    Ok(())
}

/// Prints who answered, and who was thought to.
pub(crate) fn table(corpus: &Path) -> Result<()> {
    let (mut short, mut long, mut machines) = (vec![], vec![], vec![]);
    let (mut recorded, mut made) = (vec![], vec![]);
    let mut tone = vec![0; 15 * FRAME];
    ToneGenerator::sine(8_000, 1_000.0, -16.0).fill(&mut tone);
    for language in languages(corpus)? {
        let (one, two) = people_of(&language)?;
        short.extend(one);
        long.extend(two);
        let beep = read(&language.join("beep.wav")).context("no beep")?;
        for greeting in machines_of(&language)? {
            recorded.push([&greeting[..], &silence(300), &beep].concat());
            made.push([&greeting[..], &silence(300), &tone].concat());
            machines.push(greeting);
        }
    }
    println!(
        "| who answers | recordings | Human | Machine | Unknown | verdict p50 | end of beep told |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    row("a person: hello, or a name", &short);
    row("a person: hello, and a name", &long);
    row("a machine without a beep", &machines);
    row("a machine with the corpus' beep (700 Hz)", &recorded);
    row("a machine with a beep of 1,000 Hz, 300 ms", &made);
    Ok(())
}

fn row(name: &str, greetings: &[Vec<i16>]) {
    let heard: Vec<_> = greetings.iter().enumerate().map(|(n, it)| judge(n, it)).collect();
    let count = |answered| heard.iter().filter(|(it, _)| it.answered == answered).count();
    let beeps = heard.iter().filter(|(_, beep)| *beep).count();
    let mut after: Vec<_> = heard.iter().map(|(it, _)| it.after.as_millis()).collect();
    after.sort_unstable();
    println!(
        "| {name} | {} | {} | {} | {} | {} ms | {beeps} |",
        heard.len(),
        count(Answered::Human),
        count(Answered::Machine),
        count(Answered::Unknown),
        after[after.len() / 2],
    );
}

/// The verdict, and whether the end of a beep was told. Greetings begin 200 to 600 ms after the
/// answer, and come through G.711.
fn judge(n: usize, greeting: &[i16]) -> (AmdVerdict, bool) {
    let call = [&silence(200 + 100 * (n % 5))[..], greeting, &silence(3_000)].concat();
    let (mut amd, mut verdict, mut beep) = (Amd::new(AmdOptions::default()), None, false);
    for frame in call.chunks_exact(FRAME) {
        let frame: Vec<i16> =
            frame.iter().map(|&it| Law::Mu.expand(Law::Mu.compress(it))).collect();
        match amd.push(8_000, &frame) {
            Some(AmdNews::Verdict(it)) => verdict = Some(it),
            Some(AmdNews::BeepEnded { .. }) => beep = true,
            None => {}
        }
    }
    let none = AmdVerdict {
        answered: Answered::Unknown,
        reason: AmdReason::TimeOver,
        after: AmdOptions::default().total_analysis,
    };
    (verdict.unwrap_or(none), beep)
}

/// What stands in for people: one word, and two.
fn people_of(language: &Path) -> Result<(Recordings, Recordings)> {
    // The Spanish one is a sentence of five seconds.
    let hello = read(&language.join("hello.wav")).filter(|it| it.len() < 12_000);
    let mut paths = vec![];
    list(&language.join("phonetic"), &mut paths)?;
    let names: Vec<_> = paths.iter().filter_map(|path| read(path)).take(26).collect();
    let both = |name: &Vec<i16>| Some([&hello.clone()?[..], &silence(200), name].concat());
    let greeted = names.iter().filter_map(both).collect();
    Ok((hello.iter().cloned().chain(names).collect(), greeted))
}

/// "The person at extension … is unavailable / on the phone", "please leave your message …", and
/// announcements of other kinds.
fn machines_of(language: &Path) -> Result<Recordings> {
    let prompt = |name: &str| {
        read(&language.join(format!("{name}.wav"))).with_context(|| format!("{name} is missing"))
    };
    let mut greetings = vec![prompt("vm-intro")?, prompt("vm-nobodyavail")?];
    for digit in 0..6 {
        for state in ["vm-isunavail", "vm-isonphone"] {
            let parts = [
                prompt("vm-theperson")?,
                prompt(&format!("digits/{digit}"))?,
                prompt(&format!("digits/{}", digit + 3))?,
                prompt(state)?,
                prompt("vm-intro")?,
            ];
            greetings.push(parts.concat());
        }
    }
    Ok(greetings)
}

/// The languages beside the one of `corpus`, and that one.
fn languages(corpus: &Path) -> Result<Vec<PathBuf>> {
    let all = corpus.parent().context("the corpus has no parent directory")?;
    let entries = fs::read_dir(all)?.flatten().map(|entry| entry.path());
    let mut languages: Vec<_> = entries.filter(|it| it.join("vm-intro.wav").is_file()).collect();
    languages.sort();
    let found = languages.len();
    ensure!(
        found >= 5,
        "{found} languages in {}: install asterisk-core-sounds-{{en,es,fr,it,ru}}-wav",
        all.display()
    );
    Ok(languages)
}

/// All files below.
fn list(directory: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(directory)
        .with_context(|| directory.display().to_string())?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { list(&path, paths)? } else { paths.push(path) }
    }
    Ok(())
}

fn read(path: &Path) -> Option<Vec<i16>> {
    let wav = Wav::parse(&fs::read(path).ok()?).ok()?;
    (wav.rate_hz == 8_000).then(|| wav.channel(0))
}

fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * FRAME / 20]
}
