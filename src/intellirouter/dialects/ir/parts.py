"""Content parts: what messages and answers are made of, in order.

A part keeps everything that any dialect can say about it; `extras` holds what only its own dialect knows, verbatim.
Values are read-only after decoding: every attempt is encoded from the same form.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct, field

Extras = dict[str, Any]
"""Members that have no slot here, as the client or upstream wrote them (built-in JSON types)."""


class Opaque(Struct, frozen=True):
    """A provider's own token (thinking signature, encrypted reasoning): means something only to who minted it."""

    value: str
    origin: str = ""
    """Who minted it, as `origin_of(deployment)` names it; empty: the dialect the token came in, endpoint unknown."""
    dialect: str = ""
    """The dialect it belongs to: `anthropic_messages`, `gemini`, `openai_responses`, `bedrock`."""


class CacheMark(Struct, frozen=True):
    """A prompt-cache breakpoint after this part. `ttl`: `5m`, `1h` or empty for the default."""

    ttl: str = ""


class Citation(Struct, kw_only=True):
    """Where a piece of an answer comes from. Offsets count characters of the text part; -1 = unknown."""

    kind: Literal["url", "document", "file", "unknown"] = "unknown"
    url: str = ""
    title: str = ""
    cited_text: str = ""
    start: int = -1
    end: int = -1
    document_index: int = -1
    source_start: int = -1
    source_end: int = -1
    raw: Any = None
    """The citation as its dialect wrote it, for the same dialect."""
    dialect: str = ""


class Text(Struct, kw_only=True, tag="text"):
    text: str
    citations: list[Citation] = field(default_factory=list)
    cache: CacheMark | None = None
    token: Opaque | None = None
    """Gemini may sign any part."""
    logprobs: Any = None
    """OpenAI's form (`logprobs.content`): a list, or None."""
    extras: Extras = field(default_factory=dict)


class Refusal(Struct, kw_only=True, tag="refusal"):
    """The model declines, in words."""

    text: str
    extras: Extras = field(default_factory=dict)


class Source(Struct, kw_only=True):
    """Where bytes come from. Exactly one of `data`, `url`, `file_id`, `text` is set."""

    data: str | None = None
    """Base64, standard alphabet, without the data-URL prefix."""
    url: str | None = None
    """`https://…` (or `gs://…`), never `data:`."""
    file_id: str | None = None
    """Local to the vendor that gave it."""
    text: str | None = None
    """Plain text documents."""
    media_type: str = ""
    """`image/png`, `application/pdf`, …; empty = unknown."""


class Media(Struct, kw_only=True, tag="media"):
    """A picture, a recording, a film or a document."""

    kind: Literal["image", "audio", "video", "document"]
    source: Source
    detail: str = ""
    """OpenAI's `low`, `high`, `auto`; empty = not said."""
    name: str = ""
    """File name or title."""
    context: str = ""
    """Anthropic's document context."""
    has_citations: bool = False
    transcript: str = ""
    """Of a recording in an answer."""
    cache: CacheMark | None = None
    token: Opaque | None = None
    extras: Extras = field(default_factory=dict)


class Reasoning(Struct, kw_only=True, tag="reasoning"):
    """What the model thought. With neither text nor summary it is a signature only, which is valid and kept."""

    text: str = ""
    """The full thoughts, as far as they are shown."""
    summary: list[str] = field(default_factory=list)
    """Summaries, part by part (OpenAI responses)."""
    token: Opaque | None = None
    is_redacted: bool = False
    """Anthropic's `redacted_thinking`: the token is all there is."""
    id: str = ""
    extras: Extras = field(default_factory=dict)


class ToolCall(Struct, kw_only=True, tag="tool_call"):
    """The model wants a tool run. `arguments` is the text of a JSON object, or free text for kind `custom`."""

    id: str
    """Unique in the conversation; minted by the decoder where the dialect has none (`new_id("call_")`)."""
    name: str
    arguments: str = "{}"
    """As the model wrote it, even when it is cut off or broken; empty becomes `{}` in the decoder."""
    kind: Literal["function", "custom"] = "function"
    item_id: str = ""
    """The responses dialect's item id, which is not the call id."""
    token: Opaque | None = None
    """Gemini's thought signature."""
    cache: CacheMark | None = None
    extras: Extras = field(default_factory=dict)

    def arguments_object(self) -> dict[str, Any] | None:
        """Return the arguments as an object; None when they are no JSON object."""
        try:
            value = msgspec.json.decode(self.arguments or "{}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


class ToolResult(Struct, kw_only=True, tag="tool_result"):
    """What a tool gave back."""

    call_id: str
    name: str = ""
    """The tool's name where the dialect says it (Gemini, Ollama); `Conversation.tool_names()` knows it otherwise."""
    parts: list["Text | Media"] = field(default_factory=list)
    is_error: bool = False
    kind: Literal["function", "custom"] = "function"
    structured: Any = None
    """The result as an object where the dialect sends one (Gemini `response`); `parts` then hold its JSON text."""
    cache: CacheMark | None = None
    extras: Extras = field(default_factory=dict)

    def text(self) -> str:
        """Return the text parts, joined by newlines."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))


class Foreign(Struct, kw_only=True, tag="foreign"):
    """A part that only its own dialect understands: server tool use and its results, search results, code runs, …

    The same dialect gets `raw` back; another one reports it as lost.
    """

    dialect: str
    kind: str
    """Its type there: `server_tool_use`, `web_search_call`, `executableCode`."""
    raw: Any
    cache: CacheMark | None = None


Part = Text | Refusal | Media | Reasoning | ToolCall | ToolResult | Foreign
