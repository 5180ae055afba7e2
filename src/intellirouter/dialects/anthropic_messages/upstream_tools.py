"""Tools and the choice among them, in Anthropic's words. What the client relies on is kept or refused, not weakened."""

from collections.abc import Sequence
from typing import Any, Final

from intellirouter.core import LossReport, errors
from intellirouter.dialects.anthropic_messages.client_response import INPUT
from intellirouter.dialects.anthropic_messages.upstream_blocks import cache_control
from intellirouter.dialects.anthropic_messages.wire import DIALECT
from intellirouter.dialects.ir import Conversation, CustomTool, ServerTool, Tool, ToolChoice

_MODES: Final = {"none": "none", "auto": "auto", "required": "any", "named": "tool"}


def tools_for(conversation: Conversation, losses: LossReport) -> list[dict[str, Any]]:
    """Write the tools that the model may use.

    Another vendor's own tools are only an offer: left out and said. Raises `UnsupportedFeature` for a choice that
    forces one.
    """
    choice = conversation.tool_choice
    tools: Sequence[Tool] = [tool for tool in conversation.tools if not _is_foreign(tool, losses)]
    if choice is not None and len(tools) < len(conversation.tools):
        is_forced_one = choice.mode == "named" and not any(_name_of(tool) == choice.name for tool in tools)
        if choice.raw is not None or is_forced_one or (choice.mode == "required" and not tools):
            raise errors.UnsupportedFeature(
                "Anthropic's dialect has no equal for the tool that must be used: its own vendor runs it.",
                param=losses.name_of("tool_choice"),
            )
    if choice is not None and choice.allowed is not None:
        allowed = frozenset(choice.allowed)
        tools = [tool for tool in tools if isinstance(tool, ServerTool) or tool.name in allowed]
        losses.add("tool_choice", "converted", "only the allowed tools are declared")
    return [_tool(tool, losses, is_own=conversation.dialect == DIALECT) for tool in tools]


def _is_foreign(tool: Tool, losses: LossReport) -> bool:
    if not isinstance(tool, ServerTool) or tool.dialect == DIALECT:
        return False
    losses.add(f"tools[].{tool.kind}", "dropped", "only its vendor runs it")
    return True


def _name_of(tool: Tool) -> Any:
    return tool.raw.get("name") if isinstance(tool, ServerTool) else tool.name


def _tool(tool: Tool, losses: LossReport, *, is_own: bool) -> dict[str, Any]:
    if isinstance(tool, ServerTool):
        raw: dict[str, Any] = tool.raw
        return raw
    if isinstance(tool, CustomTool):
        return _custom(tool, losses)
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["input_schema"] = _schema(tool.parameters)
    if tool.is_strict:
        written["strict"] = True
    written |= cache_control(tool.cache)
    return written | tool.extras if is_own else written


def _schema(parameters: dict[str, Any] | None) -> dict[str, Any]:
    """Return the schema of the arguments: its type must be said, and must be `object`."""
    if not parameters:
        return {"type": "object", "properties": {}}
    return parameters if "type" in parameters else {"type": "object", **parameters}


def _custom(tool: CustomTool, losses: LossReport) -> dict[str, Any]:
    losses.add("tools", "emulated", f"free text is the argument {INPUT}")
    text: dict[str, Any] = {"type": "string", "description": "The tool's input: free text."}
    if isinstance(tool.format, dict) and (grammar := _grammar(tool.format)):
        text["description"] += f" It must follow this grammar:\n{grammar}"
    schema = {"type": "object", "properties": {INPUT: text}, "required": [INPUT], "additionalProperties": False}
    written = {"name": tool.name, "input_schema": schema, **cache_control(tool.cache)}
    return written | {"description": tool.description} if tool.description else written


def _grammar(form: dict[str, Any]) -> str:
    inner = form.get("grammar")
    found = (inner if isinstance(inner, dict) else form).get("definition")
    return found if isinstance(found, str) else ""


def choice_for(choice: ToolChoice | None, tools: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Write the choice; None where nothing need be said. Without tools there is none to choose."""
    if choice is None or not tools:
        return None
    only = choice.allowed[0] if choice.allowed is not None and len(choice.allowed) == 1 else ""
    mode = "named" if choice.mode == "required" and only else choice.mode
    written: dict[str, Any] = {"type": _MODES[mode]}
    if mode == "named":
        written["name"] = choice.name or only
    if choice.is_parallel is not None and mode != "none":
        written["disable_parallel_tool_use"] = not choice.is_parallel
    if choice.is_parallel is True and choice.mode == "auto" and len(written) == 2:
        return None  # says what goes without saying
    return written


def is_forced(choice: dict[str, Any] | None) -> bool:
    return choice is not None and choice["type"] in {"any", "tool"}


def declared(turns: list[dict[str, Any]], losses: LossReport) -> list[dict[str, Any]]:
    """Declare the tools of the history, none of which may be used: calls without declarations are refused."""
    calls = (block for turn in turns for block in turn["content"] if block["type"] == "tool_use")
    names = dict.fromkeys(block["name"] for block in calls) or {"unknown_tool": None}
    losses.add("tools", "emulated", "the history's tools are declared")
    return [{"name": name, "input_schema": _schema(None)} for name in names]
