"""The upstream side: Converse, ConverseStream and CountTokens at `https://bedrock-runtime.REGION.amazonaws.com`."""

from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from intellirouter.core import Call, Deployment, LossReport, UpstreamRequest, errors
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.bedrock import upstream_errors
from intellirouter.dialects.bedrock.upstream_content import DIALECT
from intellirouter.dialects.bedrock.upstream_request import RequestWriter
from intellirouter.dialects.bedrock.upstream_response import decode_response
from intellirouter.dialects.bedrock.upstream_stream import ConverseStreamDecoder
from intellirouter.dialects.ir import Conversation, Response, origin_of
from intellirouter.dialects.protocols import Splitter
from intellirouter.dialects.wire.json_encode import encode_document
from intellirouter.dialects.wire.sse import EventSplitter

_COUNTED_MEMBERS: Final = ("messages", "system", "toolConfig", "additionalModelRequestFields")
"""Members that CountTokens accepts."""


class _Count(Struct):
    input_tokens: int = msgspec.field(name="inputTokens")


_decode_count: Final = msgspec.json.Decoder(_Count)


def _path(deployment: Deployment, operation: str) -> str:
    """Return the path. Model ids contain colons and ARNs slashes, so the model is quoted completely."""
    return f"/model/{quote(deployment.upstream_model, safe='')}/{operation}"


class ConverseUpstream:
    """Implements `protocols.ChatUpstream` and `protocols.CountUpstream`. No client uses this dialect."""

    dialect: str = DIALECT

    def encode(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        body = RequestWriter(conversation, deployment, losses).write()
        operation = "converse-stream" if conversation.is_stream else "converse"
        return UpstreamRequest(path=_path(deployment, operation), body=encode_document(body))

    def encode_count(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        body = RequestWriter(conversation, deployment, losses).write()
        counted: dict[str, Any] = {name: body[name] for name in _COUNTED_MEMBERS if name in body}
        document = {"input": {"converse": counted}}
        return UpstreamRequest(path=_path(deployment, "count-tokens"), body=encode_document(document))

    def decode_count(self, body: bytes) -> int:
        try:
            return max(0, _decode_count.decode(body).input_tokens)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            message = f"The upstream returned an invalid token count: {describe_json_error(error)}."
            raise errors.UpstreamMalformed(message) from None

    def relay_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        operation = "converse-stream" if call.is_stream else "converse"
        return UpstreamRequest(path=_path(deployment, operation), body=call.body)

    def decode(self, body: bytes, deployment: Deployment) -> Response:
        return decode_response(body, origin_of(deployment))

    def stream(self, deployment: Deployment) -> ConverseStreamDecoder:
        return ConverseStreamDecoder(origin_of(deployment))

    def splitter(self) -> Splitter:
        return EventSplitter()

    decode_error = staticmethod(upstream_errors.decode_error)


UPSTREAM: Final = ConverseUpstream()
