"""Reads a complete client request as a conversation. This is done only to translate or edit it."""

from typing import Any, Final

import msgspec

from intellirouter.core import Call, errors
from intellirouter.dialects.anthropic_messages.client_blocks import read_cache_mark, read_parts
from intellirouter.dialects.anthropic_messages.wire import (
    DIALECT,
    READER,
    missing_field,
    read_body,
    read_objects,
    source_of,
    wrong_type,
)
from intellirouter.dialects.ir import (
    Conversation,
    FunctionTool,
    Message,
    OutputFormat,
    Part,
    ReasoningConfig,
    Sampling,
    ServerTool,
    Tool,
    ToolChoice,
    ToolResult,
)
from intellirouter.dialects.wire.json_reader import unknown_members

_TOP_LEVEL: Final = frozenset(
    {
        "model", "messages", "max_tokens", "system", "stream", "tools", "tool_choice", "thinking", "output_config",
        "output_format", "stop_sequences", "temperature", "top_p", "top_k", "metadata", "service_tier",
    }
)  # fmt: skip
_MESSAGE: Final = frozenset({"role", "content"})
_TOOL: Final = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})
_THINKING: Final = frozenset({"type", "budget_tokens", "display"})
_MIN_BUDGET_TOKENS: Final = 1024
_MODES: Final[dict[str, Any]] = {"auto": "auto", "any": "required", "tool": "named", "none": "none"}
BETA_HEADER: Final = "anthropic-beta"
"""The header that names beta features. It is stored in `extras`, so that it is reported as lost for other dialects."""

_decoder: Final = msgspec.json.Decoder(dict[str, Any])


def decode_conversation(call: Call) -> Conversation:
    """Read the complete request. Raises `InvalidRequest`."""
    body = read_body(_decoder, call.body)
    extras = unknown_members(body, _TOP_LEVEL)
    reasoning, output = _read_reasoning(body, extras), _read_output(body)
    user = _read_user(body, extras)
    if betas := [value for name, value in call.context.headers if name == BETA_HEADER]:
        extras[BETA_HEADER] = ",".join(betas)
    return Conversation(
        dialect=DIALECT,
        model=call.model,
        messages=_read_messages(body),
        tools=[
            _read_tool(tool, f"tools.{index}") for index, tool in enumerate(read_objects(body.get("tools"), "tools"))
        ],
        tool_choice=_read_tool_choice(body),
        output=output,
        reasoning=reasoning,
        sampling=_read_sampling(body, call),
        is_stream=call.is_stream,
        user=user,
        service_tier=READER.text(body, "service_tier", ""),
        extras=extras,
    )


def _read_messages(body: dict[str, Any]) -> list[Message]:
    messages: list[Message] = []
    if (system := body.get("system")) is not None and (parts := read_parts(system, "system")):
        messages.append(Message(role="system", parts=parts))
    for index, raw in enumerate(read_objects(body.get("messages"), "messages")):
        path = f"messages.{index}"
        role = READER.required(raw, "role", path)
        parts = read_parts(raw["content"], f"{path}.content")
        messages += _split_tool_results(role, parts, unknown_members(raw, _MESSAGE))
    return messages


def _split_tool_results(role: Any, parts: list[Part], extras: dict[str, Any]) -> list[Message]:
    """Move consecutive tool results into `tool` messages and keep the order."""
    if not any(isinstance(part, ToolResult) for part in parts):
        return [Message(role=role, parts=parts, extras=extras)]
    messages: list[Message] = []
    for part in parts:
        part_role: Any = "tool" if isinstance(part, ToolResult) else role
        if not messages or messages[-1].role != part_role:
            messages.append(Message(role=part_role))
        messages[-1].parts.append(part)
    messages[-1].extras = extras
    return messages


def _read_tool(raw: dict[str, Any], path: str) -> Tool:
    kind = READER.text(raw, "type", path) or "custom"
    cache = read_cache_mark(raw, path)
    if kind != "custom":
        return ServerTool(dialect=DIALECT, kind=kind, raw=raw, cache=cache)
    name, parameters = READER.required(raw, "name", path), READER.object(raw, "input_schema", path)
    if parameters is None:
        raise missing_field(f"{path}.custom.input_schema")
    return FunctionTool(
        name=name,
        description=READER.text(raw, "description", path),
        parameters=parameters,
        is_strict=READER.flag(raw, "strict", path),
        cache=cache,
        extras=unknown_members(raw, _TOOL),
    )


def _read_tool_choice(body: dict[str, Any]) -> ToolChoice | None:
    raw = READER.object(body, "tool_choice", "")
    if raw is None:
        return None
    kind = READER.required(raw, "type", "tool_choice")
    if kind not in _MODES:
        raise errors.InvalidRequest(
            f"tool_choice: Input tag '{kind[:100]}' does not match any of the expected tags: "
            + ", ".join(f"'{mode}'" for mode in _MODES),
            code="invalid_value",
            param="tool_choice.type",
        )
    is_single = READER.flag(raw, "disable_parallel_tool_use", "tool_choice")
    return ToolChoice(
        mode=_MODES[kind],
        name=READER.required(raw, "name", "tool_choice") if kind == "tool" else "",
        is_parallel=None if is_single is None else not is_single,
    )


def _read_reasoning(body: dict[str, Any], extras: dict[str, Any]) -> ReasoningConfig | None:
    thinking = READER.object(body, "thinking", "")
    config = READER.object(body, "output_config", "") or {}
    effort = READER.text(config, "effort", "output_config")
    if rest := unknown_members(config, frozenset({"effort", "format"})):
        extras["output_config"] = rest
    if thinking is None:
        return ReasoningConfig(effort=effort) if effort else None
    kind = READER.required(thinking, "type", "thinking")
    display = READER.text(thinking, "display", "thinking")
    budget = _read_int(thinking, "budget_tokens", "thinking.")
    if kind == "enabled":
        _check_budget(budget)
    result = ReasoningConfig(
        is_enabled=kind in {"enabled", "adaptive"},
        effort=effort,
        budget_tokens=budget,
        is_adaptive=kind == "adaptive",
        is_visible=None if not display else display != "omitted",
        extras=unknown_members(thinking, _THINKING),
    )
    if kind not in {"enabled", "adaptive", "disabled"}:
        result.extras["type"] = kind
    return result


def _check_budget(budget: int | None) -> None:
    path = "thinking.enabled.budget_tokens"
    if budget is None:
        raise missing_field(path)
    if budget < _MIN_BUDGET_TOKENS:
        raise errors.InvalidRequest(
            f"{path}: Input should be greater than or equal to {_MIN_BUDGET_TOKENS}", code="invalid_value", param=path
        )


def _read_output(body: dict[str, Any]) -> OutputFormat | None:
    config = READER.object(body, "output_config", "") or {}
    path = "output_config.format" if config.get("format") is not None else "output_format"
    raw = READER.object(config, "format", "output_config") or READER.object(body, "output_format", "")
    if raw is None:
        return None
    if READER.required(raw, "type", path) != "json_schema":
        raise errors.InvalidRequest(
            f"{path}.type: Input should be 'json_schema'", code="invalid_value", param=f"{path}.type"
        )
    schema = READER.object(raw, "schema", path)
    if schema is None:
        raise missing_field(f"{path}.schema")
    return OutputFormat(kind="json_schema", schema=schema)


def _read_sampling(body: dict[str, Any], call: Call) -> Sampling:
    head = source_of(call)
    return Sampling(
        max_output_tokens=call.max_output_tokens,
        temperature=head.temperature,
        top_p=head.top_p,
        top_k=head.top_k,
        stop=list(body.get("stop_sequences") or ()),
    )


def _read_user(body: dict[str, Any], extras: dict[str, Any]) -> str:
    metadata = READER.object(body, "metadata", "") or {}
    if rest := unknown_members(metadata, frozenset({"user_id"})):
        extras["metadata"] = rest
    return READER.text(metadata, "user_id", "metadata")


def _read_int(raw: dict[str, Any], name: str, path: str) -> int | None:
    value = raw.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise wrong_type(f"{path}{name}", "integer")
    return value
