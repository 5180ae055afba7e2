"""Ollama's chat endpoints for clients: `POST /api/chat` and `POST /api/generate`."""

from typing import Any, Final

import msgspec

from intellirouter.core import EMPTY_CONTEXT, Call, LossReport, RequestContext
from intellirouter.dialects.calls import ConversationCall
from intellirouter.dialects.ir import Conversation, Response
from intellirouter.dialects.ollama.client_request import (
    ChatRequest,
    GenerateRequest,
    MessageIn,
    OllamaCall,
    ParsedRequest,
    check_request,
    conversation_of,
)
from intellirouter.dialects.ollama.client_response import LineStream, body_of
from intellirouter.dialects.ollama.loading import is_load
from intellirouter.dialects.ollama.wire import DIALECT, INTEGERS, NUMBERS, OPTION_PREFIX, read_options
from intellirouter.dialects.wire.duplicates import check_nested
from intellirouter.dialects.wire.media_types import media_type_of
from intellirouter.dialects.wire.request_validation import check_model, decode_body

STREAM_TYPE: Final = b"application/x-ndjson"
_NO_NEEDS: Final[frozenset[str]] = frozenset()
_FIELD_NAMES: Final = {
    **{field: OPTION_PREFIX + name for name, field in (*INTEGERS.items(), *NUMBERS.items())},
    "stop": "options.stop",
    "output": "format",
    "output.schema": "format",
    "reasoning": "think",
    "reasoning.effort": "think",
}


class _LineClient:
    """The client codec of both endpoints."""

    dialect: str = DIALECT
    field_names: dict[str, str] = _FIELD_NAMES

    def __init__(self, decoder: msgspec.json.Decoder[Any], *, is_chat: bool) -> None:
        self._decoder = decoder
        self._is_chat = is_chat

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> ConversationCall:
        request: ChatRequest | GenerateRequest = decode_body(self._decoder, body)
        check_model(request.model)
        check_request(request)
        if isinstance(request, ChatRequest) and request.messages:
            is_text = not request.tools and all(map(_is_text, request.messages))
            check_nested(body, len(request.messages), len(request.messages) if is_text else None)
        sampling, own_options = read_options(request.options)
        call = OllamaCall(
            operation="chat",
            model=request.model,
            body=body,
            dialect=DIALECT,
            context=context,
            is_stream=request.stream is not False,
            stream_type=STREAM_TYPE,
            wants_usage=True,
            needs=_needs(request),
            wants_json=request.format == "json",
            max_output_tokens=sampling.get("max_output_tokens"),
            source=ParsedRequest(request, sampling, own_options),
        )
        if is_load(call):
            call.is_stream = False  # Ollama never streams the response to these requests.
        return call

    def decode(self, call: Call) -> Conversation:
        return conversation_of(call)

    def encode(self, response: Response, call: Call, losses: LossReport) -> bytes:
        return body_of(response, call, losses, is_chat=self._is_chat)

    def stream(self, call: Call, losses: LossReport) -> LineStream:
        return LineStream(call, losses, is_chat=self._is_chat)


def _is_text(message: MessageIn) -> bool:
    return bool(message.content) and not (message.images or message.tool_calls)


def _needs(request: ChatRequest | GenerateRequest) -> frozenset[str]:
    if not (request.messages if isinstance(request, ChatRequest) else request.prompt):
        return _NO_NEEDS  # The request only loads the model.
    needs: set[str] = set()
    if isinstance(request.format, dict):
        needs.add("json_schema")
    if isinstance(request, ChatRequest):
        if request.tools:
            needs.add("tools")
        images = [data for message in request.messages or () for data in message.images or ()]
    else:
        images = request.images or []
    for data in images:
        needs.add("audio" if media_type_of(data).startswith("audio/") else "vision")
    return frozenset(needs) if needs else _NO_NEEDS


CLIENT: Final = _LineClient(msgspec.json.Decoder(ChatRequest), is_chat=True)
GENERATE_CLIENT: Final = _LineClient(msgspec.json.Decoder(GenerateRequest), is_chat=False)
