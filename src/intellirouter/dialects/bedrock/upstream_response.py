"""Reads complete responses of Converse. Source: AWS, Bedrock Runtime API reference, "Converse" and "ContentBlock"."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Usage, errors, new_id
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.bedrock.upstream_content import DIALECT
from intellirouter.dialects.ir import (
    Choice,
    Citation,
    Foreign,
    Media,
    Opaque,
    Part,
    Reasoning,
    Response,
    Source,
    Stop,
    StopReason,
    Text,
    ToolCall,
)
from intellirouter.dialects.wire import large_json
from intellirouter.dialects.wire.lenient import as_int, has_impossible_count, reported
from intellirouter.dialects.wire.sse import check_utf8

_STOP_REASONS: Final[dict[str, StopReason]] = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_tool_use": "malformed_tool_call",
    "malformed_model_output": "error",
    "model_context_window_exceeded": "context_length",
    "refusal": "refusal",
}
_MAX_TOKENS: Final = 10**12
_KNOWN_MEMBERS: Final = frozenset(
    {"output", "stopReason", "usage", "serviceTier", "metrics", "additionalModelResponseFields"}
)


class _Message(Struct):
    content: list[dict[str, Any]] | None = None


class _Output(Struct):
    message: _Message | None = None


class _Tier(Struct):
    type: str = ""


class _Response(Struct):
    output: _Output | None = None
    stop_reason: str | None = msgspec.field(default=None, name="stopReason")
    usage: dict[str, Any] | None = None
    service_tier: _Tier | None = msgspec.field(default=None, name="serviceTier")
    additional_fields: Any = msgspec.field(default=None, name="additionalModelResponseFields")


_decoder: Final = msgspec.json.Decoder(_Response)


def malformed(problem: str) -> errors.UpstreamMalformed:
    return errors.UpstreamMalformed(f"The upstream returned an invalid Converse response: {problem}.")


def read_stop(reason: str, additional_fields: Any) -> Stop:
    """Read a stop reason. Claude reports the stop sequence in the additional fields."""
    sequence = additional_fields.get("stop_sequence") if isinstance(additional_fields, dict) else None
    return Stop(
        reason=_STOP_REASONS.get(reason, "stop"),
        raw=reason,
        sequence=sequence if isinstance(sequence, str) and reason == "stop_sequence" else None,
    )


def read_usage(usage: dict[str, Any] | None) -> Usage | None:
    """Read the usage. `inputTokens` does not include tokens read from or written to the cache."""
    if usage is None:
        return None
    names = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "outputTokens")
    fresh, read, written, output = (min(as_int(usage.get(name)), _MAX_TOKENS) for name in names)
    details = usage.get("cacheDetails")
    one_hour = sum(
        as_int(each.get("inputTokens"))
        for each in (details if isinstance(details, list) else ())
        if isinstance(each, dict) and each.get("ttl") == "1h"
    )
    one_hour = min(one_hour, written)
    found = Usage(
        input_tokens=fresh,
        cache_read_tokens=read,
        cache_write_tokens=written - one_hour,
        cache_write_1h_tokens=one_hour,
        output_tokens=output,
        is_implausible=has_impossible_count(*map(usage.get, names)),
    )
    return reported(found)


def decode_response(body: bytes, origin: str) -> Response:
    """Read the body of a 200 response. Raises `UpstreamMalformed`."""
    if not body.isascii():
        check_utf8(body)
    try:
        response = large_json.decode_as(_decoder, body)
        raw: dict[str, Any] = large_json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(describe_json_error(error)) from None
    if response.output is None or response.output.message is None:
        raise malformed("it has no `output.message`")
    parts = [read_part(block, origin) for block in response.output.message.content or ()]
    return Response(
        choices=[Choice(parts=parts, stop=read_stop(response.stop_reason or "", response.additional_fields))],
        usage=read_usage(response.usage),
        service_tier=response.service_tier.type if response.service_tier is not None else "",
        dialect=DIALECT,
        extras={name: value for name, value in raw.items() if name not in _KNOWN_MEMBERS},
    )


def read_part(block: dict[str, Any], origin: str) -> Part:
    """Read one block, which is an object with one member whose name is its kind. Raises `UpstreamMalformed`."""
    kind, value = _first_member(block)
    try:
        if kind == "text":
            return Text(text=require_text(value))
        if kind == "toolUse" and value.get("type") is None:
            return _read_call(value)
        if kind == "reasoningContent":
            return _read_reasoning(value, origin)
        if kind == "citationsContent":
            return _read_cited_text(value)
        if kind == "image" and "source" in value:
            return read_image(value.get("format"), value["source"])
    except (AttributeError, TypeError, KeyError):
        raise malformed(f"a block of kind {kind!r} is malformed") from None
    return Foreign(dialect=DIALECT, kind=kind or "unknown", raw=block)


def _first_member(block: dict[str, Any]) -> tuple[str, Any]:
    return next(((name, value) for name, value in block.items() if value is not None), ("", None))


def require_text(value: Any) -> str:
    """Return a string. Raises `TypeError`."""
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _read_call(value: dict[str, Any]) -> ToolCall:
    arguments = value.get("input")
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode({} if arguments is None else arguments).decode()
    call_id = value.get("toolUseId")
    return ToolCall(
        id=require_text(call_id) if call_id else new_id("call_"),
        name=require_text(value["name"]),
        arguments=arguments or "{}",
    )


def _read_reasoning(value: dict[str, Any], origin: str) -> Reasoning:
    redacted = value.get("redactedContent")
    if redacted is not None:
        return Reasoning(token=Opaque(require_text(redacted), origin, DIALECT), is_redacted=True)
    content = value["reasoningText"]
    signature = content.get("signature")
    token = Opaque(require_text(signature), origin, DIALECT) if signature else None
    return Reasoning(text=require_text(content.get("text") or ""), token=token)


def read_image(format_: Any, source: dict[str, Any]) -> Media:
    media_type = f"image/{format_}" if isinstance(format_, str) else ""
    if (location := source.get("s3Location")) is not None:
        return Media(kind="image", source=Source(url=require_text(location["uri"]), media_type=media_type))
    return Media(kind="image", source=Source(data=require_text(source["bytes"]), media_type=media_type))


def _read_cited_text(value: dict[str, Any]) -> Text:
    text = "".join(require_text(piece.get("text") or "") for piece in value.get("content") or ())
    return Text(text=text, citations=[read_citation(each) for each in value.get("citations") or ()])


def read_citation(raw: dict[str, Any]) -> Citation:
    """Read a citation. Members that are not as documented are ignored, but stay in `raw`."""
    citation = Citation(raw=raw, dialect=DIALECT)
    citation.title = _optional_text(raw.get("title"))
    pieces = raw.get("sourceContent")
    if isinstance(pieces, list):
        citation.cited_text = "".join(_optional_text(piece.get("text")) for piece in pieces if isinstance(piece, dict))
    locations = raw.get("location")
    if not isinstance(locations, dict):
        return citation
    for kind, location in locations.items():
        if not isinstance(location, dict):
            continue
        if kind == "web":
            citation.kind, citation.url = "url", _optional_text(location.get("url"))
        elif kind.startswith("document"):
            citation.kind = "document"
            citation.document_index = _optional_int(location.get("documentIndex"))
            citation.source_start, citation.source_end = (
                _optional_int(location.get("start")),
                _optional_int(location.get("end")),
            )
        elif kind == "searchResultLocation":
            citation.url = _optional_text(raw.get("source"))
            citation.kind = "url" if citation.url.startswith("http") else "unknown"
    return citation


def _optional_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _optional_int(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
