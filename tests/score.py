"""Aligns a degraded recording with its reference and scores it by narrow-band PESQ.

usage: score.py REFERENCE.wav DEGRADED.wav [CHANNEL]
Prints one JSON object: {"pesq": 4.2, "offset_ms": 37.5}.
"""

import json
import sys

import numpy as np
from pesq import pesq
from scipy.io import wavfile
from scipy.signal import correlate, resample_poly

RATE_HZ = 8000


def read(path, channel=0):
    rate_hz, pcm = wavfile.read(path)
    pcm = pcm.astype(np.float64)
    if pcm.ndim == 2:
        pcm = pcm[:, channel]
    return resample_poly(pcm, RATE_HZ, rate_hz) if rate_hz != RATE_HZ else pcm


def main():
    channel = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    reference, degraded = read(sys.argv[1]), read(sys.argv[2], channel)
    correlation = correlate(degraded, reference, mode="full", method="fft")
    lag = int(np.argmax(correlation)) - (len(reference) - 1)
    aligned = degraded[lag:] if lag >= 0 else np.concatenate([np.zeros(-lag), degraded])
    length = min(len(reference), len(aligned))
    score = pesq(RATE_HZ, reference[:length].astype(np.int16), aligned[:length].astype(np.int16), "nb")
    print(json.dumps({"pesq": round(float(score), 3), "offset_ms": lag * 1000 / RATE_HZ}))


main()
