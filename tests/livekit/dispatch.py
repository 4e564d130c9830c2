"""Has LiveKit dispatch an agent to a room, with its server API.

    dispatch.py URL ROOM AGENT_NAME METADATA
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


asyncio.run(dispatch(*sys.argv[1:]))
