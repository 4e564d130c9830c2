"""A worker on livekit-agents that sends back what it hears: the least that such a worker can do.

    echo_agent.py start          with LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET

Takes every job that is dispatched to it by the name in AGENT_NAME, whatever the machine's load.
"""

import os

from livekit import rtc
from livekit.agents import AgentServer, AutoSubscribe, JobContext, cli

RATE = 48_000

server = AgentServer(load_fnc=lambda: 0.0, load_threshold=0.99, host="127.0.0.1", port=0)


@server.rtc_session(agent_name=os.environ.get("AGENT_NAME", "echo"))
async def echo(context: JobContext):
    await context.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY)
    source = rtc.AudioSource(RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("echo", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False)
    await context.room.local_participant.publish_track(track, options)
    caller = await context.wait_for_participant()
    stream = rtc.AudioStream.from_participant(
        participant=caller, track_source=rtc.TrackSource.SOURCE_MICROPHONE, sample_rate=RATE, num_channels=1
    )
    async for event in stream:
        await source.capture_frame(event.frame)
    context.shutdown()


if __name__ == "__main__":
    cli.run_app(server)
