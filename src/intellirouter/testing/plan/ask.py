"""What a client wants to hear, whatever the protocol it said it in."""

from typing import Any, Literal

from msgspec import Struct, field


class Tool(Struct, frozen=True):
    name: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments."""


class Ask(Struct, kw_only=True):
    """One conversation, as far as the planner has to know it."""

    model: str
    heard: str
    """The last tool result when the conversation ends with one, otherwise the last user message."""
    last_role: str = "user"
    """`user`, `tool`, or whoever spoke last."""
    prompt_tokens: int = 0
    choices: int = 1
    stops: list[str] = field(default_factory=list)
    max_tokens: int | None = None
    tools: list[Tool] = field(default_factory=list)
    tool_choice: str = "auto"
    """`none`, `auto`, `required`, or `=NAME` for a named function."""
    is_parallel: bool = True
    format: Literal["text", "json_object", "json_schema"] = "text"
    schema: Any = None
    """JSON Schema of the answer when `format` is `json_schema`."""
    thinks: bool = False
    """Asks for the thoughts before the answer."""
    call_prefix: str = "call_"
    """How ids of tool calls begin."""
    cached_tokens: int = 0
    """Of the prompt, read from the vendor's cache."""
    cache_write_tokens: int = 0
    """Of the prompt, written to it."""
