"""Embeddings, both sides."""

import json
from typing import Any

import pytest

from intellirouter.core import Call, LossReport, RequestContext, errors
from intellirouter.dialects.gemini import EMBEDDINGS_CLIENT, EMBEDDINGS_UPSTREAM
from intellirouter.dialects.ir import EmbeddingRequest, EmbeddingResponse
from tests.support.dialects.gemini import deployment

TARGET = deployment("gemini-embedding-001")


def read(body: Any) -> Call:
    return EMBEDDINGS_CLIENT.decode_request(json.dumps(body).encode(), RequestContext(model="public"))


def content(text: str) -> dict[str, Any]:
    return {"content": {"parts": [{"text": text}]}}


def test_one_text() -> None:
    call = read({**content("a"), "taskType": "RETRIEVAL_QUERY", "title": "t", "output_dimensionality": 8})
    ask = EMBEDDINGS_CLIENT.decode(call)
    assert (call.operation, call.model, ask.inputs, ask.is_single) == ("embeddings", "public", ["a"], True)
    assert (ask.task, ask.title, ask.dimensions) == ("RETRIEVAL_QUERY", "t", 8)
    body = EMBEDDINGS_CLIENT.encode(EmbeddingResponse(vectors=[[0.5]]), call, LossReport())
    assert json.loads(body) == {"embedding": {"values": [0.5]}}


def test_a_batch_of_one_stays_a_batch() -> None:
    call = read({"requests": [{**content("a"), "model": "models/x"}]})
    assert EMBEDDINGS_CLIENT.decode(call).is_single is False
    body = EMBEDDINGS_CLIENT.encode(EmbeddingResponse(vectors=[[0.5]]), call, LossReport())
    assert json.loads(body) == {"embeddings": [{"values": [0.5]}]}


def test_parts_of_one_content_are_one_text() -> None:
    call = read({"requests": [{"content": {"parts": [{"text": "a"}, {"text": "b"}]}}, content("c")]})
    assert EMBEDDINGS_CLIENT.decode(call).inputs == ["a\nb", "c"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "content"),
        ({"requests": []}, "requests"),
        ({"requests": [{}]}, "requests[0].content"),
        ({"requests": [1]}, "requests[0]"),
        ({"content": {"parts": []}}, "content.parts"),
        ({"content": {"parts": [{"text": 1}]}}, "content.parts[0].text"),
        ({**content("a"), "outputDimensionality": "x"}, "outputDimensionality"),
        ({"requests": [content("a"), {**content("b"), "taskType": "CLUSTERING"}]}, "requests"),
    ],
)
def test_bad_requests(body: Any, param: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        read(body)
    assert caught.value.param == param


def test_pictures_are_not_embedded() -> None:
    with pytest.raises(errors.UnsupportedFeature):
        read({"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": ""}}]}})


def asked(ask: EmbeddingRequest) -> tuple[str, Any]:
    request = EMBEDDINGS_UPSTREAM.encode(ask, TARGET, LossReport())
    return request.path, json.loads(request.body)


def test_the_upstream_is_asked_for_one_or_for_many() -> None:
    one = EmbeddingRequest(dialect="openai_chat", model="m", inputs=["a"], dimensions=8, task="search_query")
    want = {
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": "a"}]},
        "taskType": "RETRIEVAL_QUERY",
        "outputDimensionality": 8,
    }
    assert asked(one) == ("/models/gemini-embedding-001:embedContent", want)
    many = EmbeddingRequest(dialect="gemini", model="m", inputs=["a", "b"], title="t", extras={"autoTruncate": True})
    path, body = asked(many)
    assert path == "/models/gemini-embedding-001:batchEmbedContents"
    assert [each["content"]["parts"][0]["text"] for each in body["requests"]] == ["a", "b"]
    assert body["requests"][1]["autoTruncate"] is True


def test_tokens_cannot_be_embedded_and_users_are_not_told() -> None:
    with pytest.raises(errors.UnsupportedFeature):
        asked(EmbeddingRequest(dialect="openai_chat", model="m", inputs=[[1, 2]]))
    losses = LossReport()
    EMBEDDINGS_UPSTREAM.encode(
        EmbeddingRequest(dialect="openai_chat", model="m", inputs=["a"], user="u"), TARGET, losses
    )
    assert [loss.field for loss in losses.taken()] == ["user"]


def test_answers() -> None:
    one = EMBEDDINGS_UPSTREAM.decode(b'{"embedding": {"values": [1, 0.5]}}', TARGET)
    assert (one.vectors, one.usage, one.model) == ([[1.0, 0.5]], None, "gemini-embedding-001")
    many = EMBEDDINGS_UPSTREAM.decode(b'{"embeddings": [{"values": [1]}, {"values": [2]}]}', TARGET)
    assert many.vectors == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"{}",
        b"[]",
        b'{"embeddings": []}',
        b'{"embeddings": [1]}',
        b'{"embeddings": [{"values": []}]}',
        b'{"embedding": {"values": ["a"]}}',
        b'{"embedding": {"values": [true]}}',
        b'{"embedding": {"values": [null]}}',
        b'{"embedding": {"values": "x"}}',
    ],
)
def test_malformed_answers(body: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed):
        EMBEDDINGS_UPSTREAM.decode(body, TARGET)


def test_errors_under_200() -> None:
    with pytest.raises(errors.UpstreamRateLimited):
        EMBEDDINGS_UPSTREAM.decode(b'{"error": {"code": 429}}', TARGET)
