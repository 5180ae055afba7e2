"""Counts the input tokens of a request without calling the model: `POST /v1/responses/input_tokens`."""

import msgspec
from msgspec import structs

from intellirouter.core import EMPTY_CONTEXT, Call, RequestContext
from intellirouter.dialects.calls import ConversationCall
from intellirouter.dialects.openai_responses.client import ResponsesClient


class InputTokensClient(ResponsesClient):
    """Implements `protocols.CountClient`."""

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> ConversationCall:
        return structs.replace(super().decode_request(body, context), operation="count_tokens", is_stream=False)

    def encode_count(self, tokens: int, call: Call) -> bytes:  # noqa: ARG002 - the protocol has it
        return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": tokens})
