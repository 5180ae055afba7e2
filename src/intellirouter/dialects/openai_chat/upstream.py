"""The upstream side: OpenAI's API and compatible servers."""

from typing import Final

from intellirouter.core import Call, Deployment, LossReport, UpstreamRequest
from intellirouter.dialects.ir import Conversation, Response
from intellirouter.dialects.openai import upstream_errors
from intellirouter.dialects.openai_chat.passthrough import OpenAIChatPassthrough
from intellirouter.dialects.openai_chat.reasoning import DIALECT
from intellirouter.dialects.openai_chat.upstream_request import encode_request
from intellirouter.dialects.openai_chat.upstream_response import decode_response
from intellirouter.dialects.openai_chat.upstream_stream import ChatStreamDecoder
from intellirouter.dialects.protocols import StreamDecoder
from intellirouter.dialects.wire.sse import EventSplitter

_PASSTHROUGH: Final = OpenAIChatPassthrough()


class ChatUpstream:
    """OpenAI and other upstreams of its dialect. Implements `protocols.ChatUpstream`."""

    dialect = DIALECT

    def encode(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        return encode_request(conversation, deployment, losses)

    def relay_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        return _PASSTHROUGH.encode_request(call, deployment)

    def decode(self, body: bytes, deployment: Deployment) -> Response:
        return decode_response(body, deployment)

    def stream(self, deployment: Deployment) -> StreamDecoder:
        return ChatStreamDecoder(deployment)

    def splitter(self) -> EventSplitter:
        return EventSplitter()

    decode_error = staticmethod(upstream_errors.decode_error)
