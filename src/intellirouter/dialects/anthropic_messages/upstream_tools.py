"""Writes tools and the tool choice. A tool that the client forces is never dropped; the request is rejected instead."""

from collections.abc import Sequence
from typing import Any, Final

from intellirouter.core import LossReport, errors
from intellirouter.dialects.adapt.object_schema import object_schema
from intellirouter.dialects.anthropic_messages.client_response import INPUT
from intellirouter.dialects.anthropic_messages.upstream_blocks import cache_control
from intellirouter.dialects.anthropic_messages.upstream_schema import StrictBudget, strict_schema
from intellirouter.dialects.anthropic_messages.wire import DIALECT
from intellirouter.dialects.ir import Conversation, CustomTool, FunctionTool, ServerTool, Tool, ToolChoice

_NO_ARGUMENTS: Final = {"type": "object", "properties": {}}
_TYPES_BY_MODE: Final = {"none": "none", "auto": "auto", "required": "any", "named": "tool"}


def write_tools(conversation: Conversation, losses: LossReport) -> list[dict[str, Any]]:
    """Write the tools that the model may use.

    Tools that another vendor runs are dropped and reported. Raises `UnsupportedFeature` if one of them is forced.
    """
    choice = conversation.tool_choice
    tools: Sequence[Tool] = [tool for tool in conversation.tools if not _is_dropped(tool, losses)]
    if choice is not None and len(tools) < len(conversation.tools):
        forces_dropped_tool = choice.mode == "named" and not any(_tool_name(tool) == choice.name for tool in tools)
        if choice.raw is not None or forces_dropped_tool or (choice.mode == "required" and not tools):
            raise errors.UnsupportedFeature(
                "Anthropic's API has no equivalent of the forced tool, which only its vendor runs.",
                param=losses.name_of("tool_choice"),
            )
    if choice is not None and choice.allowed is not None:
        allowed = frozenset(choice.allowed)
        tools = [tool for tool in tools if isinstance(tool, ServerTool) or tool.name in allowed]
        losses.add("tool_choice", "converted", "only the allowed tools are sent")
    budget = None if conversation.dialect == DIALECT else StrictBudget()
    return [_write_tool(tool, budget, losses) for tool in tools]


def _is_dropped(tool: Tool, losses: LossReport) -> bool:
    if not isinstance(tool, ServerTool) or tool.dialect == DIALECT:
        return False
    losses.add(f"tools[].{tool.kind}", "dropped", "only its vendor runs it")
    return True


def _tool_name(tool: Tool) -> Any:
    return tool.raw.get("name") if isinstance(tool, ServerTool) else tool.name


def _write_tool(tool: Tool, budget: StrictBudget | None, losses: LossReport) -> dict[str, Any]:
    """Write a tool. `budget` is None for a client of the same dialect."""
    if isinstance(tool, ServerTool):
        raw: dict[str, Any] = tool.raw
        return raw
    if isinstance(tool, CustomTool):
        return _write_custom_tool(tool, losses)
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if budget is None:
        written["input_schema"] = _with_type(tool.parameters)
        is_strict = bool(tool.is_strict)
    else:
        written["input_schema"], is_strict = tool_schema(tool, budget, losses)
    if is_strict:
        written["strict"] = True
    written |= cache_control(tool.cache)
    return written | tool.extras if budget is None else written


def tool_schema(tool: FunctionTool, budget: StrictBudget, losses: LossReport) -> tuple[dict[str, Any], bool]:
    """Return the schema of the arguments, and whether the tool can be strict. Also for Bedrock."""
    schema = object_schema(tool.parameters, losses)
    if not tool.is_strict:
        return schema, False
    adapted = strict_schema(schema)
    if adapted is None:
        losses.add("tools[].strict", "dropped", "its schema has no strict form")
        return schema, False
    if not budget.admits(adapted):
        losses.add("tools[].strict", "dropped", "too many strict tools, optional properties or alternatives")
        return schema, False
    if adapted != schema:
        losses.add("tools[].parameters", "converted", "objects closed, limits moved to descriptions")
    return adapted, True


def _with_type(parameters: dict[str, Any] | None) -> dict[str, Any]:
    """Return the schema of a client of the same dialect. `type` is required."""
    if not parameters:
        return dict(_NO_ARGUMENTS)
    return parameters if "type" in parameters else {"type": "object", **parameters}


def _write_custom_tool(tool: CustomTool, losses: LossReport) -> dict[str, Any]:
    losses.add("tools", "emulated", f"free text sent as argument {INPUT}")
    text: dict[str, Any] = {"type": "string", "description": "The tool's input: free text."}
    if isinstance(tool.format, dict) and (grammar := _grammar_of(tool.format)):
        text["description"] += f" It must follow this grammar:\n{grammar}"
    schema = {"type": "object", "properties": {INPUT: text}, "required": [INPUT], "additionalProperties": False}
    written = {"name": tool.name, "input_schema": schema, **cache_control(tool.cache)}
    return written | {"description": tool.description} if tool.description else written


def _grammar_of(format_: dict[str, Any]) -> str:
    nested = format_.get("grammar")
    definition = (nested if isinstance(nested, dict) else format_).get("definition")
    return definition if isinstance(definition, str) else ""


def write_tool_choice(choice: ToolChoice | None, tools: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Write the tool choice. None: it is the default, or there are no tools."""
    if choice is None or not tools:
        return None
    only = choice.allowed[0] if choice.allowed is not None and len(choice.allowed) == 1 else ""
    mode = "named" if choice.mode == "required" and only else choice.mode
    written: dict[str, Any] = {"type": _TYPES_BY_MODE[mode]}
    if mode == "named":
        written["name"] = choice.name or only
    if choice.is_parallel is not None and mode != "none":
        written["disable_parallel_tool_use"] = not choice.is_parallel
    if choice.is_parallel is True and choice.mode == "auto" and len(written) == 2:
        return None  # the default
    return written


def forces_tool(choice: dict[str, Any] | None) -> bool:
    return choice is not None and choice["type"] in {"any", "tool"}


def declare_history_tools(turns: list[dict[str, Any]], losses: LossReport) -> list[dict[str, Any]]:
    """Declare the tools that the history uses, because the API rejects calls of undeclared tools."""
    calls = (block for turn in turns for block in turn["content"] if block["type"] == "tool_use")
    names = dict.fromkeys(block["name"] for block in calls) or {"unknown_tool": None}
    losses.add("tools", "emulated", "tools of earlier calls are declared")
    return [{"name": name, "input_schema": dict(_NO_ARGUMENTS)} for name in names]
