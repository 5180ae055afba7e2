"""Counting a response's input tokens."""

import json

import pytest

from intellirouter.core.errors import InvalidRequest
from intellirouter.dialects.openai_responses import COUNT_CLIENT


def test_a_count_is_asked_for_like_a_response_and_never_streamed() -> None:
    call = COUNT_CLIENT.decode_request(json.dumps({"model": "m", "input": "hello", "stream": True}).encode())
    assert (call.operation, call.model, call.is_stream) == ("count_tokens", "m", False)
    assert json.loads(COUNT_CLIENT.encode_count(7, call)) == {"object": "response.input_tokens", "input_tokens": 7}


def test_a_count_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="input"):
        COUNT_CLIENT.decode_request(b'{"model":"m"}')
