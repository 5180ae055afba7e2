"""Validate tools and the tool choice."""

import re
from typing import Any, Final

from intellirouter.fake.completion import CompletionRequest, Tool
from intellirouter.testing.wires.anthropic.blocks import check_cache_mark
from intellirouter.testing.wires.anthropic.fields import known_only, one_of, optional, required, typed
from intellirouter.testing.wires.anthropic.reply import invalid

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_MEMBERS: Final = [
    "name",
    "description",
    "input_schema",
    "type",
    "cache_control",
    "strict",
    "defer_loading",
    "allowed_callers",
    "input_examples",
    "eager_input_streaming",
]
_OWN: Final = re.compile(r"\w+_20\d{6}")
"""The types of Anthropic's own tools, such as `web_search_20250305`."""


def check_tools(request: dict[str, Any]) -> list[dict[str, Any]]:
    tools = optional(request, "tools", list) or []
    for index, tool in enumerate(tools):
        where = f"tools.{index}"
        typed(tool, dict, where)
        kind = tool.get("type")
        if kind is not None and kind != "custom":
            if not (isinstance(kind, str) and _OWN.fullmatch(kind)):
                raise invalid(
                    where,
                    f"Input tag '{kind}' found using 'type' does not match any of the expected tags: 'custom', "
                    "'bash_20250124', 'text_editor_20250728', 'web_search_20250305'",
                )
            required(tool, "name", str, f"{where}.{kind}")
            continue
        _check_custom(tool, f"{where}.custom")
    names = [tool["name"] for tool in tools]
    if len(names) != len(set(names)):
        raise invalid("tools", "Tool names must be unique.")
    return tools


def _check_custom(tool: dict[str, Any], where: str) -> None:
    known_only(tool, _MEMBERS, where)
    name = required(tool, "name", str, where)
    if not _NAME.fullmatch(name):
        raise invalid(f"{where}.name", "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'")
    optional(tool, "description", str, where)
    schema = required(tool, "input_schema", dict, where)
    if "type" not in schema:
        raise invalid(f"{where}.input_schema.type", "Field required")
    one_of(schema["type"], ("object",), f"{where}.input_schema.type")
    if any(word in schema for word in ("oneOf", "allOf", "anyOf")):
        raise invalid(f"{where}.input_schema", "input_schema does not support oneOf, allOf, or anyOf at the top level")
    check_cache_mark(tool, where)


def choose_tool(parsed: CompletionRequest, request: dict[str, Any], tools: list[dict[str, Any]]) -> None:
    """Set the tools and the tool choice of the parsed request."""
    # Anthropic runs its own tools; this model never calls them.
    parsed.tools = [Tool(tool["name"], tool["input_schema"]) for tool in tools if "input_schema" in tool]
    choice = optional(request, "tool_choice", dict)
    if choice is None:
        return
    if not tools:
        raise invalid("tool_choice", "`tool_choice` may only be specified while providing `tools`.")
    kind = one_of(choice.get("type"), ("auto", "any", "tool", "none"), "tool_choice.type")
    known_only(choice, ("type", "name", "disable_parallel_tool_use"), f"tool_choice.{kind}")
    parsed.allows_parallel_calls = not choice.get("disable_parallel_tool_use")
    parsed.tool_choice = {"any": "required", "tool": "="}.get(kind, kind)
    if kind == "tool":
        name = required(choice, "name", str, "tool_choice.tool")
        if all(tool["name"] != name for tool in tools):
            raise invalid("", f"Tool '{name}' not found in provided tools")
        parsed.tool_choice = f"={name}"
