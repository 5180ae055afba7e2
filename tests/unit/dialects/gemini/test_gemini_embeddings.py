"""Embeddings on the client side and the upstream side."""

import json
from typing import Any

import pytest

from intellirouter.core import Call, LossReport, RequestContext, errors
from intellirouter.dialects.gemini import EMBEDDINGS_CLIENT, EMBEDDINGS_UPSTREAM
from intellirouter.dialects.ir import EmbeddingRequest, EmbeddingResponse
from tests.support.dialects.gemini import deployment

DEPLOYMENT = deployment("gemini-embedding-001")


def read(body: Any) -> Call:
    return EMBEDDINGS_CLIENT.decode_request(json.dumps(body).encode(), RequestContext(model="public"))


def content(text: str) -> dict[str, Any]:
    return {"content": {"parts": [{"text": text}]}}


def test_a_single_text() -> None:
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
def test_invalid_requests(body: Any, param: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        read(body)
    assert caught.value.param == param


def test_images_are_rejected() -> None:
    with pytest.raises(errors.UnsupportedFeature):
        read({"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": ""}}]}})


def encode_request(ask: EmbeddingRequest) -> tuple[str, Any]:
    request = EMBEDDINGS_UPSTREAM.encode(ask, DEPLOYMENT, LossReport())
    return request.path, json.loads(request.body)


def test_one_text_and_several_texts_use_different_methods() -> None:
    single = EmbeddingRequest(dialect="openai_chat", model="m", inputs=["a"], dimensions=8, task="search_query")
    expected = {
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": "a"}]},
        "taskType": "RETRIEVAL_QUERY",
        "outputDimensionality": 8,
    }
    assert encode_request(single) == ("/models/gemini-embedding-001:embedContent", expected)
    batch = EmbeddingRequest(dialect="gemini", model="m", inputs=["a", "b"], title="t", extras={"autoTruncate": True})
    path, body = encode_request(batch)
    assert path == "/models/gemini-embedding-001:batchEmbedContents"
    assert [each["content"]["parts"][0]["text"] for each in body["requests"]] == ["a", "b"]
    assert body["requests"][1]["autoTruncate"] is True


def test_token_ids_are_rejected_and_the_user_is_dropped() -> None:
    with pytest.raises(errors.UnsupportedFeature):
        encode_request(EmbeddingRequest(dialect="openai_chat", model="m", inputs=[[1, 2]]))
    losses = LossReport()
    EMBEDDINGS_UPSTREAM.encode(
        EmbeddingRequest(dialect="openai_chat", model="m", inputs=["a"], user="u"), DEPLOYMENT, losses
    )
    assert [loss.field for loss in losses.taken()] == ["user"]


def test_responses() -> None:
    single = EMBEDDINGS_UPSTREAM.decode(b'{"embedding": {"values": [1, 0.5]}}', DEPLOYMENT)
    assert (single.vectors, single.usage, single.model) == ([[1.0, 0.5]], None, "gemini-embedding-001")
    batch = EMBEDDINGS_UPSTREAM.decode(b'{"embeddings": [{"values": [1]}, {"values": [2]}]}', DEPLOYMENT)
    assert batch.vectors == [[1.0], [2.0]]


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
def test_malformed_responses(body: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed):
        EMBEDDINGS_UPSTREAM.decode(body, DEPLOYMENT)


def test_an_error_with_status_200_gets_its_class() -> None:
    with pytest.raises(errors.UpstreamRateLimited):
        EMBEDDINGS_UPSTREAM.decode(b'{"error": {"code": 429}}', DEPLOYMENT)
