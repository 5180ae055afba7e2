"""Ollama's embeddings: both endpoints, client side and upstream side."""

import json

import pytest

from intellirouter.core import LossReport, Usage, errors
from intellirouter.core.deployment import Deployment, UpstreamAddress
from intellirouter.dialects.ir import EmbeddingRequest, EmbeddingResponse
from intellirouter.dialects.ollama import (
    EMBEDDINGS_CLIENT,
    EMBEDDINGS_UPSTREAM,
    LEGACY_EMBEDDINGS_CLIENT,
    is_load,
)
from intellirouter.dialects.ollama.loading import load_answer
from intellirouter.testing import FakeClock

DEPLOYMENT = Deployment(
    name="local/e",
    provider="local",
    vendor="ollama",
    upstream_model="minilm",
    address=UpstreamAddress(base_url="http://x"),
)


def embed(**more):
    return EMBEDDINGS_CLIENT.decode_request(json.dumps({"model": "e", **more}).encode())


def legacy(**more):
    return LEGACY_EMBEDDINGS_CLIENT.decode_request(json.dumps({"model": "e", **more}).encode())


def test_requests_are_decoded():
    request = EMBEDDINGS_CLIENT.decode(
        embed(input="a", dimensions=8, truncate=False, options={"num_ctx": 5, "seed": None})
    )
    assert request == EmbeddingRequest(
        dialect="ollama",
        model="e",
        inputs=["a"],
        dimensions=8,
        is_single=True,
        extras={"truncate": False, "options.num_ctx": 5},
    )
    assert EMBEDDINGS_CLIENT.decode(embed(input=["a", "b"], dimensions=0)).inputs == ["a", "b"]
    assert LEGACY_EMBEDDINGS_CLIENT.decode(legacy(prompt="a", keep_alive=3)).extras == {"keep_alive": 3}
    assert LEGACY_EMBEDDINGS_CLIENT.decode(legacy(prompt="")).inputs == []
    assert embed(input="a").operation == "embeddings"
    assert embed(input="a").needs == {"embeddings"}


@pytest.mark.parametrize(
    "more", [{"input": 3}, {"input": [3]}, {"input": "a", "dimensions": -1}, {"input": "a", "dimensions": 2**40}]
)
def test_invalid_requests_are_rejected(more):
    with pytest.raises(errors.InvalidRequest):
        embed(**more)


def test_responses_are_encoded(monkeypatch):
    times = iter([10, 17, 20, 20])
    monkeypatch.setattr("time.time_ns", lambda: next(times))
    answer = EmbeddingResponse(vectors=[[0.5, -1.0], [2.0, 3.0]], usage=Usage(input_tokens=4))
    body = json.loads(EMBEDDINGS_CLIENT.encode(answer, embed(input=["a", "b"]), LossReport()))
    assert body == {
        "model": "e",
        "embeddings": [[0.5, -1.0], [2.0, 3.0]],
        "total_duration": 7,
        "load_duration": 0,
        "prompt_eval_count": 4,
    }
    own = EmbeddingResponse(vectors=[], dialect="ollama", extras={"total_duration": 9})
    body = json.loads(EMBEDDINGS_CLIENT.encode(own, embed(), LossReport()))
    assert (body["total_duration"], "prompt_eval_count" in body) == (9, False)
    body = LEGACY_EMBEDDINGS_CLIENT.encode(answer, legacy(prompt="a"), LossReport())
    assert json.loads(body) == {"embedding": [0.5, -1.0]}
    assert LEGACY_EMBEDDINGS_CLIENT.encode(EmbeddingResponse(), legacy(), LossReport()) == b'{"embedding":[]}'


def test_requests_without_input_load_the_model():
    assert is_load(embed())
    assert is_load(embed(input=[]))
    assert is_load(legacy())
    assert not is_load(embed(input="a"))
    assert not is_load(legacy(prompt="a"))
    assert json.loads(load_answer(embed(), "up")) == {"model": "up", "embeddings": []}
    assert json.loads(load_answer(legacy(), "up")) == {"embedding": []}


def request_of(**more):
    return EmbeddingRequest(**{"dialect": "openai_chat", "model": "e", "inputs": ["a"], **more})


def test_requests_are_encoded_for_the_upstream():
    losses = LossReport()
    request = EMBEDDINGS_UPSTREAM.encode(request_of(dimensions=8, task="q", title="t", user="u"), DEPLOYMENT, losses)
    assert request.path == "/api/embed"
    assert json.loads(request.body) == {"model": "minilm", "input": ["a"], "dimensions": 8}
    assert [loss.field for loss in losses.taken()] == ["task", "title", "user"]
    own = request_of(dialect="ollama", extras={"options.num_ctx": 5, "truncate": True})
    body = json.loads(EMBEDDINGS_UPSTREAM.encode(own, DEPLOYMENT, LossReport()).body)
    assert body == {"model": "minilm", "input": ["a"], "options": {"num_ctx": 5}, "truncate": True}


def test_token_ids_are_rejected():
    with pytest.raises(errors.UnsupportedFeature, match="token ids"):
        EMBEDDINGS_UPSTREAM.encode(request_of(inputs=[[1, 2]]), DEPLOYMENT, LossReport())


def test_relayed_requests_keep_their_endpoint():
    assert EMBEDDINGS_UPSTREAM.relay_request(embed(input="a"), DEPLOYMENT).path == "/api/embed"
    request = EMBEDDINGS_UPSTREAM.relay_request(legacy(prompt="a"), DEPLOYMENT)
    assert (request.path, json.loads(request.body)["model"]) == ("/api/embeddings", "minilm")


def test_responses_are_decoded():
    body = b'{"model":"minilm","embeddings":[[1,2.5]],"prompt_eval_count":3,"total_duration":9}'
    assert EMBEDDINGS_UPSTREAM.decode(body, DEPLOYMENT) == EmbeddingResponse(
        model="minilm",
        vectors=[[1.0, 2.5]],
        usage=Usage(input_tokens=3),
        dialect="ollama",
        extras={"total_duration": 9},
    )
    assert EMBEDDINGS_UPSTREAM.decode(b'{"embedding":[1]}', DEPLOYMENT).vectors == [[1.0]]
    assert EMBEDDINGS_UPSTREAM.decode(b'{"embedding":[]}', DEPLOYMENT).vectors == []


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"embeddings":[["a"]]}', b'{"embeddings":"x"}', b'{"embeddings":[null]}']
)
def test_invalid_responses_are_malformed(body):
    with pytest.raises(errors.UpstreamMalformed):
        EMBEDDINGS_UPSTREAM.decode(body, DEPLOYMENT)


def test_errors_are_decoded():
    with pytest.raises(errors.UpstreamUnavailable, match="broke"):
        EMBEDDINGS_UPSTREAM.decode(b'{"error":"broke"}', DEPLOYMENT)
    error = EMBEDDINGS_UPSTREAM.decode_error(404, (), b'{"error":"no"}', deployment="x", clock=FakeClock())
    assert isinstance(error, errors.UpstreamModelMissing)
