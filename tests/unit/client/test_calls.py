import json
from typing import Any

import pytest

from intellirouter.client import calls


def body(request: calls.Outgoing) -> Any:
    assert request.body is not None
    return json.loads(request.body)


def test_a_prompt_becomes_a_user_message() -> None:
    request = calls.chat("Hi", "auto", {"temperature": 0, "seed": None})
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert body(request) == {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}


def test_messages_pass_as_they_are() -> None:
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    assert body(calls.chat(talk, "m", {}))["messages"] == talk


def test_a_stream_asks_for_usage_unless_told_otherwise() -> None:
    asked = calls.stream("Hi", "m", {})
    declined = calls.stream("Hi", "m", {"stream_options": {"include_usage": False}})
    assert asked.is_stream
    assert body(asked)["stream"] is True
    assert body(asked)["stream_options"] == {"include_usage": True}
    assert body(declined)["stream_options"] == {"include_usage": False}


def test_stream_is_a_method_not_a_field() -> None:
    with pytest.raises(TypeError, match=r"call \.stream"):
        calls.chat("Hi", "m", {"stream": True})


def test_filters_that_are_not_set_are_left_out() -> None:
    assert calls.requests({"limit": 5, "model": None, "errors": False}).path == "/api/v1/requests?limit=5"
    assert calls.requests({"errors": True, "model": "a/b c"}).path == "/api/v1/requests?errors=1&model=a%2Fb+c"
    assert calls.requests({}).path == "/api/v1/requests"


def test_an_id_cannot_leave_its_path() -> None:
    assert calls.request("../health?x").path == "/api/v1/requests/..%2Fhealth%3Fx"


def test_embeddings_take_one_text_or_several() -> None:
    assert body(calls.embeddings("a", "e", {}))["input"] == "a"
    assert body(calls.embeddings(("a", "b"), "e", {"dimensions": 4})) == {
        "model": "e",
        "input": ["a", "b"],
        "encoding_format": "float",
        "dimensions": 4,
    }
