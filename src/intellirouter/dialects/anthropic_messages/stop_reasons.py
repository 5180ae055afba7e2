"""Why an answer ended, and what it cost: Anthropic's words for both, both ways.

`input_tokens` leaves out what was read from and written to the cache; `output_tokens` includes thinking.
"""

from typing import Any, Final

from msgspec import Struct

from intellirouter.core import Usage
from intellirouter.dialects.ir import Stop, StopReason

STOP_REASONS: Final[dict[str, StopReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "compaction": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_length",
}
"""What upstreams say. `compaction` pauses a turn, too: the client sends the answer back to have it continued."""

REASONS_OUT: Final[dict[StopReason, str]] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "context_length": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "malformed_tool_call": "end_turn",
    "cancelled": "end_turn",
    "error": "end_turn",
}
UNSAYABLE: Final = frozenset({"malformed_tool_call", "cancelled", "error"})
"""Ends that the dialect has no word for."""

_MAX_TOKENS: Final = 10**12
"""More is nonsense, and would not fit the ledger's integers once priced."""


def stop_of(reason: str, sequence: Any, details: Any) -> Stop:
    """Read why an answer ended. An unknown word ends it normally; it is kept beside."""
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return Stop(
        reason=STOP_REASONS.get(reason, "stop"),
        sequence=sequence if isinstance(sequence, str) else None,
        raw=reason,
        message=explanation if isinstance(explanation, str) else "",
    )


def word_for(stop: Stop | None, *, has_refusal: bool = False) -> str:
    """Return the `stop_reason` that says it best."""
    if stop is None:
        return "end_turn"
    if has_refusal and stop.reason == "stop":
        return "refusal"
    if stop.reason == "pause" and stop.raw == "compaction":
        return "compaction"
    return REASONS_OUT[stop.reason]


class UsageCounts(Struct):
    """The usage object of a message, or of a stream so far. Members are replaced by later ones, never added."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int = 0
    cache_write: int = 0
    thinking: int = 0

    def take(self, raw: dict[str, Any]) -> None:
        """Read a usage object. Counts are cumulative: what is missing, odd or zero leaves the earlier count."""
        self.input_tokens = _count(raw, "input_tokens") or self.input_tokens
        self.output_tokens = _count(raw, "output_tokens") or self.output_tokens
        self.cache_read = _count(raw, "cache_read_input_tokens") or self.cache_read
        self.cache_write = _count(raw, "cache_creation_input_tokens") or self.cache_write
        details = raw.get("output_tokens_details")
        if isinstance(details, dict):
            self.thinking = _count(details, "thinking_tokens") or self.thinking

    def usage(self) -> Usage:
        thinking = min(self.thinking, self.output_tokens)
        return Usage(
            input_tokens=self.input_tokens,
            cache_read_tokens=self.cache_read,
            cache_write_tokens=self.cache_write,
            output_tokens=self.output_tokens - thinking,
            reasoning_tokens=thinking,
        )


def usage_of(raw: Any) -> Usage | None:
    """Read a whole answer's usage; None when there is none."""
    if not isinstance(raw, dict):
        return None
    counts = UsageCounts()
    counts.take(raw)
    return counts.usage()


def usage_out(usage: Usage) -> dict[str, Any]:
    """Write a usage object."""
    said: dict[str, Any] = {
        "input_tokens": usage.input_tokens + usage.input_audio_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.total_output_tokens,
    }
    if usage.reasoning_tokens:
        said["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return said


def _count(raw: dict[str, Any], name: str) -> int:
    value = raw.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return min(max(0, int(value)), _MAX_TOKENS)
