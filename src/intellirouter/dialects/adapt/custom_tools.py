"""Custom tools, whose input is free text, for upstreams whose tools only take JSON: as functions with one argument.

For clients with custom tools, the text is extracted from the argument again.
"""

from typing import Any, Final

from intellirouter.dialects.ir import CustomTool, ToolCall

INPUT_ARGUMENT: Final = "input"
"""The name of the argument."""


def custom_tool_schema(tool: CustomTool) -> dict[str, Any]:
    """Return the schema of the function's arguments. The tool's grammar becomes part of the description."""
    text = {"type": "string", "description": "The tool's input: free text."}
    if grammar := _grammar(tool.format):
        text["description"] += f" It must follow this grammar:\n{grammar}"
    return {
        "type": "object",
        "properties": {INPUT_ARGUMENT: text},
        "required": [INPUT_ARGUMENT],
        "additionalProperties": False,
    }


def custom_tool_input(arguments: str) -> str:
    """Return the input for the tool from the arguments of a call; the arguments themselves if they are unexpected."""
    found = ToolCall(id="", name="", arguments=arguments).arguments_object()
    text = found.get(INPUT_ARGUMENT) if found is not None else None
    return text if isinstance(text, str) else arguments


def _grammar(tool_format: Any) -> str:
    if not isinstance(tool_format, dict):
        return ""
    inner = tool_format.get("grammar")
    definition = (inner if isinstance(inner, dict) else tool_format).get("definition")
    return definition if isinstance(definition, str) else ""
