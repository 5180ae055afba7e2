"""Validate requests to Ollama as Go does: unknown members are ignored, wrong types are rejected."""

import base64
import binascii
from typing import Any, Final, Literal

from intellirouter.fake.completion import CompletionRequest, Tool
from intellirouter.fake.tokens import count_tokens
from intellirouter.testing.wires.ollama.reply import OllamaError, wrong_kind

TOKENS_PER_MESSAGE: Final = 4
TOKENS_PER_IMAGE: Final = 85
_OPTIONS: Final[dict[str, tuple[type, ...]]] = {
    "num_predict": (int,),
    "num_ctx": (int,),
    "seed": (int,),
    "top_k": (int,),
    "temperature": (int, float),
    "top_p": (int, float),
    "min_p": (int, float),
    "repeat_penalty": (int, float),
    "presence_penalty": (int, float),
    "frequency_penalty": (int, float),
    "stop": (list,),
}
_GO_NAMES: Final = {int: "integer", float: "float32", list: "array"}


class OllamaRequest(CompletionRequest, kw_only=True):
    """A request to `/api/chat` or `/api/generate`."""

    is_chat: bool = True
    is_stream: bool = True
    only_loads: bool = False
    """There is no prompt: the model is only loaded."""


def parse_chat(model: str, request: dict[str, Any]) -> OllamaRequest:
    """Validate a chat request. Raises `OllamaError`."""
    messages = request.get("messages") or []
    if not isinstance(messages, list):
        raise wrong_kind("ChatRequest.messages", "[]api.Message", messages)
    for message in messages:
        _check_message(message)
    tools = _tools(request.get("tools") or [])
    last = messages[-1] if messages else {"role": "user"}
    is_result = last.get("role") == "tool"
    answered: dict[str, Any] = next(
        (m for m in reversed(messages) if m.get("role") == ("tool" if is_result else "user")), {}
    )
    parsed = OllamaRequest(
        model=model,
        input_text=answered.get("content") or "",
        last_role=last.get("role") or "user",
        prompt_tokens=sum(_message_tokens(message) for message in messages)
        + sum(TOKENS_PER_MESSAGE + count_tokens(tool.name + str(tool.parameters)) for tool in tools),
        tools=tools,
        only_loads=not messages,
    )
    _configure(parsed, request)
    return parsed


def parse_generate(model: str, request: dict[str, Any]) -> OllamaRequest:
    prompt = _text(request, "prompt", "GenerateRequest")
    system = _text(request, "system", "GenerateRequest")
    images = _images(request.get("images"), "GenerateRequest.images")
    parsed = OllamaRequest(
        model=model,
        input_text=prompt,
        prompt_tokens=TOKENS_PER_MESSAGE + count_tokens(prompt + system) + TOKENS_PER_IMAGE * images,
        is_chat=False,
        only_loads=not prompt,
    )
    _configure(parsed, request)
    return parsed


def _check_message(message: Any) -> None:
    if not isinstance(message, dict):
        raise wrong_kind("ChatRequest.messages", "api.Message", message)
    for name in ("role", "content", "thinking", "tool_name"):
        _text(message, name, "ChatRequest.messages")
    _images(message.get("images"), "ChatRequest.messages.images")
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise wrong_kind("ChatRequest.messages.tool_calls", "[]api.ToolCall", calls)
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            raise wrong_kind("ChatRequest.messages.tool_calls.function", "api.ToolCallFunction", function)
        arguments = function.get("arguments")
        if not isinstance(arguments, dict):
            where = "ChatRequest.messages.tool_calls.function.arguments"
            raise wrong_kind(where, "api.ToolCallFunctionArguments", arguments)


def _text(document: dict[str, Any], name: str, where: str) -> str:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise wrong_kind(f"{where}.{name}", "string", value)
    return value or ""


def _images(value: Any, where: str) -> int:
    """Return the number of images, which must be base64 without the prefix of a data URI."""
    if value is not None and not isinstance(value, list):
        raise wrong_kind(where, "[]api.ImageData", value)
    for image in value or []:
        try:
            base64.b64decode(image, validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise OllamaError(400, "illegal base64 data at input byte 4") from None
    return len(value or [])


def _message_tokens(message: dict[str, Any]) -> int:
    text = (message.get("content") or "") + (message.get("thinking") or "")
    calls = sum(count_tokens(str(call)) for call in message.get("tool_calls") or [])
    return TOKENS_PER_MESSAGE + count_tokens(text) + calls + TOKENS_PER_IMAGE * len(message.get("images") or [])


def _tools(tools: Any) -> list[Tool]:
    if not isinstance(tools, list):
        raise wrong_kind("ChatRequest.tools", "api.Tools", tools)
    found = []
    for tool in tools:
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise wrong_kind("ChatRequest.tools.function", "api.ToolFunction", function)
        parameters = function.get("parameters")
        found.append(Tool(function["name"], parameters if isinstance(parameters, dict) else {}))
    return found


def _configure(parsed: OllamaRequest, request: dict[str, Any]) -> None:
    stream = request.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise wrong_kind("ChatRequest.stream", "bool", stream)
    parsed.is_stream = stream is not False
    options = request.get("options") or {}
    if not isinstance(options, dict):
        raise wrong_kind("ChatRequest.options", "map[string]interface {}", options)
    for name, kinds in _OPTIONS.items():
        value = options.get(name)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise OllamaError(400, f'option "{name}" must be of type {_GO_NAMES[kinds[-1]]}')
    limit = options.get("num_predict")
    parsed.max_tokens = limit if limit is not None and limit > 0 else None
    parsed.stops = [stop for stop in options.get("stop") or [] if isinstance(stop, str) and stop]
    think = request.get("think")
    if think is not None and not isinstance(think, bool) and think not in ("low", "medium", "high"):
        raise OllamaError(400, f'invalid think value: {think!r} (must be "high", "medium", "low", true, or false)')
    parsed.wants_reasoning = bool(think)
    parsed.format, parsed.schema = _read_format(request.get("format"))


def _read_format(wanted: Any) -> tuple[Literal["text", "json_object", "json_schema"], Any]:
    if wanted in (None, ""):
        return "text", None
    if wanted == "json":
        return "json_object", None
    if isinstance(wanted, dict):
        return "json_schema", wanted
    raise OllamaError(400, f'invalid format: {wanted!r}; expected "json" or a valid JSON Schema object')
