"""Finish reasons and token counts, both ways.

Source: Google, `Candidate.FinishReason`, `GenerateContentResponse.PromptFeedback.BlockReason`, `UsageMetadata`.
`promptTokenCount` includes `cachedContentTokenCount`; `thoughtsTokenCount` and `toolUsePromptTokenCount` stand beside
`candidatesTokenCount` and `promptTokenCount`, not inside them.
"""

from typing import Any, Final

from intellirouter.core import Usage
from intellirouter.dialects.gemini.wire import objects_in, text_of
from intellirouter.dialects.ir import Stop, StopReason
from intellirouter.dialects.wire.lenient import as_int

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
_WORDS: Final[dict[StopReason, str]] = {
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
_EXACT: Final = frozenset({"stop", "tool_calls", "length", "content_filter", "malformed_tool_call"})
_UNSPECIFIED: Final = frozenset({"", "FINISH_REASON_UNSPECIFIED"})
_MAX_TOKENS: Final = 10**12
"""More is nonsense, and would not fit the ledger's integers once priced."""


def stop_of(candidate: dict[str, Any], *, has_calls: bool) -> Stop | None:
    """Return why a candidate ended; None while it goes on. A word that is new to us counts as a good end."""
    word = text_of(candidate.get("finishReason"))
    if word in _UNSPECIFIED:
        return None
    reason = _REASONS.get(word, "stop")
    if reason == "stop" and has_calls:
        reason = "tool_calls"
    return Stop(reason=reason, raw=word, message=text_of(candidate.get("finishMessage")))


def block_of(document: dict[str, Any]) -> Stop | None:
    """Return why the prompt was blocked, if it was: then there are no candidates."""
    feedback = document.get("promptFeedback")
    word = text_of(feedback.get("blockReason")) if isinstance(feedback, dict) else ""
    if not word or word == "BLOCKED_REASON_UNSPECIFIED":
        return None
    message = text_of(feedback.get("blockReasonMessage")) if isinstance(feedback, dict) else ""
    return Stop(reason="content_filter", raw=word, message=message)


def word_of(stop: Stop | None) -> str:
    """Return the finish reason for a client: Google's own word where it was one."""
    if stop is None:
        return "STOP"
    return stop.raw if stop.raw in _REASONS else _WORDS[stop.reason]


def is_exact(stop: Stop) -> bool:
    """Tell whether the client's word says all that the stop does."""
    return stop.reason in _EXACT or stop.raw in _REASONS


def usage_of(raw: Any) -> Usage | None:
    """Read `usageMetadata`; None when there is none."""
    if not isinstance(raw, dict):
        return None
    prompt, cached = _count(raw, "promptTokenCount"), _count(raw, "cachedContentTokenCount")
    cached = min(cached, prompt)
    heard = _audio(raw.get("promptTokensDetails")) - _audio(raw.get("cacheTokensDetails"))
    audio_in = min(max(0, heard), prompt - cached)
    output = _count(raw, "candidatesTokenCount")
    audio_out = min(_audio(raw.get("candidatesTokensDetails")), output)
    thoughts, tools = _count(raw, "thoughtsTokenCount"), _count(raw, "toolUsePromptTokenCount")
    if not (prompt or output or thoughts or tools):
        prompt = _count(raw, "totalTokenCount")
    return Usage(
        input_tokens=prompt - cached - audio_in + tools,
        cache_read_tokens=cached,
        output_tokens=output - audio_out,
        reasoning_tokens=thoughts,
        input_audio_tokens=audio_in,
        output_audio_tokens=audio_out,
    )


def _count(raw: dict[str, Any], name: str) -> int:
    return min(as_int(raw.get(name)), _MAX_TOKENS)


def _audio(details: Any) -> int:
    found = (each for each in objects_in(details) if each.get("modality") == "AUDIO")
    return min(sum(as_int(each.get("tokenCount")) for each in found), _MAX_TOKENS)


def usage_out(usage: Usage) -> dict[str, Any]:
    """Write `usageMetadata`."""
    prompt, output = usage.total_input_tokens, usage.output_tokens + usage.output_audio_tokens
    found: dict[str, Any] = {"promptTokenCount": prompt, "candidatesTokenCount": output}
    if usage.cache_read_tokens:
        found["cachedContentTokenCount"] = usage.cache_read_tokens
    if usage.reasoning_tokens:
        found["thoughtsTokenCount"] = usage.reasoning_tokens
    found["totalTokenCount"] = usage.total_tokens
    if audio := usage.input_audio_tokens:
        found["promptTokensDetails"] = _details(prompt - audio, audio)
    if audio := usage.output_audio_tokens:
        found["candidatesTokensDetails"] = _details(output - audio, audio)
    return found


def _details(text: int, audio: int) -> list[dict[str, Any]]:
    rest = [{"modality": "TEXT", "tokenCount": text}] if text else []
    return [*rest, {"modality": "AUDIO", "tokenCount": audio}]
