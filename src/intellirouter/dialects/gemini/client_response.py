"""Writes a client's whole answer: one `GenerateContentResponse`."""

from typing import Any, Final

import msgspec

from intellirouter.core import Call, LossReport, new_id
from intellirouter.dialects.gemini.citations import grounding_out, logprobs_out
from intellirouter.dialects.gemini.stop_reasons import is_exact, usage_out, word_of
from intellirouter.dialects.gemini.wire import DIALECT, write_thought_token, write_token
from intellirouter.dialects.ir import (
    Choice,
    Citation,
    Foreign,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Response,
    Stop,
    Text,
    ToolCall,
    ToolResult,
)

_encode: Final = msgspec.json.Encoder().encode
_EMPTY: Final[list[dict[str, Any]]] = [{"text": ""}]
_MEDIA_TYPES: Final = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "document": "application/pdf"}
"""What media are taken for when nobody says."""


def body_of(response: Response, call: Call, losses: LossReport) -> bytes:
    """Write the answer's body."""
    document: dict[str, Any] = {
        "candidates": [_candidate(choice, index, losses) for index, choice in enumerate(response.choices)]
    }
    if response.usage is not None:
        document["usageMetadata"] = usage_out(response.usage)
    document["modelVersion"] = call.model
    document["responseId"] = response.id or new_id("")
    return _encode(document)


def _candidate(choice: Choice, index: int, losses: LossReport) -> dict[str, Any]:
    parts = [each for part in choice.parts for each in parts_out(part, losses)]
    candidate: dict[str, Any] = {}
    if parts or choice.stop is None or choice.stop.reason != "content_filter":
        candidate["content"] = {"parts": parts or _EMPTY, "role": "model"}
    candidate.update(finish_out(choice.stop, losses))
    candidate["index"] = index
    texts = [part for part in choice.parts if isinstance(part, Text)]
    candidate.update(cited_out([(part.text, citation) for part in texts for citation in part.citations]))
    if tokens := [token for part in texts for token in part.logprobs or ()]:
        candidate["logprobsResult"] = logprobs_out(tokens)
        candidate["avgLogprobs"] = sum(each["logProbability"] for each in _chosen(candidate)) / len(tokens)
    return candidate


def _chosen(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    chosen: list[dict[str, Any]] = candidate["logprobsResult"]["chosenCandidates"]
    return chosen


def finish_out(stop: Stop | None, losses: LossReport) -> dict[str, Any]:
    """Write why a candidate ended."""
    if stop is not None and not is_exact(stop):
        losses.add("finishReason", "converted", stop.reason)
    found: dict[str, Any] = {"finishReason": word_of(stop)}
    if stop is not None and stop.message:
        found["finishMessage"] = stop.message
    return found


def cited_out(cited: list[tuple[str, Citation]]) -> dict[str, Any]:
    """Write the citations of a candidate; empty = none."""
    return {"groundingMetadata": grounding_out(cited)} if cited else {}


def parts_out(part: Part, losses: LossReport) -> list[dict[str, Any]]:
    """Write one part; empty when it cannot be said."""
    match part:
        case Text():
            return [signed({"text": part.text}, part.token)]
        case Refusal():
            return [{"text": part.text}]
        case Reasoning():
            return [thought_out(part)]
        case ToolCall():
            return [call_out(part, losses)]
        case Media():
            return media_out(part, losses)
        case Foreign():
            return foreign_out(part, losses)
        case ToolResult():
            return []  # never in an answer


def signed(part: dict[str, Any], token: Opaque | None) -> dict[str, Any]:
    """Add the signature to a part that has one."""
    if token is not None:
        part["thoughtSignature"] = write_token(token)
    return part


def thought_out(part: Reasoning) -> dict[str, Any]:
    found: dict[str, Any] = {"text": part.text or "\n\n".join(part.summary), "thought": True}
    if part.token is not None:
        found["thoughtSignature"] = write_thought_token(part.token, part.id, is_redacted=part.is_redacted)
    return found


def call_out(part: ToolCall, losses: LossReport) -> dict[str, Any]:
    call = {"id": part.id, "name": part.name, "args": arguments_of(part, losses)}
    return signed({"functionCall": call}, part.token)


def arguments_of(part: ToolCall, losses: LossReport) -> dict[str, Any]:
    """Return the arguments as the object that the dialect wants; what is none is kept as text, never left out."""
    if part.kind == "custom":
        return {"input": part.arguments}
    arguments = part.arguments_object()
    if arguments is not None:
        return arguments
    losses.add("functionCall.args", "converted", "arguments that are no JSON object")
    return {"arguments": part.arguments}


def media_out(part: Media, losses: LossReport) -> list[dict[str, Any]]:
    source = part.source
    media_type = source.media_type or _MEDIA_TYPES[part.kind]
    if source.data is not None:
        return [signed({"inlineData": {"mimeType": media_type, "data": source.data}}, part.token)]
    uri = source.url or (source.file_id if source.file_id and "/" in source.file_id else None)
    if uri is not None:
        return [signed({"fileData": {"mimeType": media_type, "fileUri": uri}}, part.token)]
    if said := part.transcript or source.text:
        losses.add(part.kind, "converted", "its text")
        return [{"text": said}]
    losses.dropped(part.kind)
    return []


def foreign_out(part: Foreign, losses: LossReport) -> list[dict[str, Any]]:
    if part.dialect == DIALECT and isinstance(part.raw, dict):
        return [part.raw]
    losses.dropped(part.kind)
    return []
