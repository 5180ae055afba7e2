"""Embeddings between dialects: encodings, order, usage and rejected requests."""

import base64
import json
import math
import struct
from typing import Any

import jsonschema_rs
import pytest

from intellirouter.core import Deployment, LossReport, UpstreamAddress, Usage, errors
from intellirouter.core.vendor import Quirks
from intellirouter.dialects.ir import EmbeddingRequest, EmbeddingResponse
from intellirouter.dialects.openai_embeddings import EMBEDDINGS_CLIENT, EMBEDDINGS_UPSTREAM, EmbeddingsPassthrough
from intellirouter.dialects.routes.embeddings import EmbeddingsTranslation
from tests.support.dialects.openai_schemas import validator

PASSTHROUGH = EmbeddingsPassthrough()
TRANSLATION = EmbeddingsTranslation(EMBEDDINGS_CLIENT, EMBEDDINGS_UPSTREAM)


def deployment(*refuses: str) -> Deployment:
    return Deployment(
        name="up",
        provider="p",
        vendor="v",
        upstream_model="um",
        address=UpstreamAddress(base_url="http://x"),
        quirks=Quirks(refuses=frozenset(refuses)),
    )


def call_of(**members: Any) -> Any:
    return EMBEDDINGS_CLIENT.decode_request(json.dumps({"model": "m", "input": ["a", "b"], **members}).encode())


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def answer(*vectors: Any, **members: Any) -> bytes:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return json.dumps({"object": "list", "data": data, "model": "um", **members}).encode()


@pytest.mark.parametrize(
    ("value", "inputs", "is_single"),
    [
        ("a", ["a"], True),
        (["a"], ["a"], False),
        (["a", ""], ["a", ""], False),
        ([1, 2], [[1, 2]], True),
        ([[1], [2, 3]], [[1], [2, 3]], False),
    ],
)
def test_all_forms_of_input_are_decoded(value: Any, inputs: list[Any], is_single: bool) -> None:
    request = EMBEDDINGS_CLIENT.decode(call_of(input=value, dimensions=2, user="u", encoding_format="base64", extra=1))
    assert (request.inputs, request.is_single, request.dimensions, request.user, request.encoding) == (
        inputs,
        is_single,
        2,
        "u",
        "base64",
    )
    assert request.extras == {"extra": 1}


def test_mixed_inputs_are_rejected() -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        EMBEDDINGS_CLIENT.decode(call_of(input=["a", 1]))
    assert caught.value.param == "input"


def test_base64_is_little_endian_32_bit_floats_for_every_provider() -> None:
    found = EmbeddingResponse(vectors=[[0.5, -2.0]], usage=Usage(input_tokens=3))
    body = json.loads(EMBEDDINGS_CLIENT.encode(found, call_of(encoding_format="base64"), LossReport()))
    assert body["data"] == [{"object": "embedding", "index": 0, "embedding": packed(0.5, -2.0)}]
    assert base64.b64decode(body["data"][0]["embedding"]) == b"\x00\x00\x00\x3f\x00\x00\x00\xc0"
    assert body["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert body["model"] == "m"


def test_responses_with_floats_match_the_schema() -> None:
    losses, call = LossReport(), call_of()
    body = json.loads(EMBEDDINGS_CLIENT.encode(EmbeddingResponse(vectors=[[0.5], [1]]), call, losses))
    assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] == call.estimated_input_tokens() > 0
    assert [str(loss) for loss in losses.taken()] == ['usage;how=emulated;as="estimate"']
    validator("CreateEmbeddingResponse").validate(body)
    with pytest.raises(jsonschema_rs.ValidationError):
        validator("CreateEmbeddingResponse").validate({**body, "usage": None})


def test_a_number_that_is_too_large_is_malformed() -> None:
    with pytest.raises(errors.UpstreamMalformed, match="too large"):
        EMBEDDINGS_CLIENT.encode(EmbeddingResponse(vectors=[[1e300]]), call_of(encoding_format="base64"), LossReport())


def test_vectors_are_sorted_by_index() -> None:
    data = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]}]
    found = EMBEDDINGS_UPSTREAM.decode(json.dumps({"data": data}).encode(), deployment())
    assert found.vectors == [[0.0], [1.0]]


@pytest.mark.parametrize("indices", [(0, 0), (None, None), (True, 0), ("1", "0")])
def test_invalid_indices_do_not_change_the_order(indices: tuple[Any, Any]) -> None:
    data = [{"index": index, "embedding": [float(place)]} for place, index in enumerate(indices)]
    found = EMBEDDINGS_UPSTREAM.decode(json.dumps({"data": data}).encode(), deployment())
    assert found.vectors == [[0.0], [1.0]]


def test_base64_vectors_are_decoded() -> None:
    found = EMBEDDINGS_UPSTREAM.decode(answer(packed(0.5, 1.5)), deployment())
    assert found.vectors == [[0.5, 1.5]]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"data": 5}',
        b'{"data": [5]}',
        answer(None),
        answer([]),
        answer(["a"]),
        answer([None]),
        answer([True]),
        answer("%%%"),
        answer("AAA="),
        answer(packed(math.nan)),
        answer(packed(math.inf)),
    ],
)
def test_invalid_vectors_are_malformed(body: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed):
        EMBEDDINGS_UPSTREAM.decode(body, deployment())


def test_an_error_with_status_200_is_raised() -> None:
    with pytest.raises(errors.UpstreamUnavailable, match="busy"):
        EMBEDDINGS_UPSTREAM.decode(b'{"error": "busy"}', deployment())


def test_requests_of_other_dialects_are_encoded_or_reported() -> None:
    request = EmbeddingRequest(
        dialect="gemini", model="m", inputs=["a"], is_single=True, task="QUERY", title="T", user="u"
    )
    losses = LossReport()
    sent = EMBEDDINGS_UPSTREAM.encode(request, deployment("user"), losses)
    assert (sent.path, json.loads(sent.body)) == ("/embeddings", {"model": "um", "input": "a"})
    assert {loss.field for loss in losses.taken()} == {"task", "title", "user"}
    shorter = EmbeddingRequest(dialect="gemini", model="m", inputs=["a"], dimensions=5)
    with pytest.raises(errors.UnsupportedFeature) as caught:
        EMBEDDINGS_UPSTREAM.encode(shorter, deployment("dimensions"), LossReport())
    assert caught.value.param == "dimensions"


def test_the_translation_between_dialects() -> None:
    call = call_of(encoding_format="base64", unknown=1)
    request = TRANSLATION.encode_request(call, deployment())
    assert json.loads(request.body)["input"] == ["a", "b"]
    assert [str(loss) for loss in request.losses] == ["unknown;how=dropped"]
    converted = TRANSLATION.decode_response(answer([0.5], [1.5], usage={"prompt_tokens": 2}), call, deployment())
    assert converted.usage == Usage(input_tokens=2)
    assert converted.body is not None
    assert [each["embedding"] for each in json.loads(converted.body)["data"]] == [packed(0.5), packed(1.5)]
    with pytest.raises(errors.UpstreamMalformed, match="1 vectors for 2 inputs"):
        TRANSLATION.decode_response(answer([0.5]), call, deployment())
    with pytest.raises(errors.InvalidRequest):
        TRANSLATION.relay(call, deployment())


@pytest.mark.parametrize(("encoding", "sent"), [("base64", [0.5]), ("float", packed(0.5)), (None, packed(0.5))])
def test_a_relayed_answer_with_the_wrong_encoding_is_converted(encoding: str | None, sent: Any) -> None:
    """After it has requested base64, the SDK for Node decodes numbers as if they were base64."""
    converted = PASSTHROUGH.decode_response(answer(sent), call_of(encoding_format=encoding, input="a"), deployment())
    assert converted.body is not None
    assert json.loads(converted.body)["data"][0]["embedding"] == (packed(0.5) if encoding == "base64" else [0.5])


@pytest.mark.parametrize(("encoding", "sent"), [("base64", packed(0.5)), ("float", [0.5]), (None, [0.5])])
def test_a_relayed_answer_with_the_requested_encoding_is_unchanged(encoding: str | None, sent: Any) -> None:
    assert (
        PASSTHROUGH.decode_response(answer(sent), call_of(encoding_format=encoding, input="a"), deployment()).body
        is None
    )


def test_relayed_requests_omit_members_that_the_vendor_rejects() -> None:
    call = call_of(encoding_format="base64", user="u")
    request = PASSTHROUGH.encode_request(call, deployment("encoding_format", "user"))
    assert json.loads(request.body) == {"model": "um", "input": ["a", "b"]}
    assert [loss.field for loss in request.losses] == ["user"]
    with pytest.raises(errors.UnsupportedFeature):
        PASSTHROUGH.encode_request(call_of(dimensions=3), deployment("dimensions"))
