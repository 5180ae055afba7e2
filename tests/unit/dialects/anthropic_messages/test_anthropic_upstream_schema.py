"""JSON Schemas are adapted to what Anthropic accepts."""

from typing import Any

import pytest

from intellirouter.dialects.anthropic_messages.upstream_schema import adapt_schema


def test_unsupported_limits_are_moved_to_the_description() -> None:
    """Zod writes such limits for `z.number().int()`, and Anthropic rejects them with status 400."""
    schema = {"type": "integer", "minimum": -5, "maximum": 5, "description": "A number."}
    assert adapt_schema(schema) == {"type": "integer", "description": 'A number. {"minimum":-5,"maximum":5}'}
    assert schema["minimum"] == -5, "the schema is not changed"


@pytest.mark.parametrize("description", [None, "", 7])
def test_a_missing_description_is_added(description: Any) -> None:
    schema = {"type": "string", "maxLength": 3} | ({} if description is None else {"description": description})
    assert adapt_schema(schema) == {"type": "string", "description": '{"maxLength":3}'}


def test_all_subschemas_are_adapted() -> None:
    inner = {"type": "string", "minLength": 1}
    adapted = {"type": "string", "description": '{"minLength":1}'}
    schema = {
        "type": "object",
        "properties": {"a": inner, "minimum": {"type": "number"}},
        "anyOf": [inner],
        "items": inner,
        "$defs": {"x": inner},
    }
    assert adapt_schema(schema) == {
        "type": "object",
        "properties": {"a": adapted, "minimum": {"type": "number"}},
        "anyOf": [adapted],
        "items": adapted,
        "$defs": {"x": adapted},
        "additionalProperties": False,
    }


@pytest.mark.parametrize(("min_items", "is_accepted"), [(0, True), (1, True), (2, False), ([], False)])
def test_min_items_is_accepted_up_to_1(min_items: Any, is_accepted: bool) -> None:
    assert ("minItems" in adapt_schema({"type": "array", "minItems": min_items})) is is_accepted


def test_values_that_are_not_schemas_are_unchanged() -> None:
    assert adapt_schema({"properties": 3, "enum": ["minimum"], "default": {"maximum": 1}}) == {
        "properties": 3,
        "enum": ["minimum"],
        "default": {"maximum": 1},
    }
