"""Decoding of chat completion requests.

Source: OpenAI API reference, "Create chat completion", including the deprecated `functions`; OpenRouter's `reasoning`,
the `thinking` object and `enable_thinking` of several vendors, vLLM's sampling parameters.
"""

from typing import Any, Final

import msgspec

from intellirouter.core import Call, errors
from intellirouter.dialects.ir import (
    Conversation,
    CustomTool,
    FunctionTool,
    OutputFormat,
    ReasoningConfig,
    Sampling,
    ServerTool,
    Tool,
    ToolChoice,
)
from intellirouter.dialects.openai_chat.client_messages import DIALECT, read_cache, read_messages
from intellirouter.dialects.wire.json_reader import Members, missing, wrong_type, wrong_value
from intellirouter.dialects.wire.request_validation import decode_body

_RARE_PARAMETERS: Final = frozenset(
    {
        "top_k", "min_p", "stop", "seed", "presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias",
        "logprobs", "top_logprobs", "n", "verbosity",
    }
)  # fmt: skip
_MAX_SEED: Final = 2**63
_TOOLS: Final = frozenset({"tools", "functions", "tool_choice", "function_call", "parallel_tool_calls"})
_OUTPUT: Final = frozenset({"response_format"})
_JSON_SCHEMA: Final = frozenset({"json_schema"})
_REASONING: Final = frozenset({"reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget"})
_decode_object: Final = msgspec.json.Decoder(dict[str, Any])


def decode_conversation(call: Call) -> Conversation:
    """Decode the complete request. Raises `InvalidRequest`."""
    body: dict[str, Any] = decode_body(_decode_object, call.body)
    members = Members(body)
    members.take("model")
    options = members.members("stream_options")
    members.take("stream")
    options.take("include_usage")
    conversation = Conversation(dialect=DIALECT, model=call.model)
    conversation.is_stream, conversation.wants_usage = call.is_stream, call.wants_usage
    conversation.messages = read_messages(members.array("messages"))
    if not members.has_none_of(_TOOLS):
        conversation.tools = _tools(members)
        conversation.tool_choice = _tool_choice(members)
        _check_choice(conversation)
    conversation.output = _output(members)
    conversation.reasoning = _reasoning(members)
    conversation.sampling = read_sampling(members)
    conversation.user = members.text("user") or members.text("safety_identifier")
    conversation.metadata = members.object("metadata") or None
    conversation.service_tier = members.text("service_tier")
    conversation.cache_key = members.text("prompt_cache_key")
    conversation.modalities = members.texts("modalities")
    conversation.extras = members.rest()
    if unknown_options := options.rest():
        conversation.extras["stream_options"] = unknown_options
    return conversation


def read_sampling(members: Members) -> Sampling:
    """Decode the sampling parameters, which chat completions and legacy completions share."""
    new, old = members.integer("max_completion_tokens"), members.integer("max_tokens")
    limit = old if new is None else new
    temperature, top_p = members.number("temperature"), members.number("top_p")
    if members.has_none_of(_RARE_PARAMETERS):
        return Sampling(max_output_tokens=limit, temperature=temperature, top_p=top_p)
    return Sampling(
        max_output_tokens=limit,
        temperature=temperature,
        top_p=top_p,
        top_k=members.integer("top_k"),
        min_p=members.number("min_p"),
        stop=_stop(members),
        seed=members.integer_within("seed", _MAX_SEED),
        presence_penalty=members.number("presence_penalty"),
        frequency_penalty=members.number("frequency_penalty"),
        repetition_penalty=members.number("repetition_penalty"),
        logit_bias=_logit_bias(members),
        logprobs=members.flag("logprobs"),
        top_logprobs=members.integer("top_logprobs"),
        n=members.integer("n") or 1,
        verbosity=members.text("verbosity"),
    )


def _stop(members: Members) -> list[str]:
    value = members.take("stop")
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise wrong_type(members.path_of("stop"), "one of a string or an array of strings", value)
    return [item for item in value if item]


def _logit_bias(members: Members) -> dict[str, float] | None:
    inner = members.members("logit_bias")
    biases = {token: inner.number(token) for token in inner.rest()}
    return {token: bias for token, bias in biases.items() if bias is not None} or None


def _tools(members: Members) -> list[Tool]:
    tools: list[Tool] = []
    for index, value in enumerate(members.array("functions")):
        tools.append(_function(_as_members(value, f"functions[{index}]")))
    for index, value in enumerate(members.array("tools")):
        tool = _as_members(value, f"tools[{index}]")
        kind = tool.text("type") or "function"
        cache = read_cache(tool)
        if kind == "function":
            function = _function(tool.members("function"))
            function.cache = function.cache or cache
            function.extras |= tool.rest()
            tools.append(function)
        elif kind == "custom":
            inner = tool.members("custom")
            name, description, format_ = inner.required("name"), inner.text("description"), inner.take("format")
            extras = inner.rest() | tool.rest()
            tools.append(CustomTool(name=name, description=description, format=format_, cache=cache, extras=extras))
        else:
            tools.append(ServerTool(dialect=DIALECT, kind=kind, raw=value, cache=cache))
    return tools


def _function(tool: Members) -> FunctionTool:
    return FunctionTool(
        name=tool.required("name"),
        description=tool.text("description"),
        parameters=tool.object("parameters") or None,
        is_strict=tool.flag("strict"),
        cache=read_cache(tool),
        extras=tool.rest(),
    )


def _as_members(value: Any, path: str) -> Members:
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    return Members(value, path)


def _tool_choice(members: Members) -> ToolChoice | None:
    is_parallel = members.flag("parallel_tool_calls")
    value = members.take("tool_choice")
    legacy = members.take("function_call")
    if value is None and legacy is not None:
        value = {"type": "function", "function": legacy} if isinstance(legacy, dict) else legacy
    if value is None:
        return None if is_parallel is None else ToolChoice(is_parallel=is_parallel)
    if isinstance(value, str):
        choice = _mode(value)
    elif isinstance(value, dict):
        choice = _choice_object(value)
    else:
        raise wrong_type("tool_choice", "one of a string or an object", value)
    choice.is_parallel = is_parallel
    return choice


def _check_choice(conversation: Conversation) -> None:
    """Raise `InvalidRequest` if the model must call a tool that is not declared."""
    choice, tools = conversation.tool_choice, conversation.tools
    if choice is None or choice.raw is not None or choice.mode in {"auto", "none"}:
        return
    if not tools:
        message = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
    elif choice.mode == "named" and not any(isinstance(tool, ServerTool) or tool.name == choice.name for tool in tools):
        message = f"Invalid value for 'tool_choice': the tool {choice.name[:100]!r} is not in 'tools'."
    else:
        return
    raise errors.InvalidRequest(message, code="invalid_value", param="tool_choice")


def _mode(value: str) -> ToolChoice:
    match value:
        case "none" | "auto" | "required":
            return ToolChoice(mode=value)
        case "any":  # Mistral
            return ToolChoice(mode="required")
        case _:
            raise wrong_value("tool_choice", value, "'none', 'auto', and 'required'")


def _choice_object(value: dict[str, Any]) -> ToolChoice:
    choice = Members(value, "tool_choice")
    kind = choice.text("type") or "function"
    if kind in {"none", "auto", "required", "any"}:
        return _mode(kind)
    if kind in {"function", "custom"}:
        return ToolChoice(mode="named", name=choice.members(kind).required("name"))
    if kind == "allowed_tools":
        inner = choice.members("allowed_tools")
        allowed = _mode(inner.text("mode") or "auto")
        allowed.allowed = [
            _allowed_name(tool, f"{inner.path}.tools[{at}]") for at, tool in enumerate(inner.array("tools"))
        ]
        return allowed
    return ToolChoice(mode="named", name=kind, raw=value)


def _allowed_name(value: Any, path: str) -> str:
    tool = _as_members(value, path)
    kind = tool.text("type") or "function"
    inner = tool.members(kind)
    return inner.text("name") or tool.required("name")


def _output(members: Members) -> OutputFormat | None:
    if members.has_none_of(_OUTPUT):
        return None
    response_format = members.members("response_format")
    match response_format.text("type"):
        case "" | "text":
            return None
        case "json_object":
            return OutputFormat(kind="json_object")
        case "json_schema":
            if response_format.has_none_of(_JSON_SCHEMA):
                raise missing("response_format.json_schema")
            inner = response_format.members("json_schema")
            return OutputFormat(
                kind="json_schema",
                name=inner.text("name"),
                description=inner.text("description"),
                schema=inner.object("schema") or None,
                is_strict=inner.flag("strict"),
            )
        case other:
            raise wrong_value("response_format.type", other, "'json_object', 'json_schema', and 'text'")


def _reasoning(members: Members) -> ReasoningConfig | None:
    """Decode OpenAI's effort and the members of other vendors, which are also stored in `client_members`."""
    if members.has_none_of(_REASONING):
        return None
    config = ReasoningConfig(effort=members.text("reasoning_effort"))
    for name in ("reasoning", "thinking", "enable_thinking", "thinking_budget"):
        value = members.take(name)
        if value is None:
            continue
        config.client_members[name] = value
        if name == "enable_thinking" and isinstance(value, bool):
            config.is_enabled = value
        elif name == "thinking_budget":
            config.budget_tokens = _budget(value)
        elif isinstance(value, dict):
            _read_reasoning_object(config, value)
    if config.effort == "none":
        config.is_enabled = False
    return config if config != ReasoningConfig() else None


def _read_reasoning_object(config: ReasoningConfig, value: dict[str, Any]) -> None:
    """Read `{effort, max_tokens, enabled, exclude}` (OpenRouter) or `{type, budget_tokens}` (Anthropic)."""
    if isinstance(effort := value.get("effort"), str):
        config.effort = config.effort or effort
    budget = _budget(value.get("max_tokens")) or _budget(value.get("budget_tokens"))
    config.budget_tokens = budget or config.budget_tokens
    if isinstance(enabled := value.get("enabled"), bool):
        config.is_enabled = enabled
    if isinstance(excluded := value.get("exclude"), bool):
        config.is_visible = not excluded
    match value.get("type"):
        case "enabled":
            config.is_enabled = True
        case "disabled":
            config.is_enabled = False
        case "adaptive":
            config.is_adaptive = True
        case _:
            pass


def _budget(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_count else None
