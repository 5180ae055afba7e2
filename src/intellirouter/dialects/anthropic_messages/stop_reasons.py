"""Reads and writes Anthropic's stop reasons and usage.

`input_tokens` does not include tokens read from or written to the cache. `output_tokens` includes reasoning tokens.
"""

from typing import Any, Final

from msgspec import Struct

from intellirouter.core import Usage
from intellirouter.dialects.ir import Stop, StopReason
from intellirouter.dialects.wire.lenient import reported

_STOP_REASONS: Final[dict[str, StopReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "compaction": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_length",
}
"""The stop reasons of upstreams. `compaction` also pauses a turn: the client sends the response back to continue it."""

_STOP_REASON_NAMES: Final[dict[StopReason, str]] = {
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
UNMAPPED_REASONS: Final = frozenset({"malformed_tool_call", "cancelled", "error"})
"""Stop reasons without an equivalent in this dialect."""

_MAX_TOKENS: Final = 10**12
"""Higher counts are wrong, and their price would exceed the range of the ledger's integers."""
_NUMBERS: Final = (int, float)


def read_stop(reason: str, sequence: Any, details: Any) -> Stop:
    """Read a stop reason. An unknown one counts as a normal end; its name is stored in `raw`."""
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return Stop(
        reason=_STOP_REASONS.get(reason, "stop"),
        sequence=sequence if isinstance(sequence, str) else None,
        raw=reason,
        message=explanation if isinstance(explanation, str) else "",
    )


def implied_stop(*, has_calls: bool) -> Stop:
    """Return the stop of an answer without a stop reason, because some compatible servers leave it out."""
    return Stop(reason="tool_calls" if has_calls else "stop")


def write_stop_reason(stop: Stop | None, *, has_refusal: bool = False) -> str:
    """Return the most similar `stop_reason`."""
    if stop is None:
        return "end_turn"
    if has_refusal and stop.reason == "stop":
        return "refusal"
    if stop.reason == "pause" and stop.raw == "compaction":
        return "compaction"
    return _STOP_REASON_NAMES[stop.reason]


class UsageCounts(Struct):
    """The usage of a message, or of a stream so far. Later counts replace earlier ones."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int = 0
    cache_write: int = 0
    """Including `cache_write_1h`."""
    cache_write_1h: int = 0
    thinking: int = 0
    is_implausible: bool = False

    def update(self, raw: dict[str, Any]) -> None:
        """Read a usage object with cumulative counts. Missing, invalid and zero counts do not replace earlier ones."""
        self.input_tokens = self._read(raw, "input_tokens") or self.input_tokens
        self.output_tokens = self._read(raw, "output_tokens") or self.output_tokens
        self.cache_read = self._read(raw, "cache_read_input_tokens") or self.cache_read
        self.cache_write = self._read(raw, "cache_creation_input_tokens") or self.cache_write
        written = raw.get("cache_creation")
        if isinstance(written, dict):
            self.cache_write_1h = self._read(written, "ephemeral_1h_input_tokens") or self.cache_write_1h
            self.cache_write = max(
                self.cache_write, self.cache_write_1h + self._read(written, "ephemeral_5m_input_tokens")
            )
        details = raw.get("output_tokens_details")
        if isinstance(details, dict):
            self.thinking = self._read(details, "thinking_tokens") or self.thinking

    def _read(self, raw: dict[str, Any], name: str) -> int:
        """Return a count; 0 if it is missing or not a number. One that is not possible is limited and noted."""
        value = raw.get(name)
        if value.__class__ is not int and (isinstance(value, bool) or not isinstance(value, _NUMBERS)):
            return 0
        if 0 <= value <= _MAX_TOKENS:
            return int(value)
        self.is_implausible = True
        return _MAX_TOKENS if value > 0 else 0

    def usage(self) -> Usage:
        thinking = min(self.thinking, self.output_tokens)
        return Usage(
            input_tokens=self.input_tokens,
            cache_read_tokens=self.cache_read,
            cache_write_tokens=self.cache_write - self.cache_write_1h,
            cache_write_1h_tokens=self.cache_write_1h,
            output_tokens=self.output_tokens - thinking,
            reasoning_tokens=thinking,
            is_implausible=self.is_implausible,
        )


def read_usage(raw: Any) -> Usage | None:
    """Read the usage of a complete response, if it has any."""
    if not isinstance(raw, dict):
        return None
    counts = UsageCounts()
    counts.update(raw)
    return reported(counts.usage())


def write_usage(usage: Usage) -> dict[str, Any]:
    """Write a usage object."""
    counts: dict[str, Any] = {
        "input_tokens": usage.input_tokens + usage.input_audio_tokens + usage.input_image_tokens,
        "cache_creation_input_tokens": usage.total_cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.total_output_tokens,
    }
    if usage.cache_write_1h_tokens:
        counts["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        }
    if usage.reasoning_tokens:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return counts
