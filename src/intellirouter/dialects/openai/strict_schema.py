"""Whether OpenAI accepts a schema of another dialect's strict tool or output format.

Anthropic's strict tools may have optional properties, OpenAI's may not. OpenAI rejects the whole request otherwise.

Source: OpenAI, "Structured model outputs", supported schemas.
"""

from typing import Any, Final

import msgspec

from intellirouter.core import LossReport
from intellirouter.dialects.ir import FunctionTool

_NAMED_SUBSCHEMAS: Final = frozenset({"properties", "$defs", "definitions"})
_SUBSCHEMAS: Final = frozenset({"items", "anyOf"})
_SUPPORTED: Final = frozenset(
    {
        *_NAMED_SUBSCHEMAS,
        *_SUBSCHEMAS,
        "type",
        "required",
        "additionalProperties",
        "enum",
        "const",
        "$ref",
        "description",
        "title",
        "pattern",
        "format",
        "multipleOf",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minItems",
        "maxItems",
    }
)
_FORMATS: Final = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_NOT_AT_TOP: Final = frozenset({"anyOf", "oneOf", "allOf", "not", "enum"})
_DIALECTS: Final = frozenset({"openai_chat", "openai_responses"})


def strictness(tool: FunctionTool, schema: Any, dialect: str, losses: LossReport) -> bool | None:
    """Return `strict` for a tool of a client of this dialect; False if OpenAI would reject its schema.

    Clients of OpenAI's dialects follow the same rules, so their tools are not checked.
    """
    if not tool.is_strict or dialect in _DIALECTS or is_strict_schema(schema):
        return tool.is_strict
    losses.add("tools[].strict", "dropped", "its schema has optional properties or unsupported keywords")
    return False


def takes_output_schema(schema: Any, dialect: str) -> bool:
    """Return whether OpenAI takes this output format of a client of this dialect: one plain object at the top.

    Other dialects also have lists and alternatives there. Clients of OpenAI's dialects follow the same rule.
    """
    if dialect in _DIALECTS or not schema:
        return True
    return isinstance(schema, dict) and schema.get("type") == "object" and _NOT_AT_TOP.isdisjoint(schema)


def is_strict_schema(schema: Any) -> bool:
    """Return whether the schema is in the subset for strict mode."""
    if isinstance(schema, list):
        return all(map(is_strict_schema, schema))
    if not isinstance(schema, dict) or not schema.keys() <= _SUPPORTED:
        return False
    if isinstance(form := schema.get("format"), str) and form not in _FORMATS:
        return False
    kind, properties = schema.get("type"), schema.get("properties")
    if kind == "object" or (isinstance(kind, list) and "object" in kind) or properties is not None:
        required = schema.get("required", [])
        if schema.get("additionalProperties") is not False or not isinstance(required, list):
            return False
        if any(name not in required for name in properties or ()):
            return False
    for name, value in schema.items():
        if name in _NAMED_SUBSCHEMAS:
            if not isinstance(value, dict) or not is_strict_schema([*value.values()]):
                return False
        elif name in _SUBSCHEMAS and not is_strict_schema(value):
            return False
    return True


def json_instruction(schema: Any) -> str:
    """Return the instruction to answer in JSON, with the schema if there is one."""
    if schema is None:
        return "Answer with one JSON object and nothing else."
    text = msgspec.json.encode(schema).decode()
    return f"Answer with one JSON document that conforms to this JSON Schema, and nothing else:\n{text}"
