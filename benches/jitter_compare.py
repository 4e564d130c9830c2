#!/usr/bin/env python3
"""Scores the jitter buffer and a fixed 60 ms one with PESQ, on the same packets.

    cargo build -p vox-benches --bin jitter_compare
    pip install pesq numpy
    benches/jitter_compare.py [--binary PATH] [--seeds N] speech.wav

speech.wav: mono, 8 kHz, 16 bit, ~25 s of speech. Prints a table in Markdown.
"""
import argparse
import json
import subprocess
import tempfile
import wave

import numpy
from pesq import pesq

NETWORKS = ["clean", "loss5", "jitter40", "netem40", "burst500"]


def samples(path):
    with wave.open(path) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (8000, 1, 2), path
        return numpy.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2")


def run(options, network, seed, reference):
    with tempfile.TemporaryDirectory() as out:
        command = [options.binary, "--speech", options.speech, "--network", network]
        command += ["--seed", str(seed), "--out", out]
        figures = json.loads(subprocess.check_output(command))
        for side in ("adaptive", "fixed"):
            figures[side]["pesq"] = pesq(8000, reference, samples(f"{out}/{side}.wav"), "nb")
    return figures


def mean(runs, side, *keys):
    return numpy.mean([sum(figures[side][key] or 0 for key in keys) for figures in runs])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speech")
    parser.add_argument("--binary", default="target/debug/jitter_compare")
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    reference = samples(options.speech)
    print("| network | PESQ | fixed | speech lost, ms | fixed | delay, ms | fixed | back in, s |")
    print("|---|---|---|---|---|---|---|---|")
    for network in NETWORKS:
        seeds = range(1, options.seeds + 1)
        runs = [run(options, network, seed, reference) for seed in seeds]
        lost = [20 * mean(runs, side, "lost", "late") for side in ("adaptive", "fixed")]
        back = [figures["adaptive"]["back_within_20_ms_after_s"] or 0 for figures in runs]
        print(
            f"| {network} | {mean(runs, 'adaptive', 'pesq'):.2f} | {mean(runs, 'fixed', 'pesq'):.2f}"
            f" | {lost[0]:.0f} | {lost[1]:.0f}"
            f" | {mean(runs, 'adaptive', 'delay_mean_ms'):.0f}"
            f" | {mean(runs, 'fixed', 'delay_mean_ms'):.0f}"
            f" | {f'{max(back):.1f}' if network == 'burst500' else '–'} |"
        )


if __name__ == "__main__":
    main()
