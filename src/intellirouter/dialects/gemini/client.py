"""The client side: `:generateContent`, `:streamGenerateContent` and `:countTokens`.

The path contains the model and whether the response is a stream. The query decides the format of the stream: SSE
(`alt=sse`) or a JSON array.
"""

from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from intellirouter.core import Call, LossReport, Operation, RequestContext, errors
from intellirouter.dialects.adapt.stop_sequences import GEMINI_STOPS, has_more_stops
from intellirouter.dialects.calls import ConversationCall
from intellirouter.dialects.gemini.client_request import FIELD_NAMES, decode_conversation
from intellirouter.dialects.gemini.client_response import encode_response
from intellirouter.dialects.gemini.client_stream import ContentStream
from intellirouter.dialects.gemini.wire import DIALECT, read_integer, wrong_type
from intellirouter.dialects.ir import Conversation, Response
from intellirouter.dialects.wire.duplicates import check_nested
from intellirouter.dialects.wire.request_validation import check_model, decode_body
from intellirouter.dialects.wire.reserved_members import ReservedMembers

_NO_NEEDS: Final[frozenset[str]] = frozenset()
_SSE: Final = b"text/event-stream"
_ARRAY: Final = b"application/json"
_MEDIA_NEEDS: Final = {"image": "vision", "audio": "audio", "video": "video"}


_MISSING: Final = msgspec.Raw()


class _BlobHead(Struct):
    mimeType: str | None = None  # noqa: N815 - the names on the wire
    mime_type: str | None = None


class _PartHead(Struct):
    text: str | None = None
    inlineData: _BlobHead | None = None  # noqa: N815
    inline_data: _BlobHead | None = None
    fileData: _BlobHead | None = None  # noqa: N815
    file_data: _BlobHead | None = None
    functionCall: msgspec.Raw = _MISSING  # noqa: N815
    function_call: msgspec.Raw = _MISSING
    functionResponse: msgspec.Raw = _MISSING  # noqa: N815
    function_response: msgspec.Raw = _MISSING


class _ContentHead(Struct):
    role: str | None = None
    parts: list[_PartHead] | _PartHead | None = None


class _ConfigHead(Struct):
    maxOutputTokens: int | float | str | None = None  # noqa: N815
    max_output_tokens: int | float | str | None = None
    temperature: int | float | str | None = None
    topP: int | float | str | None = None  # noqa: N815
    top_p: int | float | str | None = None
    responseSchema: Any = None  # noqa: N815
    response_schema: Any = None
    responseJsonSchema: Any = None  # noqa: N815
    response_json_schema: Any = None
    stopSequences: Any = None  # noqa: N815
    stop_sequences: Any = None
    responseMimeType: Any = None  # noqa: N815
    response_mime_type: Any = None


class _Head(ReservedMembers):
    """The members that are validated in every request, also in a passthrough."""

    contents: list[_ContentHead] | _ContentHead | None = None
    tools: Any = None
    systemInstruction: _ContentHead | None = None  # noqa: N815
    system_instruction: _ContentHead | None = None
    generationConfig: _ConfigHead | None = None  # noqa: N815
    generation_config: _ConfigHead | None = None
    cachedContent: Any = None  # noqa: N815
    cached_content: Any = None


class _CountHead(_Head):
    generateContentRequest: _Head | None = None  # noqa: N815
    generate_content_request: _Head | None = None


class GeminiCall(ConversationCall, kw_only=True):
    has_many_stops: bool = False
    """The request has more stop sequences than Google takes."""
    has_cached_content: bool = False
    """The prompt begins with content that was cached before."""


_decode_head: Final = msgspec.json.Decoder(_Head)
_decode_count_head: Final = msgspec.json.Decoder(_CountHead)


class GeminiClient:
    """Implements `protocols.ChatClient`."""

    dialect = DIALECT
    field_names = FIELD_NAMES

    def decode_request(self, body: bytes, context: RequestContext) -> ConversationCall:
        return _build_call(decode_body(_decode_head, body), body, context, "chat")

    def decode(self, call: Call) -> Conversation:
        return decode_conversation(call)

    def encode(self, response: Response, call: Call, losses: LossReport) -> bytes:
        return encode_response(response, call, losses)

    def stream(self, call: Call, losses: LossReport) -> ContentStream:
        return ContentStream(call, losses, is_array=call.stream_type == _ARRAY)


class GeminiCountClient:
    """Decodes requests that count the tokens of `contents` or of a complete `generateContentRequest`."""

    dialect = DIALECT
    field_names = FIELD_NAMES

    def decode_request(self, body: bytes, context: RequestContext) -> ConversationCall:
        head = decode_body(_decode_count_head, body)
        inner = head.generateContentRequest or head.generate_content_request
        return _build_call(inner or head, body, context, "count_tokens")

    def decode(self, call: Call) -> Conversation:
        return decode_conversation(call)

    def encode_count(self, tokens: int, call: Call) -> bytes:  # noqa: ARG002 - required by the protocol
        return msgspec.json.encode({"totalTokens": tokens})


def read_model(context: RequestContext) -> str:
    """Return the model in the path. Raises `InvalidRequest`."""
    model = context.model.removeprefix("models/")
    check_model(model)
    return model


def _build_call(head: _Head, body: bytes, context: RequestContext, operation: Operation) -> ConversationCall:
    model = read_model(context)
    contents = head.contents if isinstance(head.contents, list) else [head.contents] if head.contents else []
    if not contents:
        raise errors.InvalidRequest(
            "* GenerateContentRequest.contents: contents is not specified",
            code="missing_required_parameter",
            param="contents",
            hint="Send at least one content with a part.",
        )
    config = head.generationConfig or head.generation_config or _ConfigHead()
    if b'"functionResponse"' in body or b'"function_response"' in body:
        _check_results(contents)
    _check_sampling(config)
    instructions = (head.systemInstruction, head.system_instruction)
    with_roles = [each for each in (*contents, *instructions) if each is not None and each.role is not None]
    check_nested(body, len(with_roles))
    is_stream = context.is_stream and operation == "chat"
    needs = _needs(head, contents, config)
    media_type = config.responseMimeType or config.response_mime_type
    return GeminiCall(
        operation=operation,
        model=model,
        body=body,
        dialect=DIALECT,
        context=context,
        is_stream=is_stream,
        stream_type=_ARRAY if is_stream and not _is_sse(context.query) else _SSE,
        wants_usage=True,
        needs=needs,
        wants_json=media_type == "application/json" and "json_schema" not in needs,
        max_output_tokens=_read_max_output_tokens(config),
        has_cached_content=bool(head.cachedContent or head.cached_content),
        has_many_stops=has_more_stops(config.stopSequences or config.stop_sequences, GEMINI_STOPS),
    )


def _parts_of(content: _ContentHead) -> list[_PartHead]:
    return content.parts if isinstance(content.parts, list) else [content.parts] if content.parts else []


def _is_set(value: msgspec.Raw) -> bool:
    return bool(value) and bytes(value) != b"null"


def _check_results(contents: list[_ContentHead]) -> None:
    """Raise `InvalidRequest` if the response of a function comes before all calls."""
    for content in contents:
        for part in _parts_of(content):
            if _is_set(part.functionCall) or _is_set(part.function_call):
                return
            if _is_set(part.functionResponse) or _is_set(part.function_response):
                raise errors.InvalidRequest(
                    "Please ensure that function response turn comes immediately after a function call turn.",
                    code="invalid_value",
                    param="contents",
                )


def _check_sampling(config: _ConfigHead) -> None:
    top_p = config.topP if config.topP is not None else config.top_p
    for member, name, value, limit in (
        ("temperature", "temperature", config.temperature, 2.0),
        ("topP", "top_p", top_p, 1.0),
    ):
        if isinstance(value, int | float) and not 0 <= value <= limit:
            raise errors.InvalidRequest(
                f"* GenerateContentRequest.generation_config.{name}: {name} must be in the range [0.0, {limit}].",
                code="invalid_value",
                param=f"generationConfig.{member}",
            )


def _is_sse(query: str) -> bool:
    return query == "alt=sse" or parse_qs(query.lstrip("?")).get("alt", [""])[-1].lower() == "sse"


def _read_max_output_tokens(config: _ConfigHead) -> int | None:
    value = config.maxOutputTokens if config.maxOutputTokens is not None else config.max_output_tokens
    if value is None:
        return None
    limit = read_integer("generationConfig.maxOutputTokens", value)
    if limit < 0:
        raise errors.InvalidRequest(
            "Invalid value at 'generationConfig.maxOutputTokens': it must not be negative.",
            code="invalid_value",
            param="generationConfig.maxOutputTokens",
        )
    return limit


def _needs(head: _Head, contents: list[_ContentHead], config: _ConfigHead) -> frozenset[str]:
    needs: set[str] = set()
    if head.tools is not None:
        if not isinstance(head.tools, list | dict):
            raise wrong_type("tools", "an array", head.tools)
        if head.tools:
            needs.add("tools")
    if any(
        schema is not None
        for schema in (
            config.responseSchema,
            config.response_schema,
            config.responseJsonSchema,
            config.response_json_schema,
        )
    ):
        needs.add("json_schema")
    for content in contents:
        for part in _parts_of(content):
            blob = part.inlineData or part.inline_data or part.fileData or part.file_data
            if blob is not None:
                needs.add(_need_for(blob.mimeType or blob.mime_type or ""))
    return frozenset(needs) if needs else _NO_NEEDS


def _need_for(media_type: str) -> str:
    return _MEDIA_NEEDS.get(media_type.partition("/")[0].lower(), "files")
