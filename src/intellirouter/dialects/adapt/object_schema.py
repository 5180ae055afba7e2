"""Schemas of tools' arguments as one plain object schema, which is what most vendors require.

Arguments are always an object, but JSON Schema has other ways to say so: a reference, alternatives, a list of types.
OpenAI, Anthropic and Amazon reject these, and Ollama ignores them. The plain schema accepts everything that the
original one accepts, and sometimes more. Which arguments belong together becomes a sentence in the description, where
the model reads it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from intellirouter.core import LossReport

Schema = dict[str, Any]

_ALTERNATIVES: Final = ("anyOf", "oneOf")
_UNSUPPORTED: Final = frozenset({*_ALTERNATIVES, "allOf", "$ref", "not", "enum", "const"})
_MAX_DEPTH: Final = 8
_MAX_SCHEMAS: Final = 500
"""How many schemas are merged. References can multiply them."""
_MAX_HINT_CHARS: Final = 1000


def object_schema(parameters: Schema | None, losses: LossReport) -> Schema:
    """Return the schema with `type: object` and without alternatives and references at its top level.

    The given schema is returned if it is one already, and is never changed. A type that excludes objects is left for
    the vendor to reject.
    """
    if not parameters:
        return {"type": "object", "properties": {}}
    if parameters.get("type") == "object" and _UNSUPPORTED.isdisjoint(parameters):
        return parameters
    schema = parameters
    if not _UNSUPPORTED.isdisjoint(parameters):
        schema = _Merger(parameters).merged()
        losses.add("tools[].parameters", "converted", "alternatives at the top level merged into one object")
    return {"type": "object", **schema, **({"type": "object"} if _accepts_object(schema) else {})}


def with_properties(schema: Schema) -> Schema:
    """Return the schema with `properties`, which OpenAI requires even if there are none."""
    return schema if "properties" in schema else {**schema, "properties": {}}


def referenced_schema(root: Schema, reference: str) -> Any:
    """Return the schema at a reference into the same document; None if there is none."""
    if not reference.startswith("#"):
        return None
    value: Any = root
    for name in reference[1:].split("/")[1:]:
        value = value.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(value, dict) else None
    return value


def _accepts_object(schema: Schema) -> bool:
    kind = schema.get("type")
    return "object" in kind if isinstance(kind, list) else kind in (None, "object", "null")


class _Merger:
    """Merges the alternatives at the top level of one schema."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._count = 0
        self._hints: list[str] = []

    def merged(self) -> Schema:
        schema = self._plain(self._root, 0, is_always_valid=True)
        hint = " ".join(self._hints)
        if hint and len(hint) <= _MAX_HINT_CHARS:
            description = schema.get("description")
            schema["description"] = f"{description} {hint}" if description and isinstance(description, str) else hint
        return schema

    def _plain(self, schema: Any, depth: int, *, is_always_valid: bool = False) -> Schema:
        """Return the schema without its alternatives and references.

        `is_always_valid`: all arguments must match it, so a hint about it is true.
        """
        self._count += 1
        if not isinstance(schema, dict) or depth > _MAX_DEPTH or self._count > _MAX_SCHEMAS:
            return {}  # It accepts everything.
        plain = {name: value for name, value in schema.items() if name not in _UNSUPPORTED}
        if isinstance(reference := schema.get("$ref"), str):
            target = self._plain(referenced_schema(self._root, reference), depth + 1, is_always_valid=is_always_valid)
            plain = _both(plain, target)
        for part in _list(schema.get("allOf")):
            plain = _both(plain, self._plain(part, depth + 1, is_always_valid=is_always_valid))
        for keyword in _ALTERNATIVES:
            branches = [self._plain(branch, depth + 1) for branch in _list(schema.get(keyword))]
            if branches := [branch for branch in branches if _accepts_object(branch) and branch.get("type") != "null"]:
                if is_always_valid:
                    self._add_hint(plain, branches, keyword)
                plain = _either(plain, branches)
        return plain

    def _add_hint(self, base: Schema, branches: list[Schema], keyword: str) -> None:
        given = {*_required(base), *_required_by_all(branches)}
        groups = [[name for name in _required(branch) if name not in given] for branch in branches]
        texts = dict.fromkeys(" and ".join(f"`{name}`" for name in group) for group in groups)
        if len(texts) > 1 and all(groups):
            amount = "exactly one" if keyword == "oneOf" else "at least one"
            self._hints.append(f"The arguments must contain {amount} of: {', '.join(texts)}.")


def _both(first: Schema, second: Schema) -> Schema:
    """Return a schema for what matches both. If both set a keyword, the first one's value counts."""
    merged = {**second, **first}
    if (types := [schema["type"] for schema in (first, second) if "type" in schema])[1:]:
        merged["type"] = "object" if "object" in types else types[0]
    first_properties, second_properties = _properties(first), _properties(second)
    if first_properties or second_properties:
        properties = {**second_properties, **first_properties}
        for name in first_properties.keys() & second_properties.keys():
            properties[name] = _refined(first_properties[name], second_properties[name])
        # In the order of the first schema.
        merged["properties"] = {name: properties[name] for name in (*first_properties, *second_properties)}
    if required := list(dict.fromkeys([*_required(first), *_required(second)])):
        merged["required"] = required
    return merged


def _refined(general: Any, special: Any) -> Any:
    """Return a property's schema with the keywords of both. If both set one, the special one's value counts."""
    if not isinstance(general, dict) or not isinstance(special, dict):
        return special if isinstance(special, dict) else general
    if "properties" in general and "properties" in special:
        return _both(special, general)
    return {**general, **special}


def _either(base: Schema, branches: list[Schema]) -> Schema:
    """Return a schema for what matches the base and at least one of the branches."""
    if len(branches) == 1:
        return _both(base, branches[0])
    merged = dict(base)
    properties = dict(_properties(base))
    found_by_name: dict[str, list[Any]] = {}
    for branch in branches:
        for name, schema in _properties(branch).items():
            found_by_name.setdefault(name, []).append(schema)
    for name, found in found_by_name.items():
        if name not in properties:
            properties[name] = _any_of(found)
        elif len(found) == len(branches):
            properties[name] = _any_of([_refined(properties[name], each) for each in found])
    if properties:
        merged["properties"] = properties
    if required := list(dict.fromkeys([*_required(base), *_required_by_all(branches)])):
        merged["required"] = required
    if "additionalProperties" not in base and all(
        branch.get("additionalProperties") is False and "patternProperties" not in branch for branch in branches
    ):
        merged["additionalProperties"] = False
    return merged


def _any_of(schemas: Iterable[Any]) -> Any:
    distinct: list[Any] = []
    for schema in schemas:
        if schema not in distinct:
            distinct.append(schema)
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _properties(schema: Schema) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def _required(schema: Schema) -> list[str]:
    return [name for name in _list(schema.get("required")) if isinstance(name, str)]


def _required_by_all(branches: list[Schema]) -> list[str]:
    shared = set(_required(branches[0])).intersection(*map(_required, branches[1:]))
    return [name for name in _required(branches[0]) if name in shared]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
