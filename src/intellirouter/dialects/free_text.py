"""Tools that take free text, for upstreams whose tools take JSON only: a function of one text.

Clients that know such tools take the text out of the one argument again.
"""

from typing import Any, Final

from intellirouter.dialects.ir import CustomTool

INPUT: Final = "input"
"""The one argument."""


def schema_of(tool: CustomTool) -> dict[str, Any]:
    """Return the schema of the function's arguments; a grammar becomes words."""
    text = {"type": "string", "description": "The tool's input: free text."}
    if grammar := _grammar(tool.format):
        text["description"] += f" It must follow this grammar:\n{grammar}"
    return {"type": "object", "properties": {INPUT: text}, "required": [INPUT], "additionalProperties": False}


def _grammar(form: Any) -> str:
    if not isinstance(form, dict):
        return ""
    inner = form.get("grammar")
    found = (inner if isinstance(inner, dict) else form).get("definition")
    return found if isinstance(found, str) else ""
