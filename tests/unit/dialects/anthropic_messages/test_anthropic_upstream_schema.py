"""JSON Schemas are adapted to what Anthropic accepts."""

import json
from typing import Any

import pytest

from intellirouter.dialects.anthropic_messages.upstream_schema import adapt_schema, strict_schema
from intellirouter.dialects.ir import FunctionTool, OutputFormat, Sampling
from tests.support.dialects.anthropic_messages import chat, encoded
from tests.support.dialects.bedrock import encode as encode_converse


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


@pytest.mark.parametrize("additional", [True, {}, None])
@pytest.mark.parametrize("kind", [{"type": "object"}, {"type": ["object", "null"]}, {}])
def test_every_object_with_properties_is_closed(kind: dict[str, Any], additional: Any) -> None:
    schema = {**kind, "properties": {"a": {}}, "additionalProperties": additional}
    assert adapt_schema(schema) == {**kind, "properties": {"a": {}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("name", "value", "is_accepted"),
    [
        ("pattern", "^[a-z]{2,3}$", True),
        ("pattern", "(?:a|b)+", True),
        ("pattern", "^(?=a)", False),
        ("pattern", "(?<!a)b", False),
        ("pattern", r"(a)\1", False),
        ("pattern", r"\bword\b", False),
        ("format", "date-time", True),
        ("format", "regex", False),
        ("format", ["date"], False),
        ("maxItems", 3, False),
        ("uniqueItems", True, False),
        ("multipleOf", 2, False),
        ("not", {"const": 1}, False),
        ("if", {}, False),
    ],
)
def test_unsupported_keywords_are_moved_to_the_description(name: str, value: Any, is_accepted: bool) -> None:
    adapted = adapt_schema({name: value})
    assert (name in adapted) is is_accepted
    assert ("description" in adapted) is not is_accepted


def test_one_of_becomes_any_of() -> None:
    objects = [{"type": "object", "properties": {}}]
    assert adapt_schema({"oneOf": objects}) == {"anyOf": [objects[0] | {"additionalProperties": False}]}
    assert adapt_schema({"oneOf": [{}], "anyOf": [{"type": "string"}]}) == {"anyOf": [{"type": "string"}]}


TREE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
INEXPRESSIBLE: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "object"}}},
    {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "string"}}}},
    {"type": "object", "additionalProperties": {"type": "string"}},
    {"type": "object", "properties": {"a": {"type": "array", "items": {"oneOf": [{"type": "object"}]}}}},
    {"type": "object", "properties": {}, "patternProperties": {"^x": {}}},
    {"type": "object", "properties": {"a": {"$ref": "#"}}},
    {"type": "object", "properties": {"a": {"$ref": "https://example.com/schema"}}},
    {"type": "object", "properties": {"a": {"$ref": 7}}},
    {"type": "object", "properties": {"a": {"allOf": [{"$ref": "#/$defs/x"}]}}, "$defs": {"x": {}}},
    {"$ref": "#/$defs/node", "$defs": {"node": TREE}},
]


@pytest.mark.parametrize("schema", INEXPRESSIBLE)
def test_some_schemas_have_no_strict_form(schema: dict[str, Any]) -> None:
    assert strict_schema(schema) is None


def test_definitions_may_be_used_more_than_once() -> None:
    leaf = {"type": "object", "properties": {}}
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/leaf"}, "b": {"items": {"$ref": "#/$defs/leaf"}}},
        "$defs": {"leaf": leaf, "unused": {"type": "object"}},
    }
    adapted = strict_schema(schema)
    assert adapted["$defs"]["leaf"] == leaf | {"additionalProperties": False}


LIMITED = {
    "type": "object",
    "properties": {"ms": {"type": "integer", "minimum": 1}, "l": {"type": "array", "minItems": 3}},
    "required": ["ms"],
}


def test_strict_tools_and_output_formats_get_the_same_schema() -> None:
    tool = FunctionTool(name="f", parameters=LIMITED, is_strict=True)
    output = OutputFormat(kind="json_schema", name="n", schema=LIMITED, is_strict=True)
    sampling = Sampling(max_output_tokens=9)
    body, lost = encoded(chat(tools=[tool], output=output, sampling=sampling))
    assert body["tools"][0]["strict"] is True
    assert body["tools"][0]["input_schema"] == body["output_config"]["format"]["schema"] == adapt_schema(LIMITED)
    assert lost == {"tools[].parameters": "converted", "output.schema": "converted"}
    converse, losses = encode_converse(tools=[tool])
    spec = converse["toolConfig"]["tools"][0]["toolSpec"]
    assert (spec["strict"], spec["inputSchema"]["json"]) == (True, adapt_schema(LIMITED))
    assert [loss.partition(";")[0] for loss in losses] == ["tools[].parameters"]


@pytest.mark.parametrize("schema", INEXPRESSIBLE[:-1])
def test_a_tool_without_a_strict_form_is_not_strict(schema: dict[str, Any]) -> None:
    tool = FunctionTool(name="f", parameters=schema, is_strict=True)
    body, lost = encoded(chat(tools=[tool], sampling=Sampling(max_output_tokens=9)))
    assert body["tools"] == [{"name": "f", "input_schema": schema}]
    assert lost == {"tools[].strict": "dropped"}
    converse, losses = encode_converse(tools=[tool])
    assert "strict" not in converse["toolConfig"]["tools"][0]["toolSpec"]
    assert [loss.partition(";")[0] for loss in losses] == ["tools[].strict"]


def _strict_tools(count: int, schema: dict[str, Any]) -> list[FunctionTool]:
    return [FunctionTool(name=f"f{at}", parameters=schema, is_strict=True) for at in range(count)]


@pytest.mark.parametrize(
    ("count", "properties", "required", "strict"),
    [
        (21, {"a": {}}, ["a"], 20),
        (4, {name: {} for name in "abcdefgh"}, [], 3),
        (3, {name: {"type": ["string", "null"]} for name in "abcdefgh"}, [*"abcdefgh"], 2),
        (3, {name: {"items": {"anyOf": [{}]}} for name in "abcdefgh"}, [*"abcdefgh"], 2),
        (2, {"o": {"type": "object", "properties": {str(at): {} for at in range(20)}}}, ["o"], 1),
    ],
)
def test_the_limits_of_strict_mode_apply_to_all_tools_together(
    count: int, properties: dict[str, Any], required: list[str], strict: int
) -> None:
    schema = {"type": "object", "properties": properties, "required": required}
    tools = _strict_tools(count, schema)
    body, lost = encoded(chat(tools=tools, sampling=Sampling(max_output_tokens=9)))
    assert [tool.get("strict", False) for tool in body["tools"]] == [at < strict for at in range(count)]
    assert body["tools"][-1]["input_schema"] == schema
    assert lost == {"tools[].parameters": "converted", "tools[].strict": "dropped"}
    converse, _ = encode_converse(tools=tools)
    assert sum(tool["toolSpec"].get("strict", False) for tool in converse["toolConfig"]["tools"]) == strict


def test_an_output_format_without_a_strict_form_is_an_instruction() -> None:
    output = OutputFormat(kind="json_schema", name="n", schema=INEXPRESSIBLE[0], is_strict=True)
    body, lost = encoded(chat(output=output, sampling=Sampling(max_output_tokens=9)))
    assert "output_config" not in body
    assert "must match this JSON Schema" in json.dumps(body["system"])
    assert lost == {"output": "emulated"}
    converse, losses = encode_converse(output=output)
    assert "outputConfig" not in converse
    assert "must match this JSON Schema" in json.dumps(converse["system"])
    assert [loss.partition(";")[0] for loss in losses] == ["output"]


def test_values_that_are_not_schemas_are_unchanged() -> None:
    assert adapt_schema({"properties": 3, "enum": ["minimum"], "default": {"maximum": 1}}) == {
        "properties": 3,
        "enum": ["minimum"],
        "default": {"maximum": 1},
    }
