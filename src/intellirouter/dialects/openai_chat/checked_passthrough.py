"""The passthrough with checks of answers whose format clients rely on: tool calls, and JSON that follows a schema."""

import re
from typing import Final

from intellirouter.core import Call, Deployment, LossReport
from intellirouter.dialects.adapt.answer_checks import (
    checked_answer,
    expected_output,
    guard_for,
    relies_on_format,
)
from intellirouter.dialects.adapt.answer_limits import check_limits
from intellirouter.dialects.adapt.guarded_relay import GuardedRelay
from intellirouter.dialects.calls import answer_model
from intellirouter.dialects.ir import Response, ToolCall, finish_reason_of
from intellirouter.dialects.openai_chat.client import ChatClient
from intellirouter.dialects.openai_chat.client_request import decode_conversation
from intellirouter.dialects.openai_chat.client_response import encode_response
from intellirouter.dialects.openai_chat.passthrough import OpenAIChatPassthrough
from intellirouter.dialects.openai_chat.passthrough_stream import ChatStreamRelay
from intellirouter.dialects.openai_chat.relayed_text import UnwatchedText
from intellirouter.dialects.openai_chat.upstream import ChatUpstream
from intellirouter.dialects.openai_chat.upstream_response import decode_response
from intellirouter.dialects.openai_chat.upstream_stream import ChatStreamDecoder
from intellirouter.dialects.protocols import Answer, StreamRelay
from intellirouter.dialects.routes.other_mode import decode_whole, is_event_stream
from intellirouter.dialects.routes.translation import relay_of_whole

_UPSTREAM: Final = ChatUpstream()
_ODD_ARGUMENTS: Final = re.compile(rb'"arguments"\s*+:\s*+(?:"\s*+"|[^"\s])')
"""Arguments that are empty, or not a text."""
_ID: Final = re.compile(rb'"id"\s*+:\s*+"([^"\\]*+)"')


class CheckedChatPassthrough(OpenAIChatPassthrough):
    """Relays bytes like its base class, but raises `UpstreamMalformed` for an invalid answer."""

    def decode_response(self, body: bytes, call: Call | None = None, deployment: Deployment | None = None) -> Answer:
        if call is not None and deployment is not None and not body.startswith(b"{") and is_event_stream(body):
            response, _ = decode_whole(_UPSTREAM, body, deployment)
            check_limits(response, deployment.limits)
            response = checked_answer(response, expected_output(call, decode_conversation))
            response.model = answer_model(response.model, call, deployment)
            encoded = encode_response(response, call, LossReport())
            return Answer(response.usage, finish_reason_of(response.choices), encoded)
        answer = super().decode_response(body, call, deployment)
        if call is None or deployment is None or not relies_on_format(call):
            return answer
        response = decode_response(body, deployment)
        check_limits(response, deployment.limits)
        repaired = checked_answer(response, expected_output(call, decode_conversation))
        if _is_unchanged(repaired, response, body):
            return answer
        repaired.model = answer_model(response.model, call, deployment)
        return Answer(answer.usage, answer.finish_reason, encode_response(repaired, call, LossReport()))

    def relay(self, call: Call, deployment: Deployment | None = None) -> StreamRelay:
        if deployment is None or (guard := guard_for(call, decode_conversation, deployment.limits)) is None:
            return super().relay(call, deployment)
        relay = ChatStreamRelay(keeps_usage=call.wants_usage, text=UnwatchedText())
        return GuardedRelay(relay, ChatStreamDecoder(deployment), guard)

    def relay_whole(self, call: Call, deployment: Deployment) -> StreamRelay | None:
        return relay_of_whole(ChatClient(), _UPSTREAM, call, deployment)


def _is_unchanged(repaired: Response, response: Response, body: bytes) -> bool:
    """Return whether neither `checked_answer` nor the decoder has repaired anything.

    The decoder adds missing ids of calls, and reads their arguments as text even if they are an object or missing.
    """
    ids = {part.id.encode() for choice in response.choices for part in choice.parts if isinstance(part, ToolCall)}
    if repaired != response:
        return False
    return not ids or (ids.issubset(_ID.findall(body)) and _ODD_ARGUMENTS.search(body) is None)
