"""Reads and writes finish reasons and usage.

Source: Google, `Candidate.FinishReason`, `GenerateContentResponse.PromptFeedback.BlockReason`, `UsageMetadata`.

`promptTokenCount` includes `cachedContentTokenCount`, but not `toolUsePromptTokenCount`. `candidatesTokenCount` does
not include `thoughtsTokenCount`.
"""

from typing import Any, Final

from intellirouter.core import Usage
from intellirouter.dialects.gemini.wire import objects_in, optional_text
from intellirouter.dialects.ir import Stop, StopReason
from intellirouter.dialects.wire.lenient import as_int, has_impossible_count, reported

_REASONS: Final[dict[str, StopReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "MALFORMED_FUNCTION_CALL": "malformed_tool_call",
    "UNEXPECTED_TOOL_CALL": "malformed_tool_call",
    "TOO_MANY_TOOL_CALLS": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
    "MALFORMED_RESPONSE": "error",
    "NO_IMAGE": "error",
    "IMAGE_OTHER": "error",
    "OTHER": "error",
    "ESCALATION": "error",
    "PUP_LIMITED_DISABLED": "error",
    "CONTINUATION": "pause",
}
_REASON_NAMES: Final[dict[StopReason, str]] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "context_length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "OTHER",
    "malformed_tool_call": "MALFORMED_FUNCTION_CALL",
    "cancelled": "OTHER",
    "error": "OTHER",
}
_EXACT_REASONS: Final = frozenset({"stop", "tool_calls", "length", "content_filter", "malformed_tool_call"})
_UNSPECIFIED: Final = frozenset({"", "FINISH_REASON_UNSPECIFIED"})
_MAX_TOKENS: Final = 10**12
"""Higher counts are wrong, and their price would exceed the range of the ledger's integers."""


_COUNTS: Final = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")


def read_stop(candidate: dict[str, Any], *, has_calls: bool) -> Stop | None:
    """Read the finish reason of a candidate. None: it is not finished. An unknown reason counts as a normal end."""
    name = optional_text(candidate.get("finishReason"))
    if name in _UNSPECIFIED:
        return None
    reason = _REASONS.get(name, "stop")
    if reason == "stop" and has_calls:
        reason = "tool_calls"
    return Stop(reason=reason, raw=name, message=optional_text(candidate.get("finishMessage")))


def read_block_reason(document: dict[str, Any]) -> Stop | None:
    """Read why the prompt was blocked, if it was. A blocked prompt has no candidates."""
    feedback = document.get("promptFeedback")
    name = optional_text(feedback.get("blockReason")) if isinstance(feedback, dict) else ""
    if not name or name == "BLOCKED_REASON_UNSPECIFIED":
        return None
    message = optional_text(feedback.get("blockReasonMessage")) if isinstance(feedback, dict) else ""
    return Stop(reason="content_filter", raw=name, message=message)


def write_finish_reason(stop: Stop | None) -> str:
    """Return the finish reason for a client, which is Google's own if the upstream sent one."""
    if stop is None:
        return "STOP"
    return stop.raw if stop.raw in _REASONS else _REASON_NAMES[stop.reason]


def is_exact(stop: Stop) -> bool:
    """Return whether the finish reason for the client has exactly the same meaning."""
    return stop.reason in _EXACT_REASONS or stop.raw in _REASONS


def read_usage(raw: Any) -> Usage | None:
    """Read `usageMetadata`, if there is any."""
    if not isinstance(raw, dict):
        return None
    prompt, cached = _read_count(raw, "promptTokenCount"), _read_count(raw, "cachedContentTokenCount")
    cached = min(cached, prompt)
    sent, from_cache = raw.get("promptTokensDetails"), raw.get("cacheTokensDetails")
    audio_in = min(_uncached(sent, from_cache, "AUDIO"), prompt - cached)
    image_in = min(_uncached(sent, from_cache, "IMAGE"), prompt - cached - audio_in)
    output = _read_count(raw, "candidatesTokenCount")
    made = raw.get("candidatesTokensDetails")
    audio_out = min(_tokens_of(made, "AUDIO"), output)
    image_out = min(_tokens_of(made, "IMAGE"), output - audio_out)
    reasoning, tools = _read_count(raw, "thoughtsTokenCount"), _read_count(raw, "toolUsePromptTokenCount")
    if not (prompt or output or reasoning or tools):
        prompt = _read_count(raw, "totalTokenCount")
    usage = Usage(
        input_tokens=prompt - cached - audio_in - image_in + tools,
        cache_read_tokens=cached,
        output_tokens=output - audio_out - image_out,
        reasoning_tokens=reasoning,
        input_audio_tokens=audio_in,
        output_audio_tokens=audio_out,
        input_image_tokens=image_in,
        output_image_tokens=image_out,
        is_implausible=has_impossible_count(*map(raw.get, _COUNTS)),
    )
    return reported(usage)


def _read_count(raw: dict[str, Any], name: str) -> int:
    return min(as_int(raw.get(name)), _MAX_TOKENS)


def _uncached(sent: Any, from_cache: Any, modality: str) -> int:
    return max(0, _tokens_of(sent, modality) - _tokens_of(from_cache, modality))


def _tokens_of(details: Any, modality: str) -> int:
    found = (each for each in objects_in(details) if each.get("modality") == modality)
    return min(sum(as_int(each.get("tokenCount")) for each in found), _MAX_TOKENS)


def write_usage(usage: Usage) -> dict[str, Any]:
    """Write `usageMetadata`."""
    prompt, output = usage.total_input_tokens, usage.total_output_tokens - usage.reasoning_tokens
    counts: dict[str, Any] = {"promptTokenCount": prompt, "candidatesTokenCount": output}
    if usage.cache_read_tokens:
        counts["cachedContentTokenCount"] = usage.cache_read_tokens
    if usage.reasoning_tokens:
        counts["thoughtsTokenCount"] = usage.reasoning_tokens
    counts["totalTokenCount"] = usage.total_tokens
    if usage.input_audio_tokens or usage.input_image_tokens:
        counts["promptTokensDetails"] = _write_details(prompt, usage.input_audio_tokens, usage.input_image_tokens)
    if usage.output_audio_tokens or usage.output_image_tokens:
        details = _write_details(output, usage.output_audio_tokens, usage.output_image_tokens)
        counts["candidatesTokensDetails"] = details
    return counts


def _write_details(total: int, audio: int, image: int) -> list[dict[str, Any]]:
    parts = (("TEXT", total - audio - image), ("AUDIO", audio), ("IMAGE", image))
    return [{"modality": modality, "tokenCount": count} for modality, count in parts if count]
