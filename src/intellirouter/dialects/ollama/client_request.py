"""Decoding of Ollama's requests: `/api/chat` and `/api/generate`.

Sources: Ollama's `docs/api.md` and `api/types.go`. The answer is streamed unless `stream` is false. Tool arguments are
objects. Older clients send no call ids, so their results are matched to calls by the name of the tool, in order.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct, field

from intellirouter.core import Call, errors
from intellirouter.dialects.calls import ConversationCall, narrow_call
from intellirouter.dialects.ir import (
    Conversation,
    FunctionTool,
    Media,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningConfig,
    Role,
    Sampling,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from intellirouter.dialects.ollama.wire import DIALECT, now_ns
from intellirouter.dialects.wire.json_reader import unknown_members
from intellirouter.dialects.wire.media_types import media_type_of
from intellirouter.dialects.wire.request_validation import decode_body
from intellirouter.dialects.wire.reserved_members import ReservedMembers


class FunctionIn(Struct):
    name: str
    arguments: dict[str, Any] | str | None = None
    index: int | None = None


class ToolCallIn(Struct):
    function: FunctionIn
    id: str | None = None
    type: str | None = None


class MessageIn(Struct):
    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[ToolCallIn] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class ToolFunctionIn(Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolIn(Struct):
    function: ToolFunctionIn
    type: str | None = None


class _Request(ReservedMembers, kw_only=True):
    """The members that both endpoints have."""

    model: str
    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    options: dict[str, Any] | None = None
    think: bool | str | None = None
    keep_alive: float | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class ChatRequest(_Request, kw_only=True):
    messages: list[MessageIn] | None = None
    tools: list[ToolIn] | None = None


class GenerateRequest(_Request, kw_only=True):
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    images: list[str] | None = None


class ParsedRequest(Struct):
    """A request with its options: those of `ir.Sampling`, by field, and those that only Ollama has."""

    request: ChatRequest | GenerateRequest
    sampling: dict[str, Any]
    own_options: dict[str, Any]


class OllamaCall(ConversationCall, kw_only=True):
    source: ParsedRequest
    began_ns: int = field(default_factory=now_ns)
    """When the request was decoded, in nanoseconds since the Unix epoch."""


ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
LEVELS: Final = frozenset({"low", "medium", "high", "max"})
_KNOWN: Final = frozenset({"options", "stream", "model", "format", "think", "logprobs", "top_logprobs"})
_CHAT_MEMBERS: Final = _KNOWN | {"messages", "tools"}
_object: Final = msgspec.json.Decoder(dict[str, Any])
_GENERATE_MEMBERS: Final = _KNOWN | {"prompt", "system", "images"}
_MESSAGE_MEMBERS: Final = frozenset(MessageIn.__struct_fields__)
_CALL_MEMBERS: Final = frozenset(ToolCallIn.__struct_fields__)
_TOOL_MEMBERS: Final = frozenset(ToolIn.__struct_fields__)
_FUNCTION_MEMBERS: Final = frozenset(ToolFunctionIn.__struct_fields__)


def conversation_of(call: Call) -> Conversation:
    """Decode the complete request. Raises `InvalidRequest`."""
    parsed = narrow_call(call, OllamaCall).source
    request = parsed.request
    raw = decode_body(_object, call.body)
    sampling = dict(parsed.sampling)
    if request.logprobs:
        sampling["logprobs"] = True
        sampling["top_logprobs"] = request.top_logprobs
    is_chat = isinstance(request, ChatRequest)
    extras = unknown_members(raw, _CHAT_MEMBERS if is_chat else _GENERATE_MEMBERS)
    return Conversation(
        dialect=DIALECT,
        model=request.model,
        messages=_Messages().read(request, raw) if isinstance(request, ChatRequest) else _prompt(request),
        tools=_tools(request, raw) if isinstance(request, ChatRequest) else [],
        output=_output(request.format),
        reasoning=_reasoning(request.think),
        sampling=Sampling(**sampling),
        is_stream=call.is_stream,
        extras={**parsed.own_options, **extras},
    )


def _output(format_: str | dict[str, Any] | None) -> OutputFormat | None:
    if isinstance(format_, dict):
        return OutputFormat(kind="json_schema", schema=format_)
    return OutputFormat(kind="json_object") if format_ else None


def _reasoning(think: bool | str | None) -> ReasoningConfig | None:  # noqa: FBT001 - the type in requests
    if think is None:
        return None
    return ReasoningConfig(effort=think) if isinstance(think, str) else ReasoningConfig(is_enabled=think)


def _tools(request: ChatRequest, raw: dict[str, Any]) -> list[Any]:
    tools = []
    for tool, document in zip(request.tools or (), raw.get("tools") or (), strict=True):
        function = tool.function
        extras = unknown_members(document, _TOOL_MEMBERS) | unknown_members(document["function"], _FUNCTION_MEMBERS)
        tools.append(
            FunctionTool(
                name=function.name,
                description=function.description or "",
                parameters=function.parameters,
                extras=extras,
            )
        )
    return tools


def _prompt(request: GenerateRequest) -> list[Message]:
    messages = [Message(role="system", parts=[Text(text=request.system)])] if request.system else []
    parts: list[Part] = [_media(data) for data in request.images or ()]
    messages.append(Message(role="user", parts=[*parts, Text(text=request.prompt or "")]))
    return messages


def _media(data: str) -> Media:
    """Decode an element of `images`, which is the base64 of an image or, for models with audio input, of audio."""
    media_type = ""
    if data[:5] == "data:":
        head, _, data = data.partition(",")
        media_type = head[5:].partition(";")[0]
    if "\n" in data or "\r" in data:
        data = data.replace("\n", "").replace("\r", "")
    media_type = media_type or media_type_of(data)
    kind = media_type.partition("/")[0]
    return Media(
        kind="audio" if kind == "audio" else "document" if kind == "application" else "image",
        source=Source(data=data, media_type=media_type),
    )


class _Messages:
    """Decodes messages in order. Calls without an id get their number as id, so that caches see the same text again."""

    def __init__(self) -> None:
        self._calls = 0
        self._open: list[tuple[str, str]] = []
        """Name and id of the calls that have no result yet."""

    def read(self, request: ChatRequest, raw: dict[str, Any]) -> list[Message]:
        documents = raw.get("messages") or ()
        return [self._message(*pair) for pair in zip(request.messages or (), documents, strict=True)]

    def _message(self, message: MessageIn, document: dict[str, Any]) -> Message:
        role = ROLES[message.role.lower()]
        extras = unknown_members(document, _MESSAGE_MEMBERS)
        if role == "tool":
            return Message(role=role, parts=[self._result(message)], extras=extras)
        parts: list[Part] = []
        if message.thinking:
            parts.append(Reasoning(text=message.thinking))
        parts += [_media(data) for data in message.images or ()]
        if message.content:
            parts.append(Text(text=message.content))
        if message.tool_calls:
            # Results always belong to the calls of the latest turn.
            self._open = []
            parts += [self._call(*pair) for pair in zip(message.tool_calls, document["tool_calls"], strict=True)]
        return Message(role=role, parts=parts or [Text(text="")], extras=extras)

    def _call(self, call: ToolCallIn, document: dict[str, Any]) -> ToolCall:
        self._calls += 1
        function = call.function
        call_id = call.id or f"call_{self._calls}"
        self._open.append((function.name, call_id))
        arguments = function.arguments
        text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
        extras = unknown_members(document, _CALL_MEMBERS)
        return ToolCall(id=call_id, name=function.name, arguments=text or "{}", extras=extras)

    def _result(self, message: MessageIn) -> ToolResult:
        name, call_id = self._close_call(message.tool_name or "", message.tool_call_id or "")
        parts: list[Text | Media] = [_media(data) for data in message.images or ()]
        return ToolResult(call_id=call_id, name=name, parts=[*parts, Text(text=message.content or "")])

    def _close_call(self, name: str, call_id: str) -> tuple[str, str]:
        """Return name and id of the call that a result belongs to: by id, by name, or else the first open call."""
        for index, (open_name, open_id) in enumerate(self._open):
            if open_id == call_id if call_id else name in {"", open_name}:
                del self._open[index]
                return open_name, open_id
        if not call_id:
            self._calls += 1
            call_id = f"call_{self._calls}"
        return name, call_id


def check_request(request: ChatRequest | GenerateRequest) -> None:
    """Raise `InvalidRequest` for invalid values, with Ollama's message if it has one."""
    if isinstance(request.think, str) and request.think not in LEVELS:
        raise errors.InvalidRequest(
            f'invalid think value: {request.think[:50]!r} (must be "high", "medium", "low", "max", true, or false)',
            code="invalid_value",
            param="think",
        )
    if isinstance(request.format, str) and request.format not in {"", "json"}:
        raise errors.InvalidRequest(
            f'invalid format: {request.format[:50]!r}; expected "json" or a JSON Schema object',
            code="invalid_value",
            param="format",
        )
    if not 0 <= (request.top_logprobs or 0) <= 20:
        raise errors.InvalidRequest("top_logprobs must be between 0 and 20", code="invalid_value", param="top_logprobs")
    if isinstance(request, GenerateRequest):
        _check_images(request.images, "images")
        return
    for index, message in enumerate(request.messages or ()):
        if message.role.lower() not in ROLES:
            raise errors.InvalidRequest(
                f"Invalid value: {message.role[:100]!r}. Supported values are: {', '.join(ROLES)}.",
                code="invalid_value",
                param=f"messages[{index}].role",
            )
        _check_images(message.images, f"messages[{index}].images")


def _check_images(images: list[str] | None, param: str) -> None:
    for data in images or ():
        if data[:8].lower().startswith(("http://", "https://", "file://")):
            raise errors.InvalidRequest(
                f"Invalid '{param}': expected base64 data, but got a URL.",
                code="invalid_value",
                param=param,
                hint="Send the content of the image, encoded as base64.",
            )
