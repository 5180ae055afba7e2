"""The generators of the fake models: tokens, instances of schemas, embeddings."""

import base64
import json
import struct
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.fake.openai.answer import answer
from intellirouter.fake.schema_instance import instance_of
from intellirouter.fake.tokens import count_tokens, lorem, split_tokens


@given(st.text())
def test_joined_tokens_are_the_text(text: str) -> None:
    tokens = split_tokens(text)
    assert "".join(tokens) == text
    assert count_tokens(text) == len(tokens)


@given(st.integers(min_value=0, max_value=300))
def test_lorem_has_the_requested_number_of_tokens(tokens: int) -> None:
    assert count_tokens(lorem(tokens)) == tokens


SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "string", "minLength": 9}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a", "b"]},
    {"type": "array", "items": {"type": "integer", "minimum": 4, "multipleOf": 3}, "minItems": 2},
    {"type": "array", "prefixItems": [{"type": "boolean"}], "items": False},
    {"type": "array", "items": {"type": "null"}, "maxItems": 0},
    {"type": "integer", "exclusiveMinimum": 7, "exclusiveMaximum": 9},
    {"type": "integer", "maximum": -2.5},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "string", "enum": ["red", "green"]},
    {"const": {"x": 1}},
    {"anyOf": [{"type": "null"}, {"type": "string", "format": "date-time"}]},
    {"oneOf": [{"$ref": "#/$defs/a"}, {"type": "integer"}], "$defs": {"a": {"type": "string"}}},
    {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"required": ["b"]}]},
    {"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {
        "next": {"$ref": "#/$defs/node"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
        "name": {"type": "string", "maxLength": 2}}, "required": ["name", "children"]}}},
    {"type": "string", "maxLength": 2},
    {"items": {"type": "string"}},
    {},
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=range(len(SCHEMAS)))
def test_instances_satisfy_their_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(instance_of(schema), schema)


def test_endless_and_dangling_references_are_handled() -> None:
    assert instance_of({"$ref": "#/$defs/missing"}) == {}
    endless = {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}}}
    endless["$defs"]["a"]["required"] = ["a"]  # type: ignore[index]
    assert "a" in instance_of(endless)
    assert instance_of(None) is None


def _embeddings(**fields: Any) -> tuple[int, Any]:
    reply = answer("/embeddings", json.dumps({"model": "e", **fields}).encode(), created_s=1)[1]
    return reply.status, json.loads(reply.parts[0])


@pytest.mark.parametrize("texts", ["one", ["one", "two words"], [[1, 2], [3]], [1, 2, 3]])
def test_both_encodings_have_the_same_vectors(texts: Any) -> None:
    _, floats = _embeddings(input=texts, dimensions=64)
    _, packed = _embeddings(input=texts, dimensions=64, encoding_format="base64")
    assert [entry["index"] for entry in floats["data"]] == list(range(len(floats["data"])))
    for plain, encoded in zip(floats["data"], packed["data"], strict=True):
        vector = struct.unpack("<64f", base64.b64decode(encoded["embedding"]))
        assert list(struct.unpack("<64f", struct.pack("<64f", *plain["embedding"]))) == list(vector)
    assert floats["usage"] == packed["usage"]
    assert floats["usage"]["prompt_tokens"] == floats["usage"]["total_tokens"] > 0


def test_texts_that_share_words_are_close_to_each_other() -> None:
    _, found = _embeddings(input=["the red fox jumps", "the red fox sleeps", "quarterly tax report"])
    near, other, far = (entry["embedding"] for entry in found["data"])

    def dot(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert dot(near, other) > 0.5 > abs(dot(near, far))
    assert dot(near, near) == pytest.approx(1)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input": ""},
        {"input": []},
        {"input": [True]},
        {"input": [""]},
        {"input": "a", "dimensions": 0},
        {"input": "a", "dimensions": "many"},
        {"input": "a", "encoding_format": "hex"},
        {"input": ["a"] * 2049},
    ],
)
def test_invalid_embedding_requests_are_rejected(fields: dict[str, Any]) -> None:
    status, refused = _embeddings(**fields)
    assert status == 400
    assert refused["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "required": 7},
        {"type": "array", "prefixItems": 7},
        {"type": "array", "minItems": "x"},
        {"type": "array", "minItems": 10**30},
        {"type": "string", "minLength": 10**30},
        {"type": "number", "minimum": "x"},
        {"anyOf": 5},
        {"properties": {"a": 5}},
    ],
)
def test_invalid_schemas_are_handled(schema: Any) -> None:
    assert len(str(instance_of(schema))) < 100_000
