//! What is there to be compared, and how it compares.

use anyhow::{Result, ensure};
use clap::ValueEnum;
use vox_benches::{median, spread};
use vox_tests::asterisk::Asterisk;

use crate::Comparison;
use crate::measure::Measured;
use crate::server::Side;

/// The sides that were asked for and are there; says what versions they are of, and what is missing.
pub(crate) fn present(options: &Comparison) -> Result<Vec<Side>> {
    let asked = |side: &Side| options.only.is_empty() || options.only.contains(side);
    let mut sides: Vec<_> = Side::value_variants().iter().copied().filter(asked).collect();
    if sides.iter().any(|side| side.is_asterisk()) {
        match Asterisk::start(None) {
            Some(asterisk) => println!("peer: {}", asterisk.version()),
            None => {
                println!("MISSING: Asterisk. `./dev asterisk` installs it. Without it:");
                sides.retain(|side| !side.is_asterisk());
            }
        }
    }
    ensure!(!sides.is_empty(), "nothing is left to be compared");
    Ok(sides)
}

pub(crate) fn print(options: &Comparison, calls: usize, sides: &[(Side, Vec<Measured>)]) {
    let Comparison { rounds, seconds, .. } = options;
    println!("\n{calls} calls; median (lowest-highest) of {rounds} rounds of {seconds} s");
    println!(
        "| | % of a core per call | beside the bare echo | beside Asterisk's Echo() | MiB per call \
         | round trip p50 / p95 / p99 ms | packets of a call not back |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (side, measured) in sides {
        let mut cpu: Vec<_> = measured.iter().map(|one| one.cpu).collect();
        let middle = |of: &dyn Fn(&Measured) -> f64| {
            median(&mut measured.iter().map(of).collect::<Vec<_>>())
        };
        println!(
            "| {} | {} | {} | {} | {:.3} | {:.1} / {:.1} / {:.1} | {:.1} |",
            side.name(),
            spread(&mut cpu, 4),
            beside(measured, sides, Side::Floor),
            beside(measured, sides, Side::Asterisk),
            middle(&|one| one.call_mib),
            middle(&|one| one.round_trip_ms[0]),
            middle(&|one| one.round_trip_ms[1]),
            middle(&|one| one.round_trip_ms[2]),
            middle(&|one| one.missing),
        );
    }
}

/// Ratios to another side, round by round.
fn beside(measured: &[Measured], sides: &[(Side, Vec<Measured>)], other: Side) -> String {
    let Some((_, others)) = sides.iter().find(|(side, _)| *side == other) else {
        return "-".into();
    };
    let ratios = measured.iter().zip(others).map(|(one, other)| one.cpu / other.cpu);
    spread(&mut ratios.collect::<Vec<_>>(), 2)
}
