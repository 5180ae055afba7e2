"""Responses over an upstream that speaks them, too: bytes pass, but for what the gateway has done in its place."""

import re
from typing import Final

from intellirouter.core import Call
from intellirouter.dialects.routes.translation import ChatPassthrough, Edit
from intellirouter.dialects.wire.json_edit import json_string

_NO_PREVIOUS: Final = re.compile(rb'("previous_response_id"[ ]*:[ ]*)null')
"""In a text, its quotes would be escaped."""


class ResponsesPassthrough(ChatPassthrough):
    """The upstream was sent the history, and knows of no response before."""

    def edit(self, call: Call, /) -> Edit | None:
        previous = call.context.previous_response_id
        if not previous:
            return None
        named = json_string(previous)
        return lambda block: _NO_PREVIOUS.sub(lambda found: found[1] + named, block)
