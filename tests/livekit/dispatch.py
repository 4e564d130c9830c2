"""Has LiveKit dispatch an agent to a room, or end the room's dispatches, with its server API.

    dispatch.py URL ROOM AGENT_NAME METADATA
    dispatch.py URL ROOM
"""

import asyncio
import sys

from livekit import api


async def dispatch(url, room, agent_name, metadata):
    async with api.LiveKitAPI(url) as server:
        request = api.CreateAgentDispatchRequest(
            room=room, agent_name=agent_name, metadata=metadata
        )
        await server.agent_dispatch.create_dispatch(request)


async def end(url, room):
    async with api.LiveKitAPI(url) as server:
        for dispatch in await server.agent_dispatch.list_dispatch(room):
            await server.agent_dispatch.delete_dispatch(dispatch.id, room)


asyncio.run(end(*sys.argv[1:]) if len(sys.argv) == 3 else dispatch(*sys.argv[1:]))
