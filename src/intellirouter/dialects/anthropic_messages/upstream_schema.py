"""JSON Schemas as Anthropic takes them for structured answers: objects closed, limits in words."""

from typing import Any, Final

import msgspec

_SCHEMAS_BY_NAME: Final = frozenset({"properties", "$defs", "definitions"})
_SCHEMAS: Final = frozenset({"items", "prefixItems", "anyOf", "allOf", "oneOf"})
_REFUSED: Final = frozenset(
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
"""Answered with 400. `minItems` of 0 and 1 is taken."""


def fitted_schema(schema: Any) -> Any:
    """Return the schema as Anthropic takes it; the given one is not changed.

    Objects are closed: answers of a closed schema are valid by the open one. Limits that it refuses go into the
    description, where the model reads them; the answer is checked against the client's own schema afterwards.
    """
    if isinstance(schema, list):
        return [fitted_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    fitted: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _REFUSED or (name == "minItems" and value not in (0, 1)):
            limits[name] = value
        elif name in _SCHEMAS_BY_NAME and isinstance(value, dict):
            fitted[name] = {key: fitted_schema(item) for key, item in value.items()}
        else:
            fitted[name] = fitted_schema(value) if name in _SCHEMAS else value
    if fitted.get("type") == "object" and "additionalProperties" not in fitted:
        fitted["additionalProperties"] = False
    if limits:
        said = fitted.get("description")
        words = msgspec.json.encode(limits).decode()
        fitted["description"] = f"{said} {words}" if isinstance(said, str) and said else words
    return fitted
