"""Build an instance of a JSON Schema: small, deterministic, sufficient for the schemas that clients send to models."""

import math
from typing import Any, Final

MAX_DEPTH: Final = 24
_MAX_LENGTH: Final = 10_000
"""Items of an array, characters of a string."""
_MAX_VALUES: Final = 20_000
_FORMATS: Final = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "hostname": "example.com",
    "duration": "PT1S",
}


class _Root:
    """The whole schema, for references, and how many values its instance may still have."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self.left = _MAX_VALUES


def instance_of(schema: Any) -> Any:
    """Return a value that satisfies `schema`.

    Supported: local `$ref`, `const`, `enum`, `anyOf`/`oneOf` (the simplest branch), `allOf` (merged), `type`,
    `properties`, `items`, `prefixItems`, sizes, bounds, `multipleOf`, `format`. Ignored: `pattern`, `not`, `if`.
    """
    try:
        return _instance(schema, _Root(schema), 0)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return {}  # not a valid schema


def _instance(schema: Any, root: _Root, depth: int) -> Any:
    root.left -= 1
    if root.left < 0:
        raise ValueError("The instance is too large.")
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return {} if schema is True else None
    schema = _resolved(schema, root, depth)
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    for word in ("anyOf", "oneOf"):
        branches = schema.get(word)
        if isinstance(branches, list) and branches:
            rest = {key: value for key, value in schema.items() if key != word}
            return _instance(_merged(rest, _simplest(branches)), root, depth + 1)
    return _typed(schema, root, depth)


def _typed(schema: dict[str, Any], root: _Root, depth: int) -> Any:
    match _type_of(schema):
        case "object":
            return _object(schema, root, depth)
        case "array":
            return _array(schema, root, depth)
        case "string":
            return _string(schema)
        case "integer":
            return math.ceil(_number(schema, 1))
        case "number":
            return _number(schema, 0.5)
        case "boolean":
            return True
        case _:
            return None


def _type_of(schema: dict[str, Any]) -> str:
    declared = schema.get("type")
    if isinstance(declared, list):
        # Prefer a value over null in nullable fields.
        return next((str(name) for name in declared if name != "null"), "null")
    if isinstance(declared, str):
        return declared
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "object"


def _list(schema: dict[str, Any], name: str) -> list[Any]:
    """Return a list in the schema, or an empty list if the value is not a list."""
    found = schema.get(name)
    return found if isinstance(found, list) else []


def _object(schema: dict[str, Any], root: _Root, depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    required = [name for name in _list(schema, "required") if isinstance(name, str)]
    # Omit optional fields at depth, so that a recursive schema ends: a tree with optional children becomes a leaf.
    wanted = properties if depth <= 3 else [name for name in properties if name in required]
    filled = {name: _instance(properties[name], root, depth + 1) for name in wanted}
    for name in required:
        if name not in filled:
            extra = schema.get("additionalProperties")
            filled[name] = _instance(extra, root, depth + 1) if isinstance(extra, dict) else "text"
    return filled


def _array(schema: dict[str, Any], root: _Root, depth: int) -> list[Any]:
    first = [_instance(item, root, depth + 1) for item in _list(schema, "prefixItems")]
    items = schema.get("items")
    least = max(min(int(schema.get("minItems") or 0), _MAX_LENGTH), 1 if depth <= 3 else 0)
    most = schema.get("maxItems")
    wanted = min(least, int(most)) if isinstance(most, int) else least
    if items is False:
        return first
    return first + [_instance(items, root, depth + 1) for _ in range(wanted - len(first))]


def _string(schema: dict[str, Any]) -> str:
    named = _FORMATS.get(str(schema.get("format")))
    if named is not None:
        return named
    text = "text"
    least, most = schema.get("minLength"), schema.get("maxLength")
    if isinstance(least, int) and len(text) < least:
        text = text.ljust(min(least, _MAX_LENGTH), "x")
    return text[:most] if isinstance(most, int) else text


def _number(schema: dict[str, Any], wanted: float) -> float:
    """Return `wanted`, adjusted to the bounds and to `multipleOf`."""
    is_whole = schema.get("type") == "integer"
    gap = 1.0 if is_whole else 0.25
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    floor = max([bound for bound in (low, None if above is None else above + gap) if bound is not None], default=None)
    roof = min([bound for bound in (high, None if below is None else below - gap) if bound is not None], default=None)
    value = wanted
    if roof is not None:
        value = min(value, math.floor(roof) if is_whole else roof)
    if floor is not None:
        value = max(value, floor)
    step = schema.get("multipleOf")
    return math.ceil(value / step) * step if isinstance(step, int | float) and step > 0 else value


def _resolved(schema: dict[str, Any], root: _Root, depth: int) -> dict[str, Any]:
    """Resolve `$ref` and merge `allOf`."""
    for _ in range(MAX_DEPTH):
        target = schema.get("$ref")
        if not isinstance(target, str):
            break
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        schema = _merged(_pointed_at(root, target), rest)
    parts = schema.get("allOf")
    if isinstance(parts, list) and depth <= MAX_DEPTH:
        folded = {key: value for key, value in schema.items() if key != "allOf"}
        for part in parts:
            if isinstance(part, dict):
                folded = _merged(folded, _resolved(part, root, depth + 1))
        return folded
    return schema


def _pointed_at(root: _Root, pointer: str) -> dict[str, Any]:
    found = root.schema
    for name in pointer.removeprefix("#").split("/"):
        if name:
            found = found.get(name.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def _merged(first: dict[str, Any], second: Any) -> dict[str, Any]:
    if not isinstance(second, dict):
        return first
    both = first | second
    if isinstance(first.get("properties"), dict) and isinstance(second.get("properties"), dict):
        both["properties"] = first["properties"] | second["properties"]
    if isinstance(first.get("required"), list) and isinstance(second.get("required"), list):
        both["required"] = first["required"] + second["required"]
    return both


def _simplest(branches: list[Any]) -> Any:
    """Return a branch that is not null and cannot recurse, if there is one."""
    return min(
        branches,
        key=lambda branch: (
            isinstance(branch, dict) and branch.get("type") == "null",
            isinstance(branch, dict) and "$ref" in branch,
        ),
    )
