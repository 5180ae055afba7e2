"""Requests for the number of input tokens."""

import json

import pytest

from intellirouter.core.errors import InvalidRequest
from intellirouter.dialects.openai_responses import COUNT_CLIENT


def test_a_count_request_is_read_like_a_response_request_and_never_streamed() -> None:
    call = COUNT_CLIENT.decode_request(json.dumps({"model": "m", "input": "hello", "stream": True}).encode())
    assert (call.operation, call.model, call.is_stream) == ("count_tokens", "m", False)
    assert json.loads(COUNT_CLIENT.encode_count(7, call)) == {"object": "response.input_tokens", "input_tokens": 7}


def test_a_count_request_without_input_is_rejected() -> None:
    with pytest.raises(InvalidRequest, match="input"):
        COUNT_CLIENT.decode_request(b'{"model":"m"}')
