"""Tools that take free text, for upstreams whose tools take JSON only: a function of one text.

Clients that know such tools take the text out of the one argument again.
"""

from typing import Any, Final

from intellirouter.dialects.ir import CustomTool, ToolCall

INPUT_ARGUMENT: Final = "input"
"""The one argument."""


def custom_tool_schema(tool: CustomTool) -> dict[str, Any]:
    """Return the schema of the function's arguments; a grammar becomes words."""
    text = {"type": "string", "description": "The tool's input: free text."}
    if grammar := _grammar(tool.format):
        text["description"] += f" It must follow this grammar:\n{grammar}"
    return {
        "type": "object",
        "properties": {INPUT_ARGUMENT: text},
        "required": [INPUT_ARGUMENT],
        "additionalProperties": False,
    }


def text_of(arguments: str) -> str:
    """Return the text that a model gave such a function; what it wrote where that is not the one argument."""
    found = ToolCall(id="", name="", arguments=arguments).arguments_object()
    text = found.get(INPUT_ARGUMENT) if found is not None else None
    return text if isinstance(text, str) else arguments


def _grammar(form: Any) -> str:
    if not isinstance(form, dict):
        return ""
    inner = form.get("grammar")
    found = (inner if isinstance(inner, dict) else form).get("definition")
    return found if isinstance(found, str) else ""
