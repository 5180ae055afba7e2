"""Validate a chat request and read what the planner needs."""

from typing import Any, Final, Literal

from intellirouter.fake.completion import CompletionRequest, Tool
from intellirouter.fake.openai.fields import optional, wrong_type
from intellirouter.fake.openai.replies import OpenAiError
from intellirouter.fake.tokens import count_tokens

MAX_CHOICES: Final = 128
MAX_OUTPUT_CHARS: Final = 32 * 1024 * 1024
"""Of all choices together, if they repeat the prompt."""
MAX_STOPS: Final = 4
MAX_TOP_LOGPROBS: Final = 20
TOKENS_PER_MESSAGE: Final = 4
TOKENS_PER_REPLY: Final = 3
TOKENS_PER_ATTACHMENT: Final = 85
_ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")


class ChatRequest(CompletionRequest, kw_only=True):
    """A request to `POST /v1/chat/completions`."""

    is_stream: bool = False
    includes_usage: bool = False
    has_logprobs: bool = False
    top_logprobs: int = 0


def parse_chat(model: str, document: dict[str, Any]) -> ChatRequest:
    """Validate the request. Raises `OpenAiError` (400)."""
    options = optional(document, "stream_options", dict) or {}
    answer_format, schema = _response_format(document)
    messages = _messages(document)
    tools = _tools(document)
    last_role = messages[-1]["role"]
    request = ChatRequest(
        model=model,
        input_text=text_of(messages[-1].get("content")) if last_role == "tool" else _last_user_text(messages),
        last_role=last_role,
        prompt_tokens=_prompt_tokens(messages, tools),
        is_stream=optional(document, "stream", bool) or False,
        includes_usage=bool(options.get("include_usage")),
        choice_count=at_least_one(document, "n") or 1,
        stops=stops_of(document.get("stop")),
        max_tokens=at_least_one(document, "max_completion_tokens") or at_least_one(document, "max_tokens"),
        tools=tools,
        format=answer_format,
        schema=schema,
        has_logprobs=optional(document, "logprobs", bool) or False,
        top_logprobs=min(optional(document, "top_logprobs", int) or 0, MAX_TOP_LOGPROBS),
    )
    parallel = optional(document, "parallel_tool_calls", bool)
    request.allows_parallel_calls = parallel is not False
    if options and not request.is_stream:
        raise OpenAiError(
            400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    if request.choice_count > MAX_CHOICES:
        raise OpenAiError(400, f"Invalid 'n': at most {MAX_CHOICES}.", param="n", code="integer_above_max_value")
    if request.choice_count * len(request.input_text) > MAX_OUTPUT_CHARS:
        message = f"Invalid 'n': the answers would have more than {MAX_OUTPUT_CHARS} characters."
        raise OpenAiError(400, message, param="n", code="integer_above_max_value")
    _choose_tool(request, document.get("tool_choice"))
    return request


def text_of(content: Any) -> str:
    """Return the text of a message's content, which is a string, null, or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text")
    return "".join(text for text in parts if isinstance(text, str))


def _last_user_text(messages: list[dict[str, Any]]) -> str:
    return next((text_of(m.get("content")) for m in reversed(messages) if m["role"] == "user"), "")


def _prompt_tokens(messages: list[dict[str, Any]], tools: list[Tool]) -> int:
    """Count the tokens of all messages and tools."""
    total = TOKENS_PER_REPLY
    for message in messages:
        total += TOKENS_PER_MESSAGE + count_tokens(text_of(message.get("content")))
        total += TOKENS_PER_ATTACHMENT * _attachments(message.get("content"))
        for call in message.get("tool_calls") or []:
            total += count_tokens(str(call))
    return total + sum(TOKENS_PER_MESSAGE + count_tokens(tool.name + str(tool.parameters)) for tool in tools)


def _attachments(content: Any) -> int:
    if not isinstance(content, list):
        return 0
    return sum(1 for part in content if isinstance(part, dict) and part.get("type") != "text")


def _messages(document: dict[str, Any]) -> list[dict[str, Any]]:
    if document.get("messages") is None:
        raise OpenAiError(
            400, "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter"
        )
    messages = optional(document, "messages", list) or []
    if not messages:
        raise OpenAiError(400, "Invalid 'messages': empty array.", param="messages", code="empty_array")
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise wrong_type(where, "an object", message)
        if message.get("role") not in _ROLES:
            raise OpenAiError(
                400, f"Invalid value: {message.get('role')!r}.", param=f"{where}.role", code="invalid_value"
            )
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            raise wrong_type(f"{where}.content", "a string or array of objects", content)
        if not isinstance(message.get("tool_calls") or [], list):
            raise wrong_type(f"{where}.tool_calls", "an array of objects", message["tool_calls"])
    return messages


def at_least_one(document: dict[str, Any], name: str) -> int | None:
    value = optional(document, name, int)
    if value is not None and value < 1:
        raise OpenAiError(400, f"Invalid '{name}': expected a value >= 1.", param=name, code="integer_below_min_value")
    return value


def stops_of(value: Any) -> list[str]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise wrong_type("stop", "a string or array of strings", value)
    if len(stops) > MAX_STOPS:
        raise OpenAiError(
            400, f"Invalid 'stop': at most {MAX_STOPS} strings.", param="stop", code="array_above_max_length"
        )
    return [stop for stop in stops if stop]


def _tools(document: dict[str, Any]) -> list[Tool]:
    tools = []
    for index, entry in enumerate(optional(document, "tools", list) or []):
        function = entry.get("function") if isinstance(entry, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise OpenAiError(
                400,
                f"Missing required parameter: 'tools[{index}].function.name'.",
                param=f"tools[{index}].function.name",
                code="missing_required_parameter",
            )
        parameters = function.get("parameters")
        tools.append(Tool(function["name"], parameters if isinstance(parameters, dict) else {}))
    return tools


def _choose_tool(request: ChatRequest, choice: Any) -> None:
    """Set `tool_choice`; `allowed_tools` also limits `tools`."""
    if choice is None:
        return
    if not request.tools and choice not in ("none", "auto"):
        raise OpenAiError(
            400, "Invalid value for 'tool_choice': only allowed when 'tools' are specified.", param="tool_choice"
        )
    if isinstance(choice, str) and choice in {"none", "auto", "required"}:
        request.tool_choice = choice
        return
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools") or {}
        names = {tool.get("function", {}).get("name") for tool in allowed.get("tools") or []}
        request.tools = [tool for tool in request.tools if tool.name in names]
        request.tool_choice = str(allowed.get("mode") or "auto")
        return
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not any(tool.name == name for tool in request.tools):
        raise OpenAiError(400, f"Tool choice {name!r} not found in 'tools' parameter.", param="tool_choice")
    request.tool_choice = f"={name}"


def _response_format(document: dict[str, Any]) -> tuple[Literal["text", "json_object", "json_schema"], Any]:
    wanted = optional(document, "response_format", dict)
    if wanted is None:
        return "text", None
    kind = wanted.get("type")
    if kind in ("text", "json_object"):
        return kind, None
    if kind != "json_schema":
        raise OpenAiError(400, f"Invalid value: {kind!r}.", param="response_format.type", code="invalid_value")
    definition = wanted.get("json_schema")
    if not isinstance(definition, dict) or not isinstance(definition.get("name"), str):
        raise OpenAiError(
            400,
            "Missing required parameter: 'response_format.json_schema'.",
            param="response_format.json_schema",
            code="missing_required_parameter",
        )
    return "json_schema", definition.get("schema", {})
