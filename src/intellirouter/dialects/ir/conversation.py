"""A conversation to be continued: the request of every chat-like dialect."""

from typing import Any, Literal

from msgspec import Struct, field

from intellirouter.dialects.ir.parts import CacheMark, Extras, Part, ToolCall

Role = Literal["system", "developer", "user", "assistant", "tool"]


class Message(Struct, kw_only=True):
    """One turn. Tool results are parts of `tool` messages (in dialects that put them into user turns, the decoder
    splits them off, in order), so that encoders need one rule only.
    """

    role: Role
    parts: list[Part] = field(default_factory=list)
    name: str = ""
    id: str = ""
    extras: Extras = field(default_factory=dict)


class FunctionTool(Struct, kw_only=True, tag="function"):
    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None
    """JSON Schema of the arguments, as the client wrote it; None = takes none."""
    is_strict: bool | None = None
    cache: CacheMark | None = None
    extras: Extras = field(default_factory=dict)


class CustomTool(Struct, kw_only=True, tag="custom"):
    """A tool that takes free text (OpenAI): `format` is its grammar, if any."""

    name: str
    description: str = ""
    format: Any = None
    cache: CacheMark | None = None
    extras: Extras = field(default_factory=dict)


class ServerTool(Struct, kw_only=True, tag="server"):
    """A tool that the vendor runs (web search, code, files, MCP). Has no equal in another dialect."""

    dialect: str
    kind: str
    raw: Any
    cache: CacheMark | None = None


Tool = FunctionTool | CustomTool | ServerTool


class ToolChoice(Struct, kw_only=True):
    mode: Literal["none", "auto", "required", "named"] = "auto"
    name: str = ""
    """For `named`."""
    allowed: list[str] | None = None
    """Only these tools may be used; None = all. Goes with `auto` and `required`."""
    is_parallel: bool | None = None
    """False: at most one call a turn. None: not said."""
    raw: Any = None
    """A choice of a tool the vendor runs (responses `{"type": "web_search"}`), for the same dialect."""


class OutputFormat(Struct, kw_only=True):
    """The form the answer must have. Never weakened silently."""

    kind: Literal["text", "json_object", "json_schema"]
    name: str = ""
    description: str = ""
    schema: dict[str, Any] | None = None
    is_strict: bool | None = None


class ReasoningConfig(Struct, kw_only=True):
    """How much the model shall think, and what of it shall be shown."""

    is_enabled: bool | None = None
    """False: no thinking. None: only `effort` or `budget_tokens` speak."""
    effort: str = ""
    """`none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`; empty = not said."""
    budget_tokens: int | None = None
    """-1: the model decides (Gemini)."""
    is_adaptive: bool = False
    """Anthropic's `adaptive` thinking."""
    is_visible: bool | None = None
    """Whether thoughts or summaries shall be in the answer."""
    summary: str = ""
    """The responses dialect's `auto`, `concise`, `detailed`."""
    spelling: Extras = field(default_factory=dict)
    """The same in the client's own members, for upstreams of its dialect: it says no more than the fields above."""
    extras: Extras = field(default_factory=dict)


class Sampling(Struct, kw_only=True):
    """Tuning knobs. None = not said. What an upstream does not know is dropped and reported."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    stop: list[str] = field(default_factory=list)
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    n: int = 1
    verbosity: str = ""


class Conversation(Struct, kw_only=True):
    """A decoded chat-like request. Read-only: attempts on several upstreams are encoded from the same value."""

    dialect: str
    """The client's; `extras` everywhere are in its words."""
    model: str
    messages: list[Message] = field(default_factory=list)
    """System and developer messages included, in place; a dialect's top-level system prompt comes first."""
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice | None = None
    output: OutputFormat | None = None
    reasoning: ReasoningConfig | None = None
    sampling: Sampling = field(default_factory=Sampling)
    is_stream: bool = False
    wants_usage: bool = True
    """Whether the client wants the usage of a stream (only OpenAI's chat dialect asks)."""
    user: str = ""
    """The end user's id, for abuse detection."""
    metadata: dict[str, Any] | None = None
    service_tier: str = ""
    cache_key: str = ""
    modalities: list[str] = field(default_factory=list)
    """What the answer may hold (`text`, `audio`, `image`); empty = text."""
    extras: Extras = field(default_factory=dict)

    def tool_names(self) -> dict[str, str]:
        """Return the name of the tool by call id, from the calls in the history."""
        return {part.id: part.name for message in self.messages for part in message.parts if isinstance(part, ToolCall)}
