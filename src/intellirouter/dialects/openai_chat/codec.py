"""The client and upstream codecs of the chat dialect."""

from typing import Final

from intellirouter.core import Call, Deployment, LossReport, UpstreamRequest
from intellirouter.dialects.ir import Conversation, Response
from intellirouter.dialects.openai import errors as openai_errors
from intellirouter.dialects.openai_chat.client_request import decode_conversation
from intellirouter.dialects.openai_chat.client_response import encode_response
from intellirouter.dialects.openai_chat.client_stream import ChatStreamEncoder
from intellirouter.dialects.openai_chat.passthrough import OpenAIChatPassthrough
from intellirouter.dialects.openai_chat.quirks import FIELD_NAMES
from intellirouter.dialects.openai_chat.reasoning import DIALECT
from intellirouter.dialects.openai_chat.upstream_request import encode_request
from intellirouter.dialects.openai_chat.upstream_response import ChatStreamDecoder, decode_response
from intellirouter.dialects.protocols import StreamDecoder, StreamEncoder
from intellirouter.dialects.wire.sse import EventSplitter

_PASSTHROUGH: Final = OpenAIChatPassthrough()


class ChatClient:
    """Clients of `POST /chat/completions`. Implements `protocols.ChatClient`."""

    dialect = DIALECT
    field_names: dict[str, str] = FIELD_NAMES

    decode_request = staticmethod(_PASSTHROUGH.decode_request)

    def decode(self, call: Call) -> Conversation:
        return decode_conversation(call)

    def encode(self, response: Response, call: Call, losses: LossReport) -> bytes:
        return encode_response(response, call, losses)

    def stream(self, call: Call, losses: LossReport) -> StreamEncoder:
        return ChatStreamEncoder(call, losses)


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

    decode_error = staticmethod(openai_errors.decode_error)
