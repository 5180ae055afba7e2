"""A completion independent of any wire format: what the client requested, and what the model answers."""

from typing import Any, Literal

import msgspec
from msgspec import Struct, field


class Tool(Struct, frozen=True):
    name: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments."""


class CompletionRequest(Struct, kw_only=True):
    """One request, reduced to what the planner needs. Each wire format extends it with its own options."""

    model: str
    input_text: str
    """The last tool result if the conversation ends with one, otherwise the last user message."""
    last_role: str = "user"
    """Role of the last message: `user`, `tool`, …"""
    prompt_tokens: int = 0
    choice_count: int = 1
    stops: list[str] = field(default_factory=list)
    max_tokens: int | None = None
    tools: list[Tool] = field(default_factory=list)
    tool_choice: str = "auto"
    """`none`, `auto`, `required`, or `=NAME` for a named function."""
    allows_parallel_calls: bool = True
    format: Literal["text", "json_object", "json_schema"] = "text"
    schema: Any = None
    """JSON Schema of the answer if `format` is `json_schema`."""
    wants_reasoning: bool = False
    call_id_prefix: str = "call_"
    cached_tokens: int = 0
    """Prompt tokens that were read from the vendor's prompt cache."""
    cache_write_tokens: int = 0
    """Prompt tokens that were written to the vendor's prompt cache."""


class ToolCall(Struct):
    id: str
    name: str
    arguments: str
    """JSON, unless the token limit cut it off."""

    def arguments_object(self) -> dict[str, Any] | None:
        """Return the arguments as an object, or None if they are not a valid JSON object."""
        try:
            return msgspec.json.decode(self.arguments, type=dict[str, Any])
        except msgspec.MsgspecError:
            return None


class Choice(Struct, kw_only=True):
    tokens: list[str]
    """The text, split as it will be streamed; empty if there are tool calls."""
    calls: list[ToolCall]
    finish_reason: str | None
    """`stop`, `length` or `tool_calls`; None only if a fault removed it."""
    stop_sequence: str | None = None
    """The stop sequence that ended the text."""
    refusal: str | None = None
    """Replaces the answer: with a refusal there are neither text nor tool calls."""
    reasoning: list[str] = field(default_factory=list)
    """Reasoning before the answer, split as it will be streamed."""
    is_reasoning_forced: bool = False
    """The reasoning is shown although the client did not request it."""

    @property
    def text(self) -> str:
        return "".join(self.tokens)


class Completion(Struct, kw_only=True):
    model: str
    created_s: int
    choices: list[Choice]
    prompt_tokens: int
    """The whole prompt, including cached tokens."""
    completion_tokens: int
    """Text and tool calls, without reasoning."""
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def output_tokens(self) -> int:
        """Text, tool calls and reasoning."""
        return self.completion_tokens + self.reasoning_tokens
