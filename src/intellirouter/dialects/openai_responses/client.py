"""The client side of the Responses dialect: `POST /v1/responses`."""

from typing import Any, Final

import msgspec

from intellirouter.core import EMPTY_CONTEXT, Call, LossReport, RequestContext
from intellirouter.dialects.calls import ConversationCall
from intellirouter.dialects.ir import Conversation, Response, events_of
from intellirouter.dialects.openai_responses.client_request import decode_request
from intellirouter.dialects.openai_responses.client_settings import decode_conversation
from intellirouter.dialects.openai_responses.client_stream import ResponseWriter, WholeResponseWriter
from intellirouter.dialects.openai_responses.fields import DIALECT
from intellirouter.dialects.protocols import StreamEncoder
from intellirouter.dialects.wire.request_validation import decode_body

_decoder: Final = msgspec.json.Decoder(dict[str, Any])

FIELD_NAMES: Final = {
    "messages": "input",
    "messages[].role": "input[].role",
    "messages[].name": "input[].name",
    "messages[].phase": "input[].phase",
    "messages[].reasoning": "input[].encrypted_content",
    "messages[].content[]": "input[].content[]",
    "messages[].content[].namespace": "input[].namespace",
    "messages[].content[].caller": "input[].caller",
    "output": "text.format",
    "output.schema": "text.format.schema",
    "reasoning.budget_tokens": "reasoning.effort",
    "verbosity": "text.verbosity",
    "logprobs": "include",
    "is_parallel": "parallel_tool_calls",
    "cache": "prompt_cache_breakpoint",
    "cache_key": "prompt_cache_key",
}


class ResponsesClient:
    """Implements `protocols.ChatClient`."""

    dialect = DIALECT
    field_names = FIELD_NAMES

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> ConversationCall:
        return decode_request(body, context)

    def decode(self, call: Call) -> Conversation:
        return decode_conversation(decode_body(_decoder, call.body))

    def encode(self, response: Response, call: Call, losses: LossReport) -> bytes:
        writer = WholeResponseWriter(call, losses)
        writer.encode(list(events_of(response)))
        return msgspec.json.encode(writer.finish())

    def stream(self, call: Call, losses: LossReport) -> StreamEncoder:
        return ResponseWriter(call, losses)
