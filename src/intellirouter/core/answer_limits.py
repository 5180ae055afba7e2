"""The limits on upstreams' answers. They bound how long an answer can keep the gateway busy, and its memory."""

from typing import Final

from msgspec import Struct


class AnswerLimits(Struct, frozen=True, kw_only=True):
    """Limits of one answer. Each is the setting `server.max_answer_NAME`."""

    bytes: int = 64 * 1024 * 1024
    """Of an answer that is not streamed."""
    chars: int = 8 * 1024 * 1024
    """Of a stream: text, reasoning and arguments."""
    parts: int = 10_000
    """Content parts of a choice, including tool calls; and citations."""
    tool_calls: int = 1024


DEFAULT_ANSWER_LIMITS: Final = AnswerLimits()
