"""The conversation that a model is to continue: the request of every chat-like dialect."""

from typing import Any, Literal

from msgspec import Struct, field

from intellirouter.dialects.ir.parts import CacheMark, Extras, Part, ToolCall

Role = Literal["system", "developer", "user", "assistant", "tool"]


class Message(Struct, kw_only=True):
    """One turn. Tool results are always parts of `tool` messages. If a dialect puts them into user turns, its decoder
    splits them off, in order.
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
    """JSON Schema of the arguments, as the client wrote it; None: the tool takes no arguments."""
    is_strict: bool | None = None
    cache: CacheMark | None = None
    extras: Extras = field(default_factory=dict)


class CustomTool(Struct, kw_only=True, tag="custom"):
    """A tool whose input is free text (OpenAI). `format` is its grammar, if it has one."""

    name: str
    description: str = ""
    format: Any = None
    cache: CacheMark | None = None
    extras: Extras = field(default_factory=dict)


class ServerTool(Struct, kw_only=True, tag="server"):
    """A tool that the vendor runs: web search, code execution, file search, MCP. No other dialect can express it."""

    dialect: str
    kind: str
    raw: Any
    cache: CacheMark | None = None


Tool = FunctionTool | CustomTool | ServerTool


class ToolChoice(Struct, kw_only=True):
    mode: Literal["none", "auto", "required", "named"] = "auto"
    name: str = ""
    """The tool, if `mode` is `named`."""
    allowed: list[str] | None = None
    """The only tools that may be used; None: all of them. Applies to `auto` and `required`."""
    is_parallel: bool | None = None
    """False: at most one call per turn. None: unspecified."""
    raw: Any = None
    """The choice of a tool that the vendor runs (Responses API: `{"type": "web_search"}`), for the same dialect."""


class OutputFormat(Struct, kw_only=True):
    """The format that the answer must have. It is never weakened silently."""

    kind: Literal["text", "json_object", "json_schema"]
    name: str = ""
    description: str = ""
    schema: dict[str, Any] | None = None
    is_strict: bool | None = None


class ReasoningConfig(Struct, kw_only=True):
    """How much the model should reason, and whether the client wants to see the reasoning."""

    is_enabled: bool | None = None
    """False: no reasoning. None: `effort` and `budget_tokens` decide."""
    effort: str = ""
    """`none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`; empty: unspecified."""
    budget_tokens: int | None = None
    """-1: the model decides (Gemini)."""
    is_adaptive: bool = False
    """Anthropic's `adaptive` thinking."""
    is_visible: bool | None = None
    """Whether the answer should contain the reasoning or its summary. None: unspecified."""
    summary: str = ""
    """`auto`, `concise` or `detailed` (Responses API)."""
    client_members: Extras = field(default_factory=dict)
    """The same settings as the client wrote them, for upstreams of its dialect."""
    extras: Extras = field(default_factory=dict)


class Sampling(Struct, kw_only=True):
    """Tuning parameters. None: unspecified. Those that an upstream does not support are dropped and reported."""

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
    """A decoded chat-like request. Read-only, because all attempts are encoded from the same value."""

    dialect: str
    """The client's dialect. All `extras` are members of this dialect."""
    model: str
    messages: list[Message] = field(default_factory=list)
    """All messages in order, including system and developer messages. A top-level system prompt comes first."""
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice | None = None
    output: OutputFormat | None = None
    reasoning: ReasoningConfig | None = None
    sampling: Sampling = field(default_factory=Sampling)
    is_stream: bool = False
    wants_usage: bool = True
    """Whether the client wants the usage of a stream. Optional only in OpenAI's chat dialect."""
    user: str = ""
    """An id of the end user, for abuse detection."""
    metadata: dict[str, Any] | None = None
    service_tier: str = ""
    cache_key: str = ""
    modalities: list[str] = field(default_factory=list)
    """What the answer may contain (`text`, `audio`, `image`); empty: text."""
    extras: Extras = field(default_factory=dict)

    def part_types(self) -> set[type]:
        """Return the types of the parts of all messages, without those inside of tool results."""
        return {part.__class__ for message in self.messages for part in message.parts}

    def tool_names(self) -> dict[str, str]:
        """Return the name of the tool by call id, from the calls in the history."""
        return {part.id: part.name for message in self.messages for part in message.parts if isinstance(part, ToolCall)}
