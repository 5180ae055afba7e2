"""Adapts JSON Schemas for structured output and strict tools to what Anthropic accepts, which is the same for both.

Source: Anthropic, "Structured outputs", JSON Schema limitations. Bedrock accepts the same schemas.
"""

import re
from typing import Any, Final

import msgspec

from intellirouter.dialects.adapt.object_schema import referenced_schema

_NAMED_SUBSCHEMAS: Final = frozenset({"properties", "$defs", "definitions"})
_SUBSCHEMAS: Final = frozenset({"items", "prefixItems", "anyOf", "allOf"})
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
        "contains",
        "minContains",
        "maxContains",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedItems",
        "unevaluatedProperties",
        "not",
        "if",
        "then",
        "else",
    }
)
"""Keywords that Anthropic rejects with status 400. `minItems` is accepted if it is 0 or 1."""
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_MAX_STRICT_TOOLS: Final = 20
_MAX_OPTIONAL_PROPERTIES: Final = 24
_MAX_UNIONS: Final = 16
"""The limits of one request, for all of its strict tools together."""
_UNSUPPORTED_IN_PATTERNS: Final = re.compile(r"\(\?(?!:)|\\[1-9bBkpP]")
"""Lookaround, named groups, backreferences, word boundaries and character properties."""


def strict_schema(schema: Any) -> Any:
    """Return the schema as `adapt_schema` does; None if it has no strict form.

    A strict schema lists all properties of every object, and does not refer to itself.
    """
    return adapt_schema(schema) if _Expressible(schema).is_expressible(schema, is_root=True) else None


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
        if _is_unsupported(name, value):
            limits[name] = value
        elif name == "oneOf":  # Only `anyOf` is supported, which accepts the same, and more.
            adapted.setdefault("anyOf", adapt_schema(value))
        elif name in _NAMED_SUBSCHEMAS and isinstance(value, dict):
            adapted[name] = {key: adapt_schema(item) for key, item in value.items()}
        else:
            adapted[name] = adapt_schema(value) if name in _SUBSCHEMAS else value  # `anyOf` replaces `oneOf`.
    if _is_object(adapted):
        adapted["additionalProperties"] = False
    if limits:
        description = adapted.get("description")
        text = msgspec.json.encode(limits).decode()
        adapted["description"] = f"{description} {text}" if isinstance(description, str) and description else text
    return adapted


def _is_unsupported(name: str, value: Any) -> bool:
    match name:
        case "minItems":
            return value not in (0, 1)
        case "format":
            return not isinstance(value, str) or value not in _FORMATS
        case "pattern":
            return isinstance(value, str) and _UNSUPPORTED_IN_PATTERNS.search(value) is not None
        case _:
            return name in _UNSUPPORTED_LIMITS


def _is_object(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    if isinstance(kind, list):
        return "object" in kind
    return kind == "object" or (kind is None and isinstance(schema.get("properties"), dict))


class StrictBudget:
    """How much of strict mode is left for the other tools of a request."""

    def __init__(self) -> None:
        self._tools = _MAX_STRICT_TOOLS
        self._optional = _MAX_OPTIONAL_PROPERTIES
        self._unions = _MAX_UNIONS

    def admits(self, schema: Any) -> bool:
        """Return whether a tool with this schema can be strict, and if so, count it."""
        optional, unions = _count_costs(schema)
        if self._tools == 0 or optional > self._optional or unions > self._unions:
            return False
        self._tools -= 1
        self._optional -= optional
        self._unions -= unions
        return True


def _count_costs(schema: Any) -> tuple[int, int]:
    """Return the numbers of optional properties and of alternatives."""
    if not isinstance(schema, dict):
        schemas, optional, unions = schema if isinstance(schema, list) else [], 0, 0
    else:
        properties, required = schema.get("properties"), schema.get("required")
        names = required if isinstance(required, list) else []
        optional = sum(name not in names for name in properties) if isinstance(properties, dict) else 0
        unions = int("anyOf" in schema or isinstance(schema.get("type"), list))
        schemas = [schema[name] for name in _SUBSCHEMAS & schema.keys()]
        for name in _NAMED_SUBSCHEMAS & schema.keys():
            schemas += schema[name].values() if isinstance(schema[name], dict) else ()
    for inner_optional, inner_unions in map(_count_costs, schemas):
        optional += inner_optional
        unions += inner_unions
    return optional, unions


class _Expressible:
    """Finds what no strict schema can express: objects with arbitrary properties, recursion, external references."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._followed: dict[str, bool] = {}
        """By reference: whether it has been followed to its end."""

    def is_expressible(self, schema: Any, *, is_root: bool = False) -> bool:
        if isinstance(schema, list):
            return all(map(self.is_expressible, schema))
        if not isinstance(schema, dict):
            return True
        if _is_object(schema) and _has_arbitrary_properties(schema, is_root=is_root):
            return False
        for name, value in schema.items():
            if name == "$ref":
                is_accepted = self._is_reference_expressible(value)
            elif name in _NAMED_SUBSCHEMAS and isinstance(value, dict):
                # Definitions only matter if there is a reference to them.
                is_accepted = name != "properties" or self.is_expressible([*value.values()])
            elif name == "allOf" and isinstance(value, list) and any(map(_is_reference, value)):
                is_accepted = False
            else:
                is_accepted = (name not in _SUBSCHEMAS and name != "oneOf") or self.is_expressible(value)
            if not is_accepted:
                return False
        return True

    def _is_reference_expressible(self, reference: Any) -> bool:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return False
        if reference in self._followed:
            return self._followed[reference]  # False: it leads to itself.
        self._followed[reference] = False
        if self.is_expressible(referenced_schema(self._root, reference)):
            self._followed[reference] = True
        return self._followed[reference]


def _has_arbitrary_properties(schema: dict[str, Any], *, is_root: bool) -> bool:
    additional = schema.get("additionalProperties")
    if "patternProperties" in schema or isinstance(additional, dict):
        return True
    return not is_root and "properties" not in schema and additional is not False


def _is_reference(schema: Any) -> bool:
    return isinstance(schema, dict) and "$ref" in schema
