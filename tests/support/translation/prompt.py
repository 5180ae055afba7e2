"""A prompt and a parsed answer, independent of any dialect. See `requests` and `answers`."""

from typing import Any

from msgspec import Struct, field

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A PNG image of one pixel, in base64."""
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


class Tool(Struct, frozen=True):
    name: str
    description: str = "A tool."
    parameters: dict[str, Any] = field(default_factory=lambda: WEATHER)


class Call(Struct):
    """A tool call as a client sees it."""

    id: str
    name: str
    arguments: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)
    """Members that the client must send back with the call, in the format of its dialect."""


class Prompt(Struct, kw_only=True):
    """The content of one request."""

    text: str = "hello"
    system: str = ""
    tools: list[Tool] = field(default_factory=list)
    tool_choice: str = ""
    """`none`, `auto`, `required` or `=NAME`; empty if not set."""
    schema: dict[str, Any] | None = None
    image: str = ""
    """Base64 of a PNG."""
    image_url: str = ""
    max_tokens: int | None = None
    temperature: float | None = None
    called: list[Call] = field(default_factory=list)
    """The calls that the model answered to `text`; `results` are their results."""
    results: list[str] = field(default_factory=list)
    raw_turn: Any = None
    """The model's turn as the client received it, if it contains more than calls."""
    more: dict[str, Any] = field(default_factory=dict)
    """Additional members in the dialect of the client."""


class ParsedAnswer(Struct, kw_only=True):
    """What a client reads in an answer."""

    text: str = ""
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)
    finish: str | None = None
    """`stop`, `length`, `tool_calls` or `refusal`; None if the answer gives no reason."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None
    is_complete: bool = False
    """A complete body, or a stream with a regular end."""
    error: str | None = None
    """The error message."""
    error_code: str | None = None
    """The error code or type that clients of the dialect evaluate."""
    raw_turn: Any = None
