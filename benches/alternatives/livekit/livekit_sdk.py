#!/usr/bin/env python3
"""Decision 0004: what libwebrtc inside a LiveKit SDK holds before the first call.

The Rust SDK cannot be built everywhere (./try-build); PyPI's `livekit` brings the same SDK, Rust and
libwebrtc, as one shared library. Installs it into the venv that is named, and prints resident
memory, threads, descriptors and size on disk: of the bare interpreter, after the import, with a
Room and an AudioSource, and with ten more of each.

    livekit_sdk.py VENV
"""

import asyncio
import os
import subprocess
import sys
import venv
from pathlib import Path

VERSION = "1.2.1"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    python = Path(sys.argv[1]) / "bin" / "python"
    if not python.exists():
        venv.create(sys.argv[1], with_pip=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, f"livekit=={VERSION}"], check=True)
    subprocess.run([python, __file__, "--measure"], check=True)


async def measure() -> None:
    held("bare interpreter")
    from livekit import rtc

    held("after the import")
    print(f"  on disk: {size_mib(Path(rtc.__file__).parent):.0f} MiB")
    kept = [pair(rtc)]
    await settle()
    held("with a Room and an AudioSource")
    kept += [pair(rtc) for _ in range(10)]
    await settle()
    held("with ten more of each")


def pair(rtc):
    """A room, not connected, and a source with its track, as a call to a bot would need."""
    source = rtc.AudioSource(48_000, 1)
    return rtc.Room(), source, rtc.LocalAudioTrack.create_audio_track("voice", source)


async def settle() -> None:
    """Threads start behind the call that asks for them: waits until there are no more of them."""
    threads = -1
    while threads != count("task"):
        threads = count("task")
        await asyncio.sleep(0.5)


def held(state: str) -> None:
    status = Path("/proc/self/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    mib = int(resident.split()[1]) / 1024
    print(f"  {state}: {mib:.0f} MiB resident, {count('task')} threads, {count('fd')} descriptors")


def count(kind: str) -> int:
    return len(os.listdir(f"/proc/self/{kind}"))


def size_mib(folder: Path) -> float:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 2**20


if __name__ == "__main__":
    if sys.argv[1:] == ["--measure"]:
        print("livekit (PyPI), the SDK with libwebrtc:")
        asyncio.run(measure())
    else:
        main()
