"""Strict tools and output formats of other dialects' clients for OpenAI."""

import json
from typing import Any

import pytest

from intellirouter.dialects.openai.strict_schema import is_strict_schema, takes_output_schema
from tests.support.dialects.pairs import BY_UPSTREAM, OTHERS, call_of, send

CLOSED = {"type": "object", "additionalProperties": False}
TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "is_accepted"),
    [
        ({**CLOSED, "properties": {}}, True),
        ({**CLOSED, "properties": {"a": TEXT}, "required": ["a"]}, True),
        ({**CLOSED, "properties": {"a": TEXT}}, False),
        ({"type": "object", "properties": {"a": TEXT}, "required": ["a"]}, False),
        ({"type": ["object", "null"], "properties": {}}, False),
        ({**CLOSED, "properties": {}, "required": "a"}, False),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": {"type": "object"}}}, "required": ["a"]}, False),
        ({**CLOSED, "properties": {"a": {"anyOf": [TEXT, {"type": "null"}]}}, "required": ["a"]}, True),
        ({**CLOSED, "properties": {"a": {"oneOf": [TEXT]}}, "required": ["a"]}, False),
        ({**CLOSED, "properties": {"a": {**TEXT, "minLength": 1}}, "required": ["a"]}, False),
        ({**CLOSED, "properties": {"a": {**TEXT, "format": "uri"}}, "required": ["a"]}, False),
        ({**CLOSED, "properties": {"a": {**TEXT, "format": "date"}}, "required": ["a"]}, True),
        ({**CLOSED, "properties": {}, "$defs": {"x": {"type": "object"}}}, False),
        ({**CLOSED, "properties": {}, "$defs": 3}, False),
        (True, False),
    ],
)
def test_the_subset_for_strict_mode(schema: Any, is_accepted: bool) -> None:
    assert is_strict_schema(schema) is is_accepted


def _sent(client: str, target: Any, tool: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "tools": [tool]}
    sent = send(call_of(client, {"body": body}), client, target)
    assert sent.request is not None
    written = json.loads(sent.request.body)["tools"][0]
    return written.get("function", written)["strict"], sent.losses


@pytest.mark.parametrize("required", [["a"], []])
@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses"])
def test_a_strict_tool_with_optional_properties_is_not_strict_for_openai(upstream: str, required: list[str]) -> None:
    schema = {**CLOSED, "properties": {"a": TEXT}, "required": required}
    tool = {"name": "f", "input_schema": schema, "strict": True}
    strict, losses = _sent("anthropic_messages", BY_UPSTREAM[upstream], tool)
    assert strict is bool(required)
    assert losses.get("tools[].strict") == (None if required else "dropped")


def test_compatible_vendors_and_clients_of_openai_dialects_are_not_checked() -> None:
    schema = {**CLOSED, "properties": {"a": TEXT}}
    tool: dict[str, Any] = {"name": "f", "input_schema": schema, "strict": True}
    assert _sent("anthropic_messages", OTHERS["compatible"], tool) == (True, {})
    tool = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}
    assert _sent("openai_chat", BY_UPSTREAM["openai_responses"], tool)[0] is True


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses"])
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}}, {"type": "null"}]},
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {}}}},
    ],
)
def test_an_output_that_is_not_a_plain_object_becomes_an_instruction(upstream: str, schema: dict[str, Any]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "format": schema}
    sent = send(call_of("ollama", {"body": body}), "ollama", BY_UPSTREAM[upstream])
    assert sent.request is not None
    written = json.loads(sent.request.body)
    assert "response_format" not in written
    assert "text" not in written
    assert "conforms to this JSON Schema" in sent.request.body.decode()
    assert "converted" in sent.losses.values()


@pytest.mark.parametrize(
    ("schema", "dialect", "is_taken"),
    [
        ({"type": "object", "properties": {}}, "gemini", True),
        (None, "gemini", True),
        ({"type": "array"}, "openai_responses", True),
        ({"type": "object", "anyOf": []}, "ollama", False),
    ],
)
def test_which_output_schemas_openai_takes(schema: Any, dialect: str, is_taken: bool) -> None:
    assert takes_output_schema(schema, dialect) is is_taken
