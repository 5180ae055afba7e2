"""Converts Google's `Schema` (a subset of OpenAPI 3.0 with types in capitals) to JSON Schema.

The opposite direction is not needed: Google accepts JSON Schema in `parametersJsonSchema` and `responseJsonSchema`.
"""

from typing import Any, Final

from intellirouter.core import errors
from intellirouter.dialects.gemini.wire import camel

_INTEGER_KEYWORDS: Final = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
_CONVERTED_KEYWORDS: Final = frozenset(
    {"nullable", "propertyOrdering", "type", "properties", "items", "anyOf", "example"}
)
_MAX_DEPTH: Final = 64


def convert_schema(schema: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """Return the equivalent JSON Schema. Raises `InvalidRequest` if the schema is nested too deeply."""
    if depth > _MAX_DEPTH:
        raise errors.InvalidRequest("A schema is nested too deeply.", code="limit_exceeded")
    members = {camel(name): value for name, value in schema.items() if value is not None}
    converted: dict[str, Any] = {}
    kind = members.get("type")
    if isinstance(kind, str) and kind != "TYPE_UNSPECIFIED":
        converted["type"] = kind.lower()
        if members.get("nullable") is True:
            converted["type"] = [kind.lower(), "null"]
    for name, value in members.items():
        if name not in _CONVERTED_KEYWORDS:
            converted[name] = _read_integer(value) if name in _INTEGER_KEYWORDS else value
    converted.update(_convert_subschemas(members, depth))
    if members.get("nullable") is True and isinstance(converted.get("enum"), list) and None not in converted["enum"]:
        converted["enum"] = [*converted["enum"], None]
    if "example" in members:
        converted["examples"] = [members["example"]]
    return converted


def _convert_subschemas(members: dict[str, Any], depth: int) -> dict[str, Any]:
    converted: dict[str, Any] = {}
    if isinstance(properties := members.get("properties"), dict):
        converted["properties"] = {
            name: convert_schema(value, depth + 1) for name, value in properties.items() if isinstance(value, dict)
        }
    if isinstance(items := members.get("items"), dict):
        converted["items"] = convert_schema(items, depth + 1)
    if isinstance(choices := members.get("anyOf"), list):
        converted["anyOf"] = [convert_schema(each, depth + 1) for each in choices if isinstance(each, dict)]
        if members.get("nullable") is True and "type" not in members:
            converted["anyOf"].append({"type": "null"})
    return converted


def _read_integer(value: Any) -> Any:
    """Read an integer, which Google may write as a string."""
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 19 else value
