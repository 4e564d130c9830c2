"""Joins two calls: a server for Twilio Media Streams that gives each caller what the other says.

    join.py PORT

Says "ready" once it listens.
"""

import asyncio
import json
import sys

import websockets

# The stream id and socket of whoever is here; two at most.
here = {}


async def call(websocket):
    sid = None
    async for text in websocket:
        message = json.loads(text)
        if message["event"] == "start":
            sid = message["start"]["streamSid"]
            here[sid] = websocket
        elif message["event"] == "media":
            for other, socket in list(here.items()):
                if other != sid:
                    media = {"payload": message["media"]["payload"]}
                    said = {"event": "media", "streamSid": other, "media": media}
                    await socket.send(json.dumps(said))
        elif message["event"] == "stop":
            break
    here.pop(sid, None)


async def main(port: int):
    async with websockets.serve(call, "127.0.0.1", port):
        print("ready", flush=True)
        await asyncio.Future()


asyncio.run(main(int(sys.argv[1])))
