"""People whom a dialler has called, one after the other: rooms NAME-0, NAME-1, … of a LiveKit server.

    callees.py URL NAME IDENTITY RUNS

Each joins as a SIP participant that is `active`, says so (one JSON object a line, as everything else), and
leaves when it has heard 100 ms that are no silence. Of a chirp from 300 Hz on, 1 kHz a second, it says
where in it what was heard began.
"""

import array
import asyncio
import json
import sys
import time

from livekit import rtc

from tokens import telephone

RATE = 48_000
# Of a sample that is no silence.
LOUD = 1_000


def say(event, **facts):
    print(json.dumps({"event": event, "at": time.time(), **facts}), flush=True)


def began_ms(samples):
    """Where in the chirp these samples are, by the time between rising zero crossings."""
    rising = [i for i in range(1, len(samples)) if samples[i - 1] < 0 <= samples[i]]
    periods = len(rising) - 1
    frequency = periods * RATE / (rising[-1] - rising[0])
    middle = (rising[-1] + rising[0]) / 2 / RATE
    return (frequency - 300) - middle * 1_000


async def callee(url, room_name, identity):
    room, heard = rtc.Room(), asyncio.Event()

    async def hear(track):
        loud = array.array("h")
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            samples = array.array("h", bytes(event.frame.data))
            if not loud:
                first = next((i for i, s in enumerate(samples) if abs(s) > LOUD), None)
                if first is None:
                    continue
                say("heard")
                samples = samples[first:]
            loud.extend(samples)
            if len(loud) > RATE // 10:
                say("began", ms=began_ms(loud))
                return heard.set()

    @room.on("track_published")
    def published(publication, participant):
        say("published")
        publication.set_subscribed(True)

    @room.on("track_subscribed")
    def subscribed(track, publication, participant):
        say("subscribed")
        room.hearing = asyncio.create_task(hear(track))

    attributes = {"sip.callStatus": "active", "sip.callID": room_name}
    token = telephone(room_name, identity, attributes).to_jwt()
    await room.connect(url, token, rtc.RoomOptions(auto_subscribe=False))
    source = rtc.AudioSource(RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("phone", source)
    await room.local_participant.publish_track(track, rtc.TrackPublishOptions(dtx=False, red=False))
    say("joined")
    await asyncio.wait_for(heard.wait(), 30)
    await room.disconnect()


async def main():
    url, name, identity, runs = sys.argv[1:]
    for run in range(int(runs)):
        await callee(url, f"{name}-{run}", identity)


asyncio.run(main())
