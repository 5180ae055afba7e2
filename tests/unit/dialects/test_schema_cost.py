"""Schemas that would stop the gateway are not checked. Usual ones are, recursive ones included."""

import time
from typing import Any

import pytest

from intellirouter.dialects.adapt.answer_checks import check_output
from intellirouter.dialects.adapt.schema_cost import is_expensive
from intellirouter.dialects.ir import OutputFormat


def branching(levels: int, keyword: str) -> dict[str, Any]:
    """Return a schema whose definitions each branch into the next one twice."""
    both = {f"d{n}": {keyword: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": both | {f"d{levels}": {"type": "string"}}, "$ref": "#/$defs/d0"}


TREE = {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}
LIST = {
    "$defs": {"item": {"anyOf": [{"type": "null"}, {"properties": {"next": {"$ref": "#/$defs/item"}}}]}},
    "$ref": "#/$defs/item",
}
UNION = {"anyOf": [{"properties": {"kind": {"const": n}, "a": {"type": "string"}}} for n in range(100)]}


@pytest.mark.parametrize("keyword", ["anyOf", "allOf", "oneOf"])
@pytest.mark.parametrize("levels", [16, 24, 60])
def test_branching_references_are_expensive(keyword: str, levels: int) -> None:
    schema = branching(levels, keyword)
    started = time.process_time()
    check_output('{"a":1}', OutputFormat(kind="json_schema", schema=schema))
    assert is_expensive(schema)
    assert time.process_time() - started < 1.0  # it took seconds and gigabytes


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"properties": {"x": {"$ref": "#"}}}, {"properties": {"x": {"$ref": "#"}}}]},
        {"properties": {"x": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}},
        {"$dynamicRef": "#node"},
        {"$ref": "#anchor"},
    ],
)
def test_recursion_that_doubles_and_unknown_references_are_expensive(schema: dict[str, Any]) -> None:
    assert is_expensive(schema)


@pytest.mark.parametrize("schema", [TREE, LIST, UNION, branching(5, "anyOf"), {}, {"$ref": "#/$defs/none"}, True])
def test_usual_schemas_are_checked(schema: Any) -> None:
    assert not is_expensive(schema)
