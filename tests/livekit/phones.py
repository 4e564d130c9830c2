"""Many telephones in one process, each in a LiveKit room of its own; told what to do on stdin.

    phones.py URL

A line of JSON starts a call:

    {"call": "c1", "room": "r1", "say": "probes" | "burst", "listen": true,
     "request": {"agent": "echo"} | {"url": "http://…/livekit/dispatch", "secret": "…", "bot": "echo"}}

Another one ends it: {"end": "c1"}. The end of stdin ends all of them, and then the process. The
request, made once the phone is in the room, has somebody answer: LiveKit's own dispatch of an
agent, or a worker's route.

Behaves as phone.py does. `probes` says a chirp about twice a second until it is ended; with `listen`
it finds them again in what comes back and tells each round trip: from handing the SDK the frame
with a chirp's first sample to being given the frame with that sample's echo. `burst` speaks for
a second, then sends and hears nothing, so that a machine holds many. Ended, a phone hangs up as
livekit-sip does, or with `"vanish": true` just leaves. Says what happens, one JSON object a
line, with the time since 1970 and the call it concerns.
"""

import array
import asyncio
import json
import logging
import random
import sys
import time

import aiohttp
import numpy as np
from livekit import api, rtc

from tokens import telephone

RATE = 48_000
FRAME = RATE // 100
PERIOD = FRAME / RATE


def chirp(seconds=0.04, low=500.0, high=3000.0):
    at = np.arange(int(seconds * RATE)) / RATE
    sweep = np.sin(2 * np.pi * (low * at + (high - low) / (2 * seconds) * at**2))
    return 16_000 * sweep * np.hanning(len(at))


CHIRP = chirp()
SILENCE = bytes(2 * FRAME)
NUMBER = "+15105550111"
# An echo later than this is taken for lost; chirps are further apart.
ECHO_MAX = 0.45
# How like the chirp an echo must be: the cosine of the angle between the two. A jitter buffer that
# stretches time within a chirp leaves little of it; silence and noise come to 0.1.
LIKENESS_MIN = 0.3


def chirp_frames():
    """A chirp in frames; it begins anywhere within the first, as a caller's words do."""
    begin = random.randrange(FRAME)
    padded = np.zeros(-(-(begin + len(CHIRP)) // FRAME) * FRAME)
    padded[begin : begin + len(CHIRP)] = CHIRP
    data = padded.astype(np.int16).tobytes()
    return begin / RATE, [data[at : at + 2 * FRAME] for at in range(0, len(data), 2 * FRAME)]


def token(room):
    """A SIP participant's that rings."""
    attributes = {"sip.callStatus": "ringing", "sip.phoneNumber": NUMBER, "sip.ruleID": "SDR_1"}
    return telephone(room, f"sip_{NUMBER}", attributes).to_jwt()


class Phone:
    def __init__(self, url, order, http):
        self.url, self.order, self.name = url, order, order["call"]
        self.http, self.api = http, api.LiveKitAPI(url.replace("ws", "http", 1), session=http)
        self.room, self.heard, self.tasks = rtc.Room(), [], []
        self.spoken_to, self.over = asyncio.Event(), asyncio.Event()
        self.asked = time.time()
        self.sent = []  # when each chirp's first sample was handed over

    def say(self, event, **facts):
        line = {"event": event, "call": self.name, "at": time.time(), **facts}
        print(json.dumps(line), flush=True)

    async def run(self):
        try:
            await self.call()
        except Exception as error:
            self.say("failed", why=f"{type(error).__name__}: {error}")
        finally:
            for task in self.tasks:
                task.cancel()
            await self.room.disconnect()
            self.say("ended", **self.round_trips())

    async def call(self):
        self.listen_to_the_room()
        options = rtc.RoomOptions(auto_subscribe=False)
        await self.room.connect(self.url, token(self.order["room"]), options)
        self.source = rtc.AudioSource(RATE, 1, queue_size_ms=0)
        track = rtc.LocalAudioTrack.create_audio_track("phone", self.source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False)
        await self.room.local_participant.publish_track(track, options)
        self.say("joined")
        for participant in self.room.remote_participants.values():
            for publication in participant.track_publications.values():
                publication.set_subscribed(True)
        if request := self.order.get("request"):
            await self.ask(request)
        await asyncio.wait_for(self.spoken_to.wait(), 60)
        await self.room.local_participant.set_attributes({"sip.callStatus": "active"})
        self.say("active")
        await (self.probe() if self.order["say"] == "probes" else self.burst())
        await self.over.wait()
        if self.room.isconnected() and not self.order.get("vanish"):
            hung_up = self.room.local_participant.set_attributes({"sip.callStatus": "hangup"})
            # Nobody may be left to confirm it.
            await asyncio.wait([asyncio.ensure_future(hung_up)], timeout=0.5)

    async def ask(self, request):
        self.asked = time.time()
        if agent := request.get("agent"):
            asked = api.CreateAgentDispatchRequest(agent_name=agent, room=self.order["room"])
            await self.api.agent_dispatch.create_dispatch(asked)
            return
        body = {
            "room_name": self.order["room"],
            "caller_number": NUMBER,
            "dialed_number": request["bot"],
        }
        headers = {"X-VoxCore-Secret": request["secret"]}
        async with self.http.post(request["url"], json=body, headers=headers) as answer:
            self.say("accepted", status=answer.status, body=await answer.text())
            answer.raise_for_status()

    def listen_to_the_room(self):
        @self.room.on("track_published")
        def published(publication, participant):
            publication.set_subscribed(True)

        @self.room.on("track_subscribed")
        def subscribed(track, publication, participant):
            if not self.spoken_to.is_set():
                after_ms = 1000 * (time.time() - self.asked)
                self.say("subscribed", identity=participant.identity, after_ms=after_ms)
            if self.order.get("listen"):
                self.tasks.append(asyncio.create_task(self.hear(track)))
            self.spoken_to.set()

        @self.room.on("disconnected")
        def disconnected(reason):
            self.over.set()

        @self.room.on("participant_disconnected")
        def left(participant):
            self.say("left", identity=participant.identity)
            self.over.set()

    async def hear(self, track):
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            if not self.heard:
                self.say("heard")
            self.heard.append((time.monotonic(), bytes(event.frame.data)))

    async def probe(self):
        """Chirps, silence between them, 10 ms at a time on an absolute grid."""
        due = time.monotonic()
        until = due + random.random() / 2
        while not self.over.is_set():
            if due < until:
                await self.send(SILENCE, due)
                due += PERIOD
                continue
            begin, frames = chirp_frames()
            for n, frame in enumerate(frames):
                at = await self.send(frame, due)
                due += PERIOD
                if n == 0:
                    self.sent.append(at + begin)
            until = due + 0.45 + random.random() / 10

    async def burst(self):
        due = time.monotonic()
        for _ in range(12):
            _, frames = chirp_frames()
            for frame in frames + 3 * [SILENCE]:
                await self.send(frame, due)
                due += PERIOD
                if self.over.is_set():
                    return
        for participant in self.room.remote_participants.values():
            for publication in participant.track_publications.values():
                publication.set_subscribed(False)

    async def send(self, data, due):
        await asyncio.sleep(max(0, due - time.monotonic()))
        at = time.monotonic()
        await self.source.capture_frame(rtc.AudioFrame(data, RATE, 1, FRAME))
        return at

    def round_trips(self):
        """In milliseconds, of the chirps that came back, and how many had the time to."""
        if not self.heard:
            return {"sent": 0, "round_trips_ms": []}
        times = array.array("d", (at for at, _ in self.heard))
        sizes = [len(data) // 2 for _, data in self.heard]
        firsts = np.concatenate(([0], np.cumsum(sizes)))
        samples = np.frombuffer(b"".join(data for _, data in self.heard), dtype=np.int16)
        in_time = [sent for sent in self.sent if sent + ECHO_MAX < times[-1]]
        found = []
        for sent in in_time:
            first, last = np.searchsorted(times, [sent, sent + ECHO_MAX])
            window = samples[firsts[first] : firsts[last]].astype(np.float64)
            at = find(window)
            if at is None:
                continue
            frame = int(np.searchsorted(firsts, firsts[first] + at, side="right")) - 1
            within = (firsts[first] + at - firsts[frame]) / RATE
            found.append(round(1000 * (times[frame] + within - sent), 2))
        return {"sent": len(in_time), "round_trips_ms": found}


def find(window):
    """Where in `window` the chirp begins."""
    if len(window) < 2 * len(CHIRP):
        return None
    size = len(window) + len(CHIRP)
    product = np.fft.rfft(window, size) * np.conj(np.fft.rfft(CHIRP, size))
    alike = np.fft.irfft(product, size)[: len(window) - len(CHIRP) + 1]
    power = np.cumsum(np.concatenate(([0.0], window**2)))
    power = power[len(CHIRP) :] - power[: -len(CHIRP)]
    likeness = alike / (np.sqrt(np.maximum(power, 1e6)) * np.linalg.norm(CHIRP))
    at = int(np.argmax(likeness))
    return at if likeness[at] >= LIKENESS_MIN else None


async def main(url):
    phones, tasks = {}, []
    reader = asyncio.StreamReader(limit=1 << 20)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    async with aiohttp.ClientSession() as http:
        while line := await reader.readline():
            order = json.loads(line)
            if ended := order.get("end"):
                if phone := phones.pop(ended, None):
                    phone.over.set()
                continue
            phone = phones[order["call"]] = Phone(url, order, http)
            tasks = [task for task in tasks if not task.done()]
            tasks.append(asyncio.create_task(phone.run()))
        for phone in phones.values():
            phone.over.set()
        await asyncio.gather(*tasks)


# The SDK warns of a handle for every phone that it forgets.
logging.getLogger("livekit").setLevel(logging.ERROR)
asyncio.run(main(sys.argv[1]))
