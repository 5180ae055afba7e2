"""Writes a complete client response, which is one `GenerateContentResponse`."""

from typing import Any, Final

import msgspec

from intellirouter.core import Call, LossReport, new_id
from intellirouter.dialects.gemini.citations import write_grounding, write_logprobs
from intellirouter.dialects.gemini.stop_reasons import is_exact, write_finish_reason, write_usage
from intellirouter.dialects.gemini.wire import DIALECT, write_reasoning_token, write_token
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
_EMPTY_PARTS: Final[list[dict[str, Any]]] = [{"text": ""}]
_DEFAULT_MEDIA_TYPES: Final = {
    "image": "image/png",
    "audio": "audio/wav",
    "video": "video/mp4",
    "document": "application/pdf",
}
"""Media types by kind, for media without a media type."""


def encode_response(response: Response, call: Call, losses: LossReport) -> bytes:
    """Write the body of the response."""
    document: dict[str, Any] = {
        "candidates": [_write_candidate(choice, index, losses) for index, choice in enumerate(response.choices)]
    }
    if response.usage is not None:
        document["usageMetadata"] = write_usage(response.usage)
    document["modelVersion"] = response.model or call.model
    document["responseId"] = response.id or new_id("")
    return _encode(document)


def _write_candidate(choice: Choice, index: int, losses: LossReport) -> dict[str, Any]:
    parts = [each for part in choice.parts for each in write_parts(part, losses)]
    candidate: dict[str, Any] = {}
    if parts or choice.stop is None or choice.stop.reason != "content_filter":
        candidate["content"] = {"parts": parts or _EMPTY_PARTS, "role": "model"}
    candidate.update(write_finish(choice.stop, losses))
    candidate["index"] = index
    texts = [part for part in choice.parts if isinstance(part, Text)]
    candidate.update(write_citations([(part.text, citation) for part in texts for citation in part.citations]))
    if tokens := [token for part in texts for token in part.logprobs or ()]:
        candidate["logprobsResult"] = write_logprobs(tokens)
        candidate["avgLogprobs"] = sum(each["logProbability"] for each in _chosen_tokens(candidate)) / len(tokens)
    return candidate


def _chosen_tokens(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    chosen: list[dict[str, Any]] = candidate["logprobsResult"]["chosenCandidates"]
    return chosen


def write_finish(stop: Stop | None, losses: LossReport) -> dict[str, Any]:
    """Write the finish reason of a candidate."""
    if stop is not None and not is_exact(stop):
        losses.add("finishReason", "converted", stop.reason)
    members: dict[str, Any] = {"finishReason": write_finish_reason(stop)}
    if stop is not None and stop.message:
        members["finishMessage"] = stop.message
    return members


def write_citations(cited: list[tuple[str, Citation]]) -> dict[str, Any]:
    """Write the citations of a candidate. The result is empty without citations."""
    return {"groundingMetadata": write_grounding(cited)} if cited else {}


def write_parts(part: Part, losses: LossReport) -> list[dict[str, Any]]:
    """Write one part. The result is empty if the dialect has no equivalent."""
    match part:
        case Text():
            return [with_signature({"text": part.text}, part.token)]
        case Refusal():
            return [{"text": part.text}]
        case Reasoning():
            return [write_reasoning(part)]
        case ToolCall():
            return [write_call(part, losses)]
        case Media():
            return write_media(part, losses)
        case Foreign():
            return write_foreign(part, losses)
        case ToolResult():
            return []  # responses contain no tool results


def with_signature(part: dict[str, Any], token: Opaque | None) -> dict[str, Any]:
    """Add the signature to the part, if there is one."""
    if token is not None:
        part["thoughtSignature"] = write_token(token)
    return part


def write_reasoning(part: Reasoning) -> dict[str, Any]:
    members: dict[str, Any] = {"text": part.text or "\n\n".join(part.summary), "thought": True}
    if part.token is not None:
        members["thoughtSignature"] = write_reasoning_token(part.token, part.id, is_redacted=part.is_redacted)
    return members


def write_call(part: ToolCall, losses: LossReport) -> dict[str, Any]:
    call = {"id": part.id, "name": part.name, "args": write_arguments(part, losses)}
    return with_signature({"functionCall": call}, part.token)


def write_arguments(part: ToolCall, losses: LossReport) -> dict[str, Any]:
    """Return the arguments as an object. Arguments that are not a JSON object are written as text."""
    if part.kind == "custom":
        return {"input": part.arguments}
    arguments = part.arguments_object()
    if arguments is not None:
        return arguments
    losses.add("functionCall.args", "converted", "invalid JSON object in arguments")
    return {"arguments": part.arguments}


def write_media(part: Media, losses: LossReport) -> list[dict[str, Any]]:
    source = part.source
    media_type = source.media_type or _DEFAULT_MEDIA_TYPES[part.kind]
    if source.data is not None:
        return [with_signature({"inlineData": {"mimeType": media_type, "data": source.data}}, part.token)]
    uri = source.url or (source.file_id if source.file_id and "/" in source.file_id else None)
    if uri is not None:
        return [with_signature({"fileData": {"mimeType": media_type, "fileUri": uri}}, part.token)]
    if text := part.transcript or source.text:
        losses.add(part.kind, "converted", "its text")
        return [{"text": text}]
    losses.dropped(part.kind)
    return []


def write_foreign(part: Foreign, losses: LossReport) -> list[dict[str, Any]]:
    if part.dialect == DIALECT and isinstance(part.raw, dict):
        return [part.raw]
    losses.dropped(part.kind)
    return []
