"""A telephone in a LiveKit room, with the Python SDK: behaves as livekit-sip's participants do.

    phone.py URL ROOM SPEECH.wav HEARD.wav [--digits 12#] [--hold SECONDS] …

Joins as a SIP participant that rings, publishes its microphone, hears every audio track, is `active`
once somebody else publishes one (of an outbound call: after --active-after seconds; --status active: at
once), plays SPEECH and records HEARD (48 kHz, mono, from the first sample of SPEECH on), hangs up. With
--visitor it is an ordinary participant; with --agent, the room is made as by a dispatch rule that names
it. Says what happens, one JSON object a line.
"""

import argparse
import array
import asyncio
import json
import time
import uuid
import wave

from livekit import api, rtc

from tokens import access, telephone

RATE = 48_000
FRAME = RATE // 50
# Of a sample that is no silence.
LOUD = 300


def say(event, **facts):
    print(json.dumps({"event": event, "at": time.time(), **facts}), flush=True)


def token(args):
    attributes = {
        "sip.callID": f"SCL_{uuid.uuid4().hex[:12]}",
        "sip.callStatus": args.status,
        "sip.phoneNumber": args.number,
        "sip.trunkPhoneNumber": args.dialed,
        "sip.trunkID": "ST_1",
        "sip.ruleID": "SDR_1",
    }
    identity = args.identity or f"sip_{args.number}"
    if args.visitor:
        return access(args.room, identity).with_name("Visitor").to_jwt()
    made = telephone(args.room, identity, attributes).with_name(f"Phone {args.number}")
    if args.agent:
        dispatch = api.RoomAgentDispatch(agent_name=args.agent, metadata=args.metadata)
        made = made.with_room_config(api.RoomConfiguration(agents=[dispatch]))
    return made.to_jwt()


def samples(path):
    with wave.open(path) as file:
        assert file.getsampwidth() == 2 and file.getnchannels() == 1, "16-bit mono"
        assert file.getframerate() == RATE, f"{RATE} Hz"
        return file.readframes(file.getnframes())


async def hear(track, heard):
    silent = True
    async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
        data = bytes(event.frame.data)
        heard.append((time.monotonic(), data))
        if silent and max(map(abs, array.array("h", data))) > LOUD:
            say("heard")
            silent = False


async def publish_clutter(room, tracks):
    video = rtc.LocalVideoTrack.create_video_track("camera", rtc.VideoSource(64, 64))
    await room.local_participant.publish_track(video)
    for nth in range(tracks):
        source = rtc.AudioSource(RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track(f"clutter-{nth}", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_UNKNOWN)
        await room.local_participant.publish_track(track, options)


async def call(args):
    room, heard, tasks = rtc.Room(), [], []
    spoken_to, gone = asyncio.Event(), asyncio.Event()

    @room.on("track_published")
    def published(publication, participant):
        publication.set_subscribed(True)

    @room.on("track_subscribed")
    def subscribed(track, publication, participant):
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            say("subscribed", identity=participant.identity)
            # A track that is gone goes on in silence.
            for task in tasks:
                task.cancel()
            tasks.append(asyncio.create_task(hear(track, heard)))
            spoken_to.set()

    @room.on("sip_dtmf_received")
    def dtmf(event):
        say("digit", digit=event.digit)

    @room.on("disconnected")
    def disconnected(reason):
        say("disconnected", reason=str(reason))
        gone.set()

    @room.on("participant_disconnected")
    def left(participant):
        say("left", identity=participant.identity)
        if not args.patient:
            gone.set()

    await room.connect(args.url, token(args), rtc.RoomOptions(auto_subscribe=False))
    if args.clutter:
        await publish_clutter(room, args.clutter)
    source = rtc.AudioSource(RATE, 1, queue_size_ms=200)
    track = rtc.LocalAudioTrack.create_audio_track("phone", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False)
    await room.local_participant.publish_track(track, options)
    say("joined")
    for participant in room.remote_participants.values():
        for publication in participant.track_publications.values():
            publication.set_subscribed(True)
    for digit in args.early_digits:
        await room.local_participant.publish_dtmf(code=ord(digit), digit=digit)
    if args.active_after is not None:
        await asyncio.sleep(args.active_after)
    elif not args.visitor and args.status != "active":
        waiting = [asyncio.ensure_future(event.wait()) for event in (spoken_to, gone)]
        await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert spoken_to.is_set() or gone.is_set(), "nobody speaks"
    if gone.is_set():
        return
    if not args.visitor and args.status != "active":
        await room.local_participant.set_attributes({"sip.callStatus": "active"})
    say("active")
    for digit in args.digits:
        await room.local_participant.publish_dtmf(code=ord(digit), digit=digit)
        await asyncio.sleep(0.3)
    speech = bytes(2 * RATE * args.listen) + samples(args.speech)
    began = time.monotonic()
    for start in range(0, len(speech) - 2 * FRAME + 1, 2 * FRAME):
        if gone.is_set():
            break
        frame = rtc.AudioFrame(speech[start : start + 2 * FRAME], RATE, 1, FRAME)
        await source.capture_frame(frame)
    try:
        await asyncio.wait_for(gone.wait(), args.hold)
    except asyncio.TimeoutError:
        pass
    with wave.open(args.heard, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(b"".join(data for at, data in heard if at >= began))
    if not gone.is_set():
        say("hanging_up")
        if not args.visitor:
            await room.local_participant.set_attributes({"sip.callStatus": "hangup"})
    await room.disconnect()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("room")
    parser.add_argument("speech")
    parser.add_argument("heard")
    parser.add_argument("--number", default="+15105550111")
    parser.add_argument("--identity", help="sip_NUMBER otherwise")
    parser.add_argument("--status", default="ringing", help="sip.callStatus to begin with")
    parser.add_argument("--active-after", type=float, help="seconds")
    parser.add_argument("--visitor", action="store_true", help="no telephone")
    parser.add_argument("--dialed", default="+15105550100")
    parser.add_argument("--agent", default="", help="whom the room's dispatch rule names")
    parser.add_argument("--metadata", default="", help="of that dispatch")
    parser.add_argument("--clutter", type=int, default=0, help="tracks besides the microphone")
    parser.add_argument("--digits", default="")
    parser.add_argument("--early-digits", default="")
    parser.add_argument("--listen", type=int, default=0, help="seconds before SPEECH, kept in HEARD")
    parser.add_argument("--patient", action="store_true", help="stays when others leave")
    parser.add_argument("--hold", type=float, default=1.5, help="seconds after SPEECH")
    return parser.parse_args()


asyncio.run(call(arguments()))
