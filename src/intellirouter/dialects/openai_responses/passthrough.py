"""The route to upstreams of the same dialect: bytes pass through, except for ids of stored responses."""

import re
from typing import Final

from intellirouter.core import Call
from intellirouter.dialects.routes.passthrough import AnswerEdit, ChatPassthrough
from intellirouter.dialects.wire.json_edit import json_string

_NO_PREVIOUS: Final = re.compile(rb'("previous_response_id"[ ]*:[ ]*)null')
"""It cannot match inside a JSON string, where quotes are escaped."""


class ResponsesPassthrough(ChatPassthrough):
    """Sets `previous_response_id` in responses to it.

    If the client refers to a stored response, the upstream gets the conversation itself instead of the id.
    """

    def answer_edit(self, call: Call, /) -> AnswerEdit | None:
        previous = call.context.previous_response_id
        if not previous:
            return None
        value = json_string(previous)
        return lambda block: _NO_PREVIOUS.sub(lambda match: match[1] + value, block)
