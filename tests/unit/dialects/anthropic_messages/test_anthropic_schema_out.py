"""JSON Schemas as Anthropic takes them."""

from typing import Any

import pytest

from intellirouter.dialects.anthropic_messages.upstream_schema import fitted_schema


def test_limits_that_it_refuses_are_said_in_words() -> None:
    """What zod writes for `z.number().int()`; Anthropic answers 400 to it."""
    schema = {"type": "integer", "minimum": -5, "maximum": 5, "description": "A number."}
    assert fitted_schema(schema) == {"type": "integer", "description": 'A number. {"minimum":-5,"maximum":5}'}
    assert schema["minimum"] == -5, "the form is read-only"


@pytest.mark.parametrize("said", [None, "", 7])
def test_without_a_description_there_is_one_afterwards(said: Any) -> None:
    schema = {"type": "string", "maxLength": 3} | ({} if said is None else {"description": said})
    assert fitted_schema(schema) == {"type": "string", "description": '{"maxLength":3}'}


def test_every_place_of_a_schema_is_reached() -> None:
    inner = {"type": "string", "minLength": 1}
    fitted = {"type": "string", "description": '{"minLength":1}'}
    schema = {
        "type": "object",
        "properties": {"a": inner, "minimum": {"type": "number"}},
        "anyOf": [inner],
        "items": inner,
        "$defs": {"x": inner},
    }
    assert fitted_schema(schema) == {
        "type": "object",
        "properties": {"a": fitted, "minimum": {"type": "number"}},
        "anyOf": [fitted],
        "items": fitted,
        "$defs": {"x": fitted},
        "additionalProperties": False,
    }


@pytest.mark.parametrize(("least", "is_taken"), [(0, True), (1, True), (2, False), ([], False)])
def test_few_items_are_taken_as_they_are(least: Any, is_taken: bool) -> None:
    assert ("minItems" in fitted_schema({"type": "array", "minItems": least})) is is_taken


def test_what_is_no_schema_stays() -> None:
    assert fitted_schema({"properties": 3, "enum": ["minimum"], "default": {"maximum": 1}}) == {
        "properties": 3,
        "enum": ["minimum"],
        "default": {"maximum": 1},
    }
