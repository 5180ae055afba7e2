"""From Google's `Schema` (a subset of OpenAPI 3.0, types in capitals) to the JSON Schema that everybody else speaks.

The other way is not needed: Google takes JSON Schema in `parametersJsonSchema` and `responseJsonSchema`.
"""

from typing import Any, Final

from intellirouter.core import errors
from intellirouter.dialects.gemini.wire import camel

_NUMBERS: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_DROPPED: Final = frozenset({"nullable", "propertyOrdering", "type", "properties", "items", "anyOf", "example"})
_MAX_DEPTH: Final = 64


def json_schema(schema: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """Return the JSON Schema that means the same. Raises `InvalidRequest` when it nests without end."""
    if depth > _MAX_DEPTH:
        raise errors.InvalidRequest("A schema nests too deeply.", code="json_too_deep")
    members = {camel(name): value for name, value in schema.items() if value is not None}
    found: dict[str, Any] = {}
    kind = members.get("type")
    if isinstance(kind, str) and kind != "TYPE_UNSPECIFIED":
        found["type"] = kind.lower()
        if members.get("nullable") is True:
            found["type"] = [kind.lower(), "null"]
    for name, value in members.items():
        if name not in _DROPPED:
            found[name] = _number(value) if name in _NUMBERS else value
    found.update(_below(members, depth))
    if members.get("nullable") is True and isinstance(found.get("enum"), list) and None not in found["enum"]:
        found["enum"] = [*found["enum"], None]
    if "example" in members:
        found["examples"] = [members["example"]]
    return found


def _below(members: dict[str, Any], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(properties := members.get("properties"), dict):
        found["properties"] = {
            name: json_schema(value, depth + 1) for name, value in properties.items() if isinstance(value, dict)
        }
    if isinstance(items := members.get("items"), dict):
        found["items"] = json_schema(items, depth + 1)
    if isinstance(choices := members.get("anyOf"), list):
        found["anyOf"] = [json_schema(each, depth + 1) for each in choices if isinstance(each, dict)]
        if members.get("nullable") is True and "type" not in members:
            found["anyOf"].append({"type": "null"})
    return found


def _number(value: Any) -> Any:
    """Google writes 64-bit integers as strings."""
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 19 else value
