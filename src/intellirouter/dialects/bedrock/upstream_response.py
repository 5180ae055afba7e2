"""Whole answers of Converse. Source: AWS, Bedrock Runtime API reference, "Converse" and "ContentBlock"."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Usage, errors, new_id
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
from intellirouter.dialects.wire.lenient import as_int
from intellirouter.dialects.wire.sse import check_utf8

STOP_REASONS: Final[dict[str, StopReason]] = {
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
_SPOKEN: Final = frozenset({"output", "stopReason", "usage", "serviceTier", "metrics", "additionalModelResponseFields"})


class MessageOut(Struct):
    content: list[dict[str, Any]] | None = None


class _Output(Struct):
    message: MessageOut | None = None


class Tier(Struct):
    type: str = ""


class _Answer(Struct):
    output: _Output | None = None
    stop_reason: str | None = msgspec.field(default=None, name="stopReason")
    usage: dict[str, Any] | None = None
    service_tier: Tier | None = msgspec.field(default=None, name="serviceTier")
    more: Any = msgspec.field(default=None, name="additionalModelResponseFields")


_decoder: Final = msgspec.json.Decoder(_Answer)


def malformed(error: object) -> errors.UpstreamMalformed:
    return errors.UpstreamMalformed(f"The upstream sent what is no answer of Converse: {error}")


def stop_of(reason: str, more: Any) -> Stop:
    """Read why an answer ended; Claude says the stop sequence that came among the additional fields."""
    sequence = more.get("stop_sequence") if isinstance(more, dict) else None
    return Stop(
        reason=STOP_REASONS.get(reason, "stop"),
        raw=reason,
        sequence=sequence if isinstance(sequence, str) and reason == "stop_sequence" else None,
    )


def usage_of(usage: dict[str, Any] | None) -> Usage | None:
    """Read the counts: `inputTokens` leaves out what was read from or written to the cache."""
    if usage is None:
        return None
    names = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "outputTokens")
    fresh, read, written, out = (min(as_int(usage.get(name)), _MAX_TOKENS) for name in names)
    return Usage(input_tokens=fresh, cache_read_tokens=read, cache_write_tokens=written, output_tokens=out)


def decode_response(body: bytes, origin: str) -> Response:
    """Read a 200 body. Raises `UpstreamMalformed`."""
    if not body.isascii():
        check_utf8(body)
    try:
        answer = _decoder.decode(body)
        raw: dict[str, Any] = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None
    if answer.output is None or answer.output.message is None:
        raise malformed("it has no `output.message`")
    parts = [part_of(block, origin) for block in answer.output.message.content or ()]
    return Response(
        choices=[Choice(parts=parts, stop=stop_of(answer.stop_reason or "", answer.more))],
        usage=usage_of(answer.usage),
        service_tier=answer.service_tier.type if answer.service_tier is not None else "",
        dialect=DIALECT,
        extras={name: value for name, value in raw.items() if name not in _SPOKEN},
    )


def part_of(block: dict[str, Any], origin: str) -> Part:
    """Read one block, an object with one member that says its kind. Raises `UpstreamMalformed`."""
    kind, value = _member(block)
    try:
        if kind == "text":
            return Text(text=_text(value))
        if kind == "toolUse" and value.get("type") is None:
            return _call(value)
        if kind == "reasoningContent":
            return _reasoning(value, origin)
        if kind == "citationsContent":
            return _cited(value)
        if kind == "image" and "source" in value:
            return image_of(value.get("format"), value["source"])
    except (AttributeError, TypeError, KeyError) as error:
        raise malformed(f"a block of kind {kind!r} has not the form of one ({error})") from None
    return Foreign(dialect=DIALECT, kind=kind or "unknown", raw=block)


def _member(block: dict[str, Any]) -> tuple[str, Any]:
    return next(((name, value) for name, value in block.items() if value is not None), ("", None))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _call(value: dict[str, Any]) -> ToolCall:
    found = value.get("input")
    arguments = found if isinstance(found, str) else msgspec.json.encode({} if found is None else found).decode()
    call_id = value.get("toolUseId")
    return ToolCall(
        id=_text(call_id) if call_id else new_id("call_"), name=_text(value["name"]), arguments=arguments or "{}"
    )


def _reasoning(value: dict[str, Any], origin: str) -> Reasoning:
    redacted = value.get("redactedContent")
    if redacted is not None:
        return Reasoning(token=Opaque(_text(redacted), origin, DIALECT), is_redacted=True)
    said = value["reasoningText"]
    signature = said.get("signature")
    token = Opaque(_text(signature), origin, DIALECT) if signature else None
    return Reasoning(text=_text(said.get("text") or ""), token=token)


def image_of(form: Any, source: dict[str, Any]) -> Media:
    media_type = f"image/{form}" if isinstance(form, str) else ""
    if (place := source.get("s3Location")) is not None:
        return Media(kind="image", source=Source(url=_text(place["uri"]), media_type=media_type))
    return Media(kind="image", source=Source(data=_text(source["bytes"]), media_type=media_type))


def _cited(value: dict[str, Any]) -> Text:
    text = "".join(_text(piece.get("text") or "") for piece in value.get("content") or ())
    return Text(text=text, citations=[citation_of(each) for each in value.get("citations") or ()])


def citation_of(raw: dict[str, Any]) -> Citation:
    """Read where a piece of text comes from. What is not as documented is left out, the original kept beside."""
    citation = Citation(raw=raw, dialect=DIALECT)
    citation.title = _said(raw.get("title"))
    pieces = raw.get("sourceContent")
    if isinstance(pieces, list):
        citation.cited_text = "".join(_said(piece.get("text")) for piece in pieces if isinstance(piece, dict))
    location = raw.get("location")
    if not isinstance(location, dict):
        return citation
    for kind, place in location.items():
        if not isinstance(place, dict):
            continue
        if kind == "web":
            citation.kind, citation.url = "url", _said(place.get("url"))
        elif kind.startswith("document"):
            citation.kind = "document"
            citation.document_index = _number(place.get("documentIndex"))
            citation.source_start, citation.source_end = _number(place.get("start")), _number(place.get("end"))
        elif kind == "searchResultLocation":
            citation.url = _said(raw.get("source"))
            citation.kind = "url" if citation.url.startswith("http") else "unknown"
    return citation


def _said(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
