"""Whether it can take very long to check a value against a client's schema.

A few references that branch can make a validator visit the same value millions of times: 20 definitions, each of which
is `anyOf` of two references to the next one. Such schemas are recognized before the validator sees them.
"""

from collections.abc import Iterable
from typing import Any, Final

_MAX_VISITS: Final = 1000
"""How often the same part of a value may be visited."""
_MAX_DEPTH: Final = 200
_SAME_VALUE_LISTS: Final = ("anyOf", "oneOf", "allOf")
_SAME_VALUE: Final = ("not", "if", "then", "else")
_ITEMS: Final = ("items", "additionalProperties", "contains", "propertyNames", "unevaluatedItems", "additionalItems")
_DYNAMIC: Final = ("$dynamicRef", "$recursiveRef")


class _TooExpensiveError(Exception):
    pass


def is_expensive(schema: Any) -> bool:
    """Return whether a validator may visit the same part of a value too often, or if that is unknown."""
    try:
        _Visits(schema).of(schema, 0)
    except (_TooExpensiveError, RecursionError):
        return True
    return False


class _Visits:
    """Counts how often the same part of a value is visited, at most.

    Schemas for the same value add up. Schemas for different parts of it do not, so only the largest of them counts.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[int, int] = {}
        self._open: set[int] = set()
        self._cycles = 0

    def of(self, node: Any, depth: int) -> int:
        if not isinstance(node, dict):
            return 1
        if depth > _MAX_DEPTH:
            raise _TooExpensiveError
        key = id(node)
        if key in self._open:  # A recursive schema is as deep as the value. Two ways into it double at each level.
            self._cycles += 1
            if self._cycles > 1:
                raise _TooExpensiveError
            return 1
        if key in self._known:
            return self._known[key]
        self._open.add(key)
        visits = 1 + self._same_value(node, depth + 1) + self._parts(node, depth + 1)
        self._open.discard(key)
        if visits > _MAX_VISITS:
            raise _TooExpensiveError
        self._known[key] = visits
        return visits

    def _same_value(self, node: dict[str, Any], depth: int) -> int:
        schemas: list[Any] = [node[name] for name in _SAME_VALUE if name in node]
        for name in _SAME_VALUE_LISTS:
            schemas += _listed(node.get(name))
        schemas += _mapped(node.get("dependentSchemas"))
        if "$ref" in node:
            schemas.append(self._target(node["$ref"]))
        if any(name in node for name in _DYNAMIC):
            raise _TooExpensiveError
        return sum(self.of(each, depth) for each in schemas)

    def _parts(self, node: dict[str, Any], depth: int) -> int:
        """Return the visits of the part that is visited most. Cycles through different parts are not added up."""
        most, cycles = 0, self._cycles
        found = cycles
        alternatives = [
            *_mapped(node.get("properties")),
            *_listed(node.get("prefixItems")),
            *_listed(node.get("items")),
        ]
        for each in alternatives:
            self._cycles = cycles
            most = max(most, self.of(each, depth))
            found = max(found, self._cycles)
        self._cycles = found
        others = [node[name] for name in _ITEMS if isinstance(node.get(name), dict)]
        others += _mapped(node.get("patternProperties"))
        return most + sum(self.of(each, depth) for each in others)

    def _target(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise _TooExpensiveError  # to an anchor or another document
        node = self._root
        for step in reference[2:].split("/") if len(reference) > 2 else ():
            name = step.replace("~1", "/").replace("~0", "~")
            node = node.get(name) if isinstance(node, dict) else None
        return node


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def _mapped(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else ()
