"""Who may be in a room, by the server's own key (LIVEKIT_API_KEY, LIVEKIT_API_SECRET)."""

import os

from livekit import api


def access(room, identity):
    """Somebody who may do in `room` all that participants do."""
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_publish=True,
        can_subscribe=True,
        can_publish_data=True,
        can_update_own_metadata=True,
    )
    made = api.AccessToken(os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"])
    return made.with_identity(identity).with_grants(grants)


def telephone(room, identity, attributes):
    """Somebody whom a SIP gateway has brought, with its `attributes`."""
    return access(room, identity).with_kind("sip").with_attributes(attributes)
