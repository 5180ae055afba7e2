"""Validate a request to the Responses API and read what the planner needs."""

from typing import Any, Final

from msgspec import Struct, field

from intellirouter.fake.completion import CompletionRequest, Tool
from intellirouter.fake.openai.fields import optional, wrong_type
from intellirouter.fake.openai.replies import OpenAiError
from intellirouter.fake.tokens import count_tokens
from intellirouter.testing.wires.openai.responses_items import (
    Item,
    check_pairs,
    invalid,
    last_input,
    missing,
    read_items,
    tokens_of,
)

MIN_OUTPUT_TOKENS: Final = 16
ENCRYPTED: Final = "reasoning.encrypted_content"
_MEMBERS: Final = frozenset(
    {
        "access_programs", "background", "client_metadata", "context_management", "conversation", "image", "include",
        "input", "instructions", "max_output_tokens", "max_tool_calls", "metadata", "model", "moderation",
        "parallel_tool_calls", "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "reasoning", "safety_identifier", "service_tier", "store", "stream",
        "stream_options", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
    }
)  # fmt: skip
_MOVED: Final = {
    "messages": "input",
    "response_format": "text.format",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "functions": "tools",
    "verbosity": "text.verbosity",
}
_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class ResponsesRequest(CompletionRequest, kw_only=True):
    """A request to `POST /v1/responses`."""

    is_stream: bool = False
    is_background: bool = False
    is_stored: bool = True
    has_summary: bool = False
    has_encrypted: bool = False
    is_obfuscated: bool = True
    custom: frozenset[str] = frozenset()
    """Names of the custom tools, whose input is text."""
    namespaces: dict[str, str] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    """The whole conversation, including earlier responses."""
    echo: dict[str, Any] = field(default_factory=dict)
    """The request; the response repeats some of its members."""


class _Tools(Struct):
    found: list[Tool] = field(default_factory=list)
    custom: set[str] = field(default_factory=set)
    namespaces: dict[str, str] = field(default_factory=dict)


def parse_responses(model: str, request: dict[str, Any], earlier: list[Item]) -> ResponsesRequest:
    """Validate the request; `earlier` are the items of the previous response. Raises `OpenAiError`."""
    for name in request:
        if name not in _MEMBERS:
            raise _unknown_parameter(name)
    if all(request.get(name) is None for name in ("input", "previous_response_id", "prompt", "conversation")):
        raise missing("input")
    items = [*earlier, *read_items(request.get("input"))]
    check_pairs(items)
    tools = _Tools()
    for index, entry in enumerate(optional(request, "tools", list) or []):
        _add_tool(tools, entry, f"tools[{index}]", None)
    input_text, last_role = last_input(items)
    limit = optional(request, "max_output_tokens", int)
    if limit is not None and limit < MIN_OUTPUT_TOKENS:
        raise invalid(
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {MIN_OUTPUT_TOKENS}, but "
            f"got {limit} instead.",
            "max_output_tokens",
            "integer_below_min_value",
        )
    instructions = optional(request, "instructions", str) or ""
    parsed = ResponsesRequest(
        model=model,
        input_text=input_text,
        last_role=last_role,
        prompt_tokens=sum(map(tokens_of, items))
        + count_tokens(instructions)
        + sum(count_tokens(tool.name + str(tool.parameters)) for tool in tools.found),
        max_tokens=limit,
        tools=tools.found,
        custom=frozenset(tools.custom),
        namespaces=tools.namespaces,
        allows_parallel_calls=optional(request, "parallel_tool_calls", bool) is not False,
        is_stream=optional(request, "stream", bool) or False,
        is_background=optional(request, "background", bool) or False,
        is_stored=optional(request, "store", bool) is not False,
        items=items,
        echo=request,
    )
    options = optional(request, "stream_options", dict) or {}
    parsed.is_obfuscated = options.get("include_obfuscation") is not False
    if parsed.is_background and not parsed.is_stored:
        raise invalid("Background mode requires 'store' to be true.", "background")
    _choose_tool(parsed, request.get("tool_choice"))
    _read_format(parsed, request)
    _read_reasoning(parsed, request)
    return parsed


def _unknown_parameter(name: str) -> OpenAiError:
    if name in _MOVED:
        return invalid(
            f"Unsupported parameter: '{name}'. In the Responses API, this parameter has moved to '{_MOVED[name]}'. Try "
            "again with the new parameter. See the API documentation for more information: "
            "https://platform.openai.com/docs/api-reference/responses/create.",
            name,
            "unsupported_parameter",
        )
    return invalid(f"Unknown parameter: '{name}'.", name, "unknown_parameter")


def _add_tool(tools: _Tools, entry: Any, where: str, namespace: str | None) -> None:
    if not isinstance(entry, dict):
        raise wrong_type(where, "an object", entry)
    kind = entry.get("type")
    if kind is None:
        raise missing(f"{where}.type")
    if kind not in ("function", "custom", "namespace"):
        return  # OpenAI runs its own tools; this model never calls them
    if not isinstance(entry.get("name"), str):
        raise missing(f"{where}.name")
    if kind == "namespace":
        for index, inner in enumerate(entry.get("tools") or []):
            _add_tool(tools, inner, f"{where}.tools[{index}]", entry["name"])
        return
    parameters = entry.get("parameters")
    tools.found.append(Tool(entry["name"], parameters if isinstance(parameters, dict) else {}))
    if kind == "custom":
        tools.custom.add(entry["name"])
    if namespace is not None:
        tools.namespaces[entry["name"]] = namespace


def _choose_tool(parsed: ResponsesRequest, choice: Any) -> None:
    if choice is None:
        return
    if isinstance(choice, str):
        if choice not in ("none", "auto", "required"):
            raise invalid(
                f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'.", "tool_choice"
            )
        parsed.tool_choice = choice
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "allowed_tools":
        names = {tool.get("name") for tool in choice.get("tools") or [] if isinstance(tool, dict)}
        parsed.tools = [tool for tool in parsed.tools if tool.name in names]
        parsed.tool_choice = str(choice.get("mode") or "auto")
    elif kind in ("function", "custom"):
        if choice.get("name") is None:
            raise missing("tool_choice.name")
        if all(tool.name != choice["name"] for tool in parsed.tools):
            raise invalid(f"Tool choice '{choice['name']}' not found in 'tools' parameter.", "tool_choice")
        parsed.tool_choice = f"={choice['name']}"
    elif kind is None:
        raise missing("tool_choice.type")


def _read_format(parsed: ResponsesRequest, request: dict[str, Any]) -> None:
    wanted = (optional(request, "text", dict) or {}).get("format")
    if wanted is None:
        return
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "json_schema":
        for name in ("name", "schema"):
            if wanted.get(name) is None:
                raise missing(f"text.format.{name}")
        parsed.format, parsed.schema = "json_schema", wanted["schema"]
    elif kind == "json_object":
        if (
            not any("json" in str(item.get("content", "")).lower() for item in parsed.items)
            and "json" not in str(request.get("instructions", "")).lower()
        ):
            raise invalid(
                "Response input messages must contain the word 'json' in some form to use 'text.format' of type "
                "'json_object'.",
                "input",
            )
        parsed.format = "json_object"
    elif kind != "text":
        raise invalid(
            f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and 'text'.",
            "text.format.type",
        )


def _read_reasoning(parsed: ResponsesRequest, request: dict[str, Any]) -> None:
    reasoning = optional(request, "reasoning", dict)
    include = optional(request, "include", list) or []
    parsed.has_encrypted = ENCRYPTED in include
    if reasoning is None:
        return
    effort = reasoning.get("effort")
    if effort is not None and effort not in _EFFORTS:
        allowed = ", ".join(f"'{name}'" for name in _EFFORTS)
        raise invalid(f"Invalid value: '{effort}'. Supported values are: {allowed}.", "reasoning.effort")
    parsed.has_summary = bool(reasoning.get("summary"))
    parsed.wants_reasoning = effort != "none" and (effort is not None or parsed.has_summary)
