"""What a test wants of a model, in no dialect's words, and what a client was told. See `dialect_asking`."""

from typing import Any

from msgspec import Struct, field

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A picture of one pixel: PNG, in base64."""
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
    """What the client has to send back with it, in its dialect's words."""


class Wish(Struct, kw_only=True):
    """One request."""

    text: str = "hello"
    system: str = ""
    tools: list[Tool] = field(default_factory=list)
    tool_choice: str = ""
    """`none`, `auto`, `required`, `=NAME`; empty: not said."""
    schema: dict[str, Any] | None = None
    image: str = ""
    """Base64 of a PNG."""
    image_url: str = ""
    max_tokens: int | None = None
    temperature: float | None = None
    called: list[Call] = field(default_factory=list)
    """The model's calls after `text`; `results` answer them."""
    results: list[str] = field(default_factory=list)
    raw_turn: Any = None
    """The model's turn as the client was given it, where that is more than its calls."""
    more: dict[str, Any] = field(default_factory=dict)
    """Members of the client's own dialect."""


class Said(Struct, kw_only=True):
    """What a client understood."""

    text: str = ""
    thoughts: str = ""
    calls: list[Call] = field(default_factory=list)
    finish: str | None = None
    """`stop`, `length`, `tool_calls`, `refusal`; None: it was not told why."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None
    is_complete: bool = False
    """A whole answer, or a stream that ended as a good one does."""
    error: str | None = None
    """The message of an error, in the envelope of the dialect."""
    error_code: str | None = None
    """The word that the dialect's clients branch on."""
    raw_turn: Any = None
