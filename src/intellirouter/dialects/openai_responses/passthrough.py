"""Responses over an upstream of the same dialect: bytes pass, except for what the gateway did in its place."""

import re
from typing import Final

from intellirouter.core import Call
from intellirouter.dialects.routes.passthrough import AnswerEdit, ChatPassthrough
from intellirouter.dialects.wire.json_edit import json_string

_NO_PREVIOUS: Final = re.compile(rb'("previous_response_id"[ ]*:[ ]*)null')
"""Matches no text: quotes are escaped there."""


class ResponsesPassthrough(ChatPassthrough):
    """The upstream was sent the history and knows no previous response: the answer is given its id."""

    def answer_edit(self, call: Call, /) -> AnswerEdit | None:
        previous = call.context.previous_response_id
        if not previous:
            return None
        named = json_string(previous)
        return lambda block: _NO_PREVIOUS.sub(lambda found: found[1] + named, block)
