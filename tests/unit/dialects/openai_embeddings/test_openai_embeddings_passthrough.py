"""The passthrough of embeddings: validated requests, edits of the model, decoded answers."""

import json
from typing import Any

import pytest

from intellirouter.core import Usage, errors
from intellirouter.dialects.openai_embeddings import EmbeddingsPassthrough
from intellirouter.testing import FakeClock

codec = EmbeddingsPassthrough()


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hello", **members}).encode()


@pytest.mark.parametrize(
    "value",
    ["hello", ["a", "b"], [1, 2, 3], [[1, 2], [3]], [""]],
    ids=["text", "texts", "tokens", "lists", "empty_text"],
)
@pytest.mark.parametrize("encoding", [None, "float", "base64"])
def test_a_request_is_decoded(value: Any, encoding: str | None) -> None:
    sent = body(input=value, encoding_format=encoding, dimensions=8, user="u", unknown=1)
    call = codec.decode_request(sent)
    assert (call.operation, call.model, call.body, call.is_stream) == ("embeddings", "m", sent, False)
    assert call.needs == {"embeddings"}


@pytest.mark.parametrize(
    ("members", "code", "param"),
    [
        ({"model": ""}, "invalid_value", "model"),
        ({"model": "x" * 600}, "string_above_max_length", "model"),
        ({"model": 5}, "invalid_type", "model"),
        ({"input": ""}, "invalid_value", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": None}, "invalid_type", "input"),
        ({"input": {}}, "invalid_type", "input"),
        ({"input": [1.5]}, "invalid_type", "input[0]"),
        ({"input": [["a"]]}, "invalid_type", "input[0][0]"),
        ({"encoding_format": "hex"}, "invalid_value", "encoding_format"),
        ({"encoding_format": 1}, "invalid_type", "encoding_format"),
        ({"dimensions": "8"}, "invalid_type", "dimensions"),
    ],
)
def test_an_invalid_request_is_rejected_with_code_and_param(members: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        codec.decode_request(body(**members))
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize("missing", ["model", "input"])
def test_missing_members_are_named(missing: str) -> None:
    document = json.loads(body())
    del document[missing]
    with pytest.raises(errors.InvalidRequest) as caught:
        codec.decode_request(json.dumps(document).encode())
    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", missing)


def test_only_the_model_is_replaced() -> None:
    sent = b'{ "input" : ["{\\"model\\":1}"], "model" : "m" , "x":1e999}'
    call = codec.decode_request(sent)
    assert codec.edited(call, "m") is sent
    assert codec.edited(call, "up/1") == sent.replace(b'"m"', b'"up/1"')


def test_usage_is_decoded() -> None:
    answer = codec.decode_response(
        b'{"data":[{"embedding":[0.1],"x":1e999}],"usage":{"prompt_tokens":4,"total_tokens":4}}'
    )
    assert (answer.usage, answer.finish_reason) == (Usage(input_tokens=4), None)
    assert codec.decode_response(b'{"data":[]}').usage is None


def test_invalid_utf8_is_malformed_at_any_place() -> None:
    assert codec.decode_response('{"data":[],"model":"é"}'.encode()).usage is None
    with pytest.raises(errors.UpstreamMalformed):
        codec.decode_response(b'{"data":[],"model":"\xff"}')


@pytest.mark.parametrize("text", [b"", b"<html>", b"[]", b"{}", b'{"data":null}', b'{"data":5}', b"[" * 100_000])
def test_invalid_answers_are_malformed(text: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed):
        codec.decode_response(text)


def test_an_error_with_status_200_is_a_failure() -> None:
    with pytest.raises(errors.UpstreamUnavailable, match="it broke"):
        codec.decode_response(b'{"error":{"message":"it broke"}}')


def test_embeddings_cannot_be_streamed() -> None:
    with pytest.raises(errors.InvalidRequest, match="cannot be streamed"):
        codec.relay(codec.decode_request(body()))


def test_errors_are_decoded_from_openais_envelope() -> None:
    error = codec.decode_error(429, [("retry-after", "3")], b"", deployment="d", clock=FakeClock())
    assert isinstance(error, errors.UpstreamRateLimited)
    assert error.retry_after_s == 3.0


@pytest.mark.parametrize(
    ("value", "count"), [("a", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2), (["a"] * 3, 3)]
)
def test_answer_without_one_vector_per_input_is_malformed(value: Any, count: int) -> None:
    call = codec.decode_request(json.dumps({"model": "m", "input": value}).encode())
    vectors = [{"index": at, "embedding": [0.5]} for at in range(4)]
    for size in range(5):
        body = json.dumps({"object": "list", "data": vectors[:size]}).encode()
        if size == count:
            assert codec.decode_response(body, call).body is None
        else:
            with pytest.raises(errors.UpstreamMalformed, match=f"{size} vectors for {count} inputs"):
                codec.decode_response(body, call)
