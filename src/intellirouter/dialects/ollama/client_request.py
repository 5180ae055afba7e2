"""Ollama's requests, read: `/api/chat` and `/api/generate` into the intermediate form.

Sources: Ollama's `docs/api.md` and `api/types.go`. Streams unless `stream` is false; tool arguments are objects;
calls have no ids in older clients: results are matched by the tool's name, in order.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

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
from intellirouter.dialects.ollama.wire import DIALECT
from intellirouter.dialects.wire.json_reader import unknown_members
from intellirouter.dialects.wire.media_types import media_type_of


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


class _Asks(Struct, kw_only=True):
    """What both endpoints know."""

    model: str
    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    options: dict[str, Any] | None = None
    think: bool | str | None = None
    keep_alive: float | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class ChatRequest(_Asks, kw_only=True):
    messages: list[MessageIn] | None = None
    tools: list[ToolIn] | None = None


class GenerateRequest(_Asks, kw_only=True):
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    images: list[str] | None = None


class Read(Struct):
    """A request, its options in the form's words, and those that only Ollama knows."""

    request: ChatRequest | GenerateRequest
    knobs: dict[str, Any]
    own_options: dict[str, Any]


class OllamaCall(ConversationCall, kw_only=True):
    source: Read


ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
LEVELS: Final = frozenset({"low", "medium", "high", "max"})
_SPOKEN: Final = frozenset({"options", "stream", "model", "format", "think", "logprobs", "top_logprobs"})
_OF_CHAT: Final = _SPOKEN | {"messages", "tools"}
_OF_GENERATE: Final = _SPOKEN | {"prompt", "system", "images"}
_OF_MESSAGE: Final = frozenset(MessageIn.__struct_fields__)
_OF_CALL: Final = frozenset(ToolCallIn.__struct_fields__)
_OF_TOOL: Final = frozenset(ToolIn.__struct_fields__)
_OF_FUNCTION: Final = frozenset(ToolFunctionIn.__struct_fields__)


def conversation_of(call: Call) -> Conversation:
    """Read the whole request. Raises `InvalidRequest`."""
    read = narrow_call(call, OllamaCall).source
    request = read.request
    raw: dict[str, Any] = msgspec.json.decode(call.body)
    knobs = dict(read.knobs)
    if request.logprobs:
        knobs["logprobs"] = True
        knobs["top_logprobs"] = request.top_logprobs
    is_chat = isinstance(request, ChatRequest)
    extras = unknown_members(raw, _OF_CHAT if is_chat else _OF_GENERATE)
    return Conversation(
        dialect=DIALECT,
        model=request.model,
        messages=_Messages().read(request, raw) if isinstance(request, ChatRequest) else _prompt(request),
        tools=_tools(request, raw) if isinstance(request, ChatRequest) else [],
        output=_output(request.format),
        reasoning=_reasoning(request.think),
        sampling=Sampling(**knobs),
        is_stream=call.is_stream,
        extras={**read.own_options, **extras},
    )


def _output(format_: str | dict[str, Any] | None) -> OutputFormat | None:
    if isinstance(format_, dict):
        return OutputFormat(kind="json_schema", schema=format_)
    return OutputFormat(kind="json_object") if format_ else None


def _reasoning(think: bool | str | None) -> ReasoningConfig | None:  # noqa: FBT001 - as it is on the wire
    if think is None:
        return None
    return ReasoningConfig(effort=think) if isinstance(think, str) else ReasoningConfig(is_enabled=think)


def _tools(request: ChatRequest, raw: dict[str, Any]) -> list[Any]:
    tools = []
    for tool, written in zip(request.tools or (), raw.get("tools") or (), strict=True):
        function = tool.function
        extras = unknown_members(written, _OF_TOOL) | unknown_members(written["function"], _OF_FUNCTION)
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
    """Read one of `images`: base64 of a picture or, for models that listen, of a recording."""
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
    """Reads messages in order. Calls without an id get one by their place, the same every time: caches depend on it."""

    def __init__(self) -> None:
        self._calls = 0
        self._open: list[tuple[str, str]] = []
        """Calls that no result has answered yet: (name, id)."""

    def read(self, request: ChatRequest, raw: dict[str, Any]) -> list[Message]:
        written = raw.get("messages") or ()
        return [self._message(message, it) for message, it in zip(request.messages or (), written, strict=True)]

    def _message(self, message: MessageIn, written: dict[str, Any]) -> Message:
        role = ROLES[message.role.lower()]
        extras = unknown_members(written, _OF_MESSAGE)
        if role == "tool":
            return Message(role=role, parts=[self._result(message)], extras=extras)
        parts: list[Part] = []
        if message.thinking:
            parts.append(Reasoning(text=message.thinking))
        parts += [_media(data) for data in message.images or ()]
        if message.content:
            parts.append(Text(text=message.content))
        if message.tool_calls:
            # Calls of earlier turns that were never answered cannot be meant by the results that follow.
            self._open = []
            calls = zip(message.tool_calls, written["tool_calls"], strict=True)
            parts += [self._call(call, it) for call, it in calls]
        return Message(role=role, parts=parts or [Text(text="")], extras=extras)

    def _call(self, call: ToolCallIn, written: dict[str, Any]) -> ToolCall:
        self._calls += 1
        function = call.function
        call_id = call.id or f"call_{self._calls}"
        self._open.append((function.name, call_id))
        found = function.arguments
        text = found if isinstance(found, str) else msgspec.json.encode(found or {}).decode()
        extras = unknown_members(written, _OF_CALL)
        return ToolCall(id=call_id, name=function.name, arguments=text or "{}", extras=extras)

    def _result(self, message: MessageIn) -> ToolResult:
        name, call_id = self._answered(message.tool_name or "", message.tool_call_id or "")
        parts: list[Text | Media] = [_media(data) for data in message.images or ()]
        return ToolResult(call_id=call_id, name=name, parts=[*parts, Text(text=message.content or "")])

    def _answered(self, name: str, call_id: str) -> tuple[str, str]:
        """Return name and id of the call that a result answers: by id, else by name, else the first open one."""
        for place, (its_name, its_id) in enumerate(self._open):
            if its_id == call_id if call_id else name in {"", its_name}:
                del self._open[place]
                return its_name, its_id
        if not call_id:
            self._calls += 1
            call_id = f"call_{self._calls}"
        return name, call_id


def check_request(request: ChatRequest | GenerateRequest) -> None:
    """Raise `InvalidRequest` for values that no upstream can be asked, in Ollama's words where it has any."""
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
                f"Invalid '{param}': expected base64 data, but got an address. Send the picture itself.",
                code="invalid_value",
                param=param,
            )
