"""Pipecat pipelines that give back what they hear, with Pipecat's own serializers.

    echo.py twilio PORT     a server for Twilio Media Streams, on 127.0.0.1:PORT
    echo.py exotel URL      a client that speaks as Exotel's Voicebot applet does

Says "ready" once the server listens, or the client has been let in.
"""

import asyncio
import json
import sys

from loguru import logger
from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner


class Echo(FrameProcessor):
    """Says each piece of audio that it hears."""

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            said = OutputAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels)
            await self.push_frame(said)
        else:
            await self.push_frame(frame, direction)


async def run(transport, gone: str):
    pipeline = Pipeline([transport.input(), Echo(), transport.output()])
    params = PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000)
    worker = PipelineWorker(pipeline, params=params)

    @transport.event_handler(gone)
    async def on_gone(_transport, _peer):
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def twilio(port: int):
    import uvicorn
    from fastapi import FastAPI, WebSocket
    from pipecat.runner.utils import parse_telephony_websocket
    from pipecat.serializers.twilio import TwilioFrameSerializer
    from pipecat.transports.websocket.fastapi import (
        FastAPIWebsocketParams,
        FastAPIWebsocketTransport,
    )

    app = FastAPI()

    @app.websocket("/")
    async def call(websocket: WebSocket):
        await websocket.accept()
        kind, data = await parse_telephony_websocket(websocket)
        assert kind == "twilio", kind
        serializer = TwilioFrameSerializer(
            stream_sid=data["stream_id"],
            call_sid=data["call_id"],
            params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
        )
        params = FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=True, serializer=serializer
        )
        await run(FastAPIWebsocketTransport(websocket, params), "on_client_disconnected")

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets)
            print("ready", flush=True)

    await Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning")).serve()


async def exotel(url: str):
    from pipecat.serializers.exotel import ExotelFrameSerializer
    from pipecat.transports.websocket.client import WebsocketClientParams, WebsocketClientTransport

    params = WebsocketClientParams(
        audio_in_enabled=True,
        audio_out_enabled=True,
        add_wav_header=False,
        serializer=ExotelFrameSerializer(stream_sid="MZpipecat", call_sid="CApipecat"),
    )
    transport = WebsocketClientTransport(url, params)

    # The serializer is made for the other end of this protocol: what Exotel says first is said here.
    @transport.event_handler("on_connected")
    async def on_connected(_transport, websocket):
        start = {
            "stream_sid": "MZpipecat",
            "call_sid": "CApipecat",
            "account_sid": "ACpipecat",
            "from": "+919876543210",
            "to": "+918047491899",
            "media_format": {"encoding": "base64", "sample_rate": "8000", "bit_rate": "128kbps"},
        }
        await websocket.send(json.dumps({"event": "connected"}))
        await websocket.send(
            json.dumps({"event": "start", "stream_sid": "MZpipecat", "start": start})
        )
        print("ready", flush=True)

    await run(transport, "on_disconnected")


logger.remove()
logger.add(sys.stderr, level="WARNING")
match sys.argv[1]:
    case "twilio":
        asyncio.run(twilio(int(sys.argv[2])))
    case "exotel":
        asyncio.run(exotel(sys.argv[2]))
