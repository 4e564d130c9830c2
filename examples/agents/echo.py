#!/usr/bin/env python3
"""A brain for Vox in Python: gives the caller's words back. See docs/src/vox-protocol.md.

    pip install websockets
    python3 echo.py 8765          # then, in bots.toml:
    agent = { kind = "websocket", url = "ws://127.0.0.1:8765/", protocol = "vox" }

Keys: `0` drops what is queued, `9` says a second of tone, `#` hangs up.
"""
import asyncio
import json
import math
import struct
import sys

from websockets.asyncio.server import serve

HEADER = struct.Struct("<BBBBII")  # version, kind, flags, kHz, sequence, position in ms
VERSION, AUDIO = 1, 0


def tone(rate_khz: int) -> bytes:
    """A second of 440 Hz."""
    rate_hz = rate_khz * 1000
    samples = (int(8000 * math.sin(2 * math.pi * 440 * n / rate_hz)) for n in range(rate_hz))
    return HEADER.pack(VERSION, AUDIO, 0, rate_khz, 0, 0) + struct.pack(f"<{rate_hz}h", *samples)


async def talk(socket) -> None:
    async def wish(**message) -> None:
        await socket.send(json.dumps(message))

    rate_khz = 8
    async for message in socket:
        if isinstance(message, bytes):
            version, kind, *_ = HEADER.unpack_from(message)
            if (version, kind) == (VERSION, AUDIO):
                await socket.send(message)
            continue
        event = json.loads(message)
        print(json.dumps(event), flush=True)
        match event["type"]:
            case "connected":
                rate_khz = event["audio"]["rate_hz"] // 1000
            case "digit" if event["digit"] == "0":
                await wish(type="clear")
            case "digit" if event["digit"] == "9":
                await socket.send(tone(rate_khz))
                await wish(type="mark", name="tone")
            case "digit" if event["digit"] == "#":
                await wish(type="hang_up", reason="the caller pressed #")


async def main(port: int) -> None:
    async with serve(talk, "127.0.0.1", port, subprotocols=["vox.v1"], compression=None) as server:
        print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8765))
