"""Schemas of tools' arguments become one plain object schema."""

import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import LossReport
from intellirouter.dialects.adapt.object_schema import object_schema, with_properties
from intellirouter.dialects.ir import FunctionTool
from tests.support.dialects.pairs import BY_UPSTREAM, CLIENTS, UPSTREAMS, plain_call, send, translation_of
from tests.support.dialects.standard import ENDPOINTS

TEXT, NUMBER = {"type": "string"}, {"type": "number"}


def plain(schema: dict[str, Any] | None) -> dict[str, Any]:
    before = json.dumps(schema)
    result = object_schema(schema, LossReport())
    assert json.dumps(schema) == before, "the schema is not changed"
    return result


def test_a_plain_schema_is_returned_unchanged() -> None:
    losses, schema = LossReport(), {"type": "object", "properties": {"a": {"anyOf": [TEXT, NUMBER]}}, "$defs": {}}
    assert object_schema(schema, losses) is schema
    assert losses.taken() == ()


@pytest.mark.parametrize("schema", [None, {}])
def test_a_missing_schema_takes_no_arguments(schema: dict[str, Any] | None) -> None:
    assert plain(schema) == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    "kind", [{}, {"type": ["object", "null"]}, {"type": ["null", "object"]}, {"type": None}, {"type": "null"}]
)
def test_the_type_becomes_object_without_a_loss(kind: dict[str, Any]) -> None:
    losses = LossReport()
    assert object_schema({**kind, "properties": {"a": TEXT}}, losses) == {"type": "object", "properties": {"a": TEXT}}
    assert losses.taken() == ()


@pytest.mark.parametrize("kind", ["string", ["string", "null"], {"odd": 1}])
def test_another_type_is_left_for_the_vendor_to_reject(kind: Any) -> None:
    assert plain({"type": kind}) == {"type": kind}


@pytest.mark.parametrize(("keyword", "amount"), [("anyOf", "at least one"), ("oneOf", "exactly one")])
def test_alternative_requirements_move_to_the_description(keyword: str, amount: str) -> None:
    losses = LossReport()
    schema = {
        "type": "object",
        "description": "Finds.",
        "properties": {"route": TEXT, "file": TEXT, "x": TEXT},
        "required": ["x"],
        keyword: [{"required": ["x", "route"]}, {"required": ["file"]}],
    }
    assert object_schema(schema, losses) == {
        "type": "object",
        "description": f"Finds. The arguments must contain {amount} of: `route`, `file`.",
        "properties": {"route": TEXT, "file": TEXT, "x": TEXT},
        "required": ["x"],
    }
    assert [(loss.field, loss.how) for loss in losses.taken()] == [("tools[].parameters", "converted")]


def test_properties_of_alternatives_are_merged() -> None:
    first = {"type": "object", "properties": {"kind": {"const": "a"}, "a": TEXT}, "required": ["kind", "a"]}
    second = {"type": "object", "properties": {"kind": {"const": "b"}, "n": NUMBER}, "required": ["kind"]}
    closed = {"additionalProperties": False}
    merged = {
        "type": "object",
        "properties": {"kind": {"anyOf": [{"const": "a"}, {"const": "b"}]}, "a": TEXT, "n": NUMBER},
        "required": ["kind"],
    }
    assert plain({"oneOf": [first, second]}) == merged
    assert plain({"oneOf": [first | closed, second | closed]}) == merged | closed
    assert plain({"oneOf": [first | closed, second]}) == merged
    hint = {"description": "The arguments must contain at least one of: `a` and `b`, `n`."}
    assert plain({"anyOf": [first | {"required": ["a", "kind", "b"]}, second | {"required": ["kind", "n"]}]}) == {
        **merged,
        **hint,
    }


def test_one_alternative_besides_null_is_kept_exactly() -> None:
    inner = {"type": "object", "properties": {"a": TEXT}, "required": ["a"], "minProperties": 1}
    assert plain({"anyOf": [inner, {"type": "null"}]}) == inner
    assert plain({"anyOf": [{"type": "string"}]}) == {"type": "object"}


def test_a_property_of_some_alternatives_keeps_its_general_schema() -> None:
    base = {"type": "object", "properties": {"a": TEXT}}
    some = [{"properties": {"a": {"enum": ["x"]}}}, {}]
    every = [{"properties": {"a": {"enum": ["x"]}}}, {"properties": {"a": {"enum": ["y"]}}}]
    assert plain({**base, "anyOf": some}) == base
    refined = {"anyOf": [{"type": "string", "enum": ["x"]}, {"type": "string", "enum": ["y"]}]}
    assert plain({**base, "anyOf": every}) == {"type": "object", "properties": {"a": refined}}


def test_all_of_is_merged() -> None:
    schema = {
        "description": "D",
        "allOf": [
            {"type": "object", "properties": {"a": TEXT, "o": {"type": "object", "properties": {"p": TEXT}}}},
            {"type": "object", "properties": {"a": {"minLength": 1}, "b": NUMBER}, "required": ["b"]},
            {"properties": {"o": {"properties": {"q": TEXT}, "required": ["q"]}}, "required": ["a", "b"]},
            True,
        ],
    }
    inner = {"type": "object", "properties": {"q": TEXT, "p": TEXT}, "required": ["q"]}
    assert plain(schema) == {
        "type": "object",
        "description": "D",
        "properties": {"a": {"type": "string", "minLength": 1}, "o": inner, "b": NUMBER},
        "required": ["b", "a"],
    }


def test_references_are_resolved_and_definitions_stay() -> None:
    definitions = {"A/b": {"type": "object", "properties": {"a": {"$ref": "#/$defs/T"}}, "required": ["a"]}, "T": TEXT}
    assert plain({"$ref": "#/$defs/A~1b", "$defs": definitions}) == {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/T"}},
        "required": ["a"],
        "$defs": definitions,
    }
    assert plain({"$ref": "#/$defs/missing"}) == {"type": "object"}
    assert plain({"$ref": "https://example.com/schema"}) == {"type": "object"}
    assert plain({"$ref": "#"}) == {"type": "object"}


def test_references_that_multiply_are_bounded() -> None:
    definitions = {f"d{at}": {"anyOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 50} for at in range(8)}
    assert plain({"$ref": "#/$defs/d0", "$defs": definitions})["type"] == "object"


def test_long_hints_are_left_out() -> None:
    branches = [{"required": [f"{'x' * 100}{at}"]} for at in range(20)]
    assert "description" not in plain({"type": "object", "anyOf": branches})


@pytest.mark.parametrize("value", [3, None, "x", [7]])
def test_invalid_members_are_ignored(value: Any) -> None:
    schema = {"type": "object", "anyOf": [value], "allOf": value, "properties": value, "required": value, "$ref": value}
    assert plain(schema)["type"] == "object"


def test_with_properties() -> None:
    assert with_properties({"type": "object"}) == {"type": "object", "properties": {}}
    assert with_properties({"properties": {"a": TEXT}}) == {"properties": {"a": TEXT}}


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("keyword", ["anyOf", "oneOf", "allOf", "type"])
def test_every_upstream_of_another_dialect_gets_plain_schemas(client: str, upstream: str, keyword: str) -> None:
    parts: Any = ["object", "null"] if keyword == "type" else [{"required": ["a"]}, {"required": ["b"]}]
    schema = {"type": "object", "properties": {"a": TEXT, "b": TEXT}, keyword: parts}
    call: Any = plain_call(client)
    conversation = ENDPOINTS["ollama_chat" if client == "ollama" else client].conversation(call)
    assert conversation is not None
    conversation = structs.replace(conversation, tools=[FunctionTool(name="f", parameters=schema)])
    conversation = structs.replace(conversation, sampling=structs.replace(conversation.sampling, logprobs=None))
    sent = send(call, client, BY_UPSTREAM[upstream], conversation)
    assert sent.request is not None
    written = sent.request.body.decode()
    if client != upstream:
        assert f'"{keyword}":[' not in written
        assert ("tools[].parameters" in sent.losses) is (keyword != "type")
    else:
        assert f'"{keyword}":[' in written
    assert translation_of(call, client, upstream)
