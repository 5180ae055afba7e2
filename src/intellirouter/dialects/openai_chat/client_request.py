"""From a chat completion request to the intermediate form.

Source: OpenAI API reference, "Create chat completion"; the `functions` of before tools; OpenRouter's `reasoning`,
the `thinking` object and `enable_thinking` of several vendors, vLLM's sampling knobs.
"""

from typing import Any, Final

import msgspec

from intellirouter.core import Call
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
from intellirouter.dialects.wire.json_reader import Members, wrong_type, wrong_value
from intellirouter.dialects.wire.request_validation import decode_body

_RARE_KNOBS: Final = frozenset(
    {
        "top_k", "min_p", "stop", "seed", "presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias",
        "logprobs", "top_logprobs", "n", "verbosity",
    }
)  # fmt: skip
_TOOLS: Final = frozenset({"tools", "functions", "tool_choice", "function_call", "parallel_tool_calls"})
_FORM: Final = frozenset({"response_format"})
_THOUGHTS: Final = frozenset({"reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget"})
_decode_object: Final = msgspec.json.Decoder(dict[str, Any])


def read_request(call: Call) -> Conversation:
    """Read the whole request. Raises `InvalidRequest`."""
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
    conversation.output = _output(members)
    conversation.reasoning = _reasoning(members)
    conversation.sampling = read_sampling(members)
    conversation.user = members.text("user") or members.text("safety_identifier")
    conversation.metadata = members.object("metadata") or None
    conversation.service_tier = members.text("service_tier")
    conversation.cache_key = members.text("prompt_cache_key")
    conversation.modalities = members.texts("modalities")
    conversation.extras = members.rest()
    if left := options.rest():
        conversation.extras["stream_options"] = left
    return conversation


def read_sampling(members: Members) -> Sampling:
    """Read the knobs that the chat and the completions dialect share."""
    new, old = members.integer("max_completion_tokens"), members.integer("max_tokens")
    limit = old if new is None else new
    temperature, top_p = members.number("temperature"), members.number("top_p")
    if members.has_none_of(_RARE_KNOBS):
        return Sampling(max_output_tokens=limit, temperature=temperature, top_p=top_p)
    return Sampling(
        max_output_tokens=limit,
        temperature=temperature,
        top_p=top_p,
        top_k=members.integer("top_k"),
        min_p=members.number("min_p"),
        stop=_stop(members),
        seed=members.integer("seed"),
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
            read = _function(tool.members("function"))
            read.cache = read.cache or cache
            read.extras |= tool.rest()
            tools.append(read)
        elif kind == "custom":
            inner = tool.members("custom")
            name, description, form = inner.required("name"), inner.text("description"), inner.take("format")
            extras = inner.rest() | tool.rest()
            tools.append(CustomTool(name=name, description=description, format=form, cache=cache, extras=extras))
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
        choice = _chosen(value)
    else:
        raise wrong_type("tool_choice", "one of a string or an object", value)
    choice.is_parallel = is_parallel
    return choice


def _mode(value: str) -> ToolChoice:
    match value:
        case "none" | "auto" | "required":
            return ToolChoice(mode=value)
        case "any":  # Mistral's word
            return ToolChoice(mode="required")
        case _:
            raise wrong_value("tool_choice", value, "'none', 'auto', and 'required'")


def _chosen(value: dict[str, Any]) -> ToolChoice:
    choice = Members(value, "tool_choice")
    kind = choice.text("type") or "function"
    if kind in {"none", "auto", "required", "any"}:
        return _mode(kind)
    if kind in {"function", "custom"}:
        return ToolChoice(mode="named", name=choice.members(kind).required("name"))
    if kind == "allowed_tools":
        inner = choice.members("allowed_tools")
        read = _mode(inner.text("mode") or "auto")
        read.allowed = [_allowed(tool, f"{inner.path}.tools[{at}]") for at, tool in enumerate(inner.array("tools"))]
        return read
    return ToolChoice(mode="named", name=kind, raw=value)


def _allowed(value: Any, path: str) -> str:
    tool = _as_members(value, path)
    kind = tool.text("type") or "function"
    inner = tool.members(kind)
    return inner.text("name") or tool.required("name")


def _output(members: Members) -> OutputFormat | None:
    if members.has_none_of(_FORM):
        return None
    form = members.members("response_format")
    match form.text("type"):
        case "" | "text":
            return None
        case "json_object":
            return OutputFormat(kind="json_object")
        case "json_schema":
            inner = form.members("json_schema")
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
    """Read OpenAI's effort and the spellings of other vendors; these stay in `spelling`, for vendors that know them."""
    if members.has_none_of(_THOUGHTS):
        return None
    ask = ReasoningConfig(effort=members.text("reasoning_effort"))
    for name in ("reasoning", "thinking", "enable_thinking", "thinking_budget"):
        value = members.take(name)
        if value is None:
            continue
        ask.client_members[name] = value
        if name == "enable_thinking" and isinstance(value, bool):
            ask.is_enabled = value
        elif name == "thinking_budget":
            ask.budget_tokens = _budget(value)
        elif isinstance(value, dict):
            _ask(ask, value)
    if ask.effort == "none":
        ask.is_enabled = False
    return ask if ask != ReasoningConfig() else None


def _ask(ask: ReasoningConfig, said: dict[str, Any]) -> None:
    """Read `{effort, max_tokens, enabled, exclude}` (OpenRouter) or `{type, budget_tokens}` (Anthropic's form)."""
    if isinstance(effort := said.get("effort"), str):
        ask.effort = ask.effort or effort
    budget = _budget(said.get("max_tokens")) or _budget(said.get("budget_tokens"))
    ask.budget_tokens = budget or ask.budget_tokens
    if isinstance(enabled := said.get("enabled"), bool):
        ask.is_enabled = enabled
    if isinstance(excluded := said.get("exclude"), bool):
        ask.is_visible = not excluded
    match said.get("type"):
        case "enabled":
            ask.is_enabled = True
        case "disabled":
            ask.is_enabled = False
        case "adaptive":
            ask.is_adaptive = True
        case _:
            pass


def _budget(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_count else None
