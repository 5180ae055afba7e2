"""What the model says, before a protocol puts it into its words."""

from typing import Any

import msgspec
from msgspec import Struct, field


class ToolCall(Struct):
    id: str
    name: str
    arguments: str
    """JSON, unless the token limit cut it."""

    def arguments_object(self) -> dict[str, Any] | None:
        """Return the arguments as an object, None where they are none."""
        try:
            return msgspec.json.decode(self.arguments, type=dict[str, Any])
        except msgspec.MsgspecError:
            return None


class Choice(Struct, kw_only=True):
    tokens: list[str]
    """The text, cut as it will be streamed; empty when there are calls."""
    calls: list[ToolCall]
    finish_reason: str | None
    """`stop`, `length`, `tool_calls`; None only where a fault took it away."""
    stop_sequence: str | None = None
    """The stop string that ended the text."""
    refusal: str | None = None
    """Said instead of an answer; then there are neither text nor calls."""
    thought: list[str] = field(default_factory=list)
    """Thoughts before the answer, cut as they will be streamed."""
    is_thought_shown: bool = False
    """Shown though nobody asked for thoughts."""

    @property
    def text(self) -> str:
        return "".join(self.tokens)


class Completion(Struct, kw_only=True):
    model: str
    created_s: int
    choices: list[Choice]
    prompt_tokens: int
    """All of the prompt, with what came from the cache."""
    completion_tokens: int
    """Text and calls, without thoughts."""
    thought_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def output_tokens(self) -> int:
        """Thoughts included."""
        return self.completion_tokens + self.thought_tokens
