"""Adapts JSON Schemas for structured output to what Anthropic accepts."""

from typing import Any, Final

import msgspec

_NAMED_SUBSCHEMAS: Final = frozenset({"properties", "$defs", "definitions"})
_SUBSCHEMAS: Final = frozenset({"items", "prefixItems", "anyOf", "allOf", "oneOf"})
_UNSUPPORTED_LIMITS: Final = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
    }
)
"""Keywords that Anthropic rejects with status 400. `minItems` is accepted if it is 0 or 1."""


def adapt_schema(schema: Any) -> Any:
    """Return a schema that Anthropic accepts. The given schema is not changed.

    Objects are closed; everything that matches a closed schema also matches the open one. Unsupported limits are moved
    to the description, where the model reads them. The answer is validated against the client's schema afterwards.
    """
    if isinstance(schema, list):
        return [adapt_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    adapted: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _UNSUPPORTED_LIMITS or (name == "minItems" and value not in (0, 1)):
            limits[name] = value
        elif name in _NAMED_SUBSCHEMAS and isinstance(value, dict):
            adapted[name] = {key: adapt_schema(item) for key, item in value.items()}
        else:
            adapted[name] = adapt_schema(value) if name in _SUBSCHEMAS else value
    if adapted.get("type") == "object" and "additionalProperties" not in adapted:
        adapted["additionalProperties"] = False
    if limits:
        description = adapted.get("description")
        text = msgspec.json.encode(limits).decode()
        adapted["description"] = f"{description} {text}" if isinstance(description, str) and description else text
    return adapted
