"""Ollama's golden cases: requests, responses, streams at any split, errors."""

import json
from itertools import count

import msgspec
import pytest

from intellirouter.core import Call, LossReport
from intellirouter.core.deployment import Deployment, UpstreamAddress
from intellirouter.dialects.ir import Conversation, Event, Response, ToolCall, collect
from intellirouter.dialects.ollama import CLIENT, GENERATE_CLIENT, UPSTREAM
from intellirouter.testing import FakeClock
from tests.support.dialects.golden import load, wire_of
from tests.support.dialects.raising import RaisingDecoder

DEPLOYMENT = Deployment(
    name="local/qwen",
    provider="local",
    vendor="ollama",
    upstream_model="qwen3:8b",
    address=UpstreamAddress(base_url="http://127.0.0.1:11434"),
    dialects=("ollama",),
)


def cases(kind):
    return [pytest.param(case, id=name) for name, case in load("ollama", kind)]


def call_of(body) -> Call:
    client = GENERATE_CLIENT if "prompt" in body else CLIENT
    return client.decode_request(json.dumps(body).encode())


def with_numbered_ids(response: Response) -> Response:
    """Number the generated ids, which are <1>, <2>, … in the fixtures."""
    numbers = count(1)
    for choice in response.choices:
        for part in choice.parts:
            if isinstance(part, ToolCall) and part.id.startswith("call_") and len(part.id) > 30:
                part.id = f"<{next(numbers)}>"
    return response


def decoded(*pieces: bytes) -> Response:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    events += decoder.end()
    return with_numbered_ids(collect(events, "ollama"))


@pytest.mark.parametrize("case", cases("requests"))
def test_a_request_is_decoded(case):
    call = call_of(case["body"])
    client = GENERATE_CLIENT if "prompt" in case["body"] else CLIENT
    assert client.decode(call) == msgspec.convert(case["form"], Conversation)
    assert call.is_stream == case["form"]["is_stream"]
    assert call.stream_type == b"application/x-ndjson"


@pytest.mark.parametrize("case", [each for each in cases("requests") if "prompt" not in each.values[0]["body"]])
def test_a_request_is_the_same_after_encoding_and_decoding(case):
    form = CLIENT.decode(call_of(case["body"]))
    request = UPSTREAM.encode(form, DEPLOYMENT, LossReport())
    assert request.path == "/api/chat"
    again = CLIENT.decode(CLIENT.decode_request(request.body))
    for message in (*form.messages, *again.messages):
        message.extras.pop("tool_call_id", None)
    expected, found = msgspec.to_builtins(form), msgspec.to_builtins(again)
    if "tool_result_image" in case["features"]:
        return  # sent as user, in the next message
    for each in (expected, found):
        for message in each["messages"]:
            for part in message["parts"]:
                part.pop("extras", None)
                if part["type"] == "tool_call":
                    part["arguments"] = json.loads(part["arguments"])
        for tool in each["tools"]:
            tool["parameters"] = tool["parameters"] or {"type": "object", "properties": {}}
            tool.pop("extras")
        for message in each["messages"]:
            message["role"] = message["role"].replace("developer", "system")
        if each["sampling"]["logprobs"]:
            each["sampling"]["top_logprobs"] = each["sampling"]["top_logprobs"] or 0
    assert found == expected


@pytest.mark.parametrize("case", cases("responses"))
def test_a_response_is_decoded(case):
    body = json.dumps(case["body"], ensure_ascii=False, separators=(",", ":")).encode()
    assert with_numbered_ids(UPSTREAM.decode(body, DEPLOYMENT)) == msgspec.convert(case["form"], Response)


@pytest.mark.parametrize("case", cases("streams"))
def test_a_stream_is_decoded_at_any_split(case):
    wire, form = wire_of(case), msgspec.convert(case["form"], Response)
    assert decoded(wire) == form
    for cut in range(1, len(wire)):
        assert decoded(wire[:cut], wire[cut:]) == form
    assert decoded(*(wire[at : at + 1] for at in range(len(wire)))) == form


@pytest.mark.parametrize("case", cases("streams"))
def test_an_incomplete_stream_is_malformed(case):
    whole = [line for line in case["wire"] if '"done":true' not in line.replace(" ", "")]
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    decoder.feed("".join(whole).encode())
    with pytest.raises(Exception, match="ended without a line with `done`"):
        decoder.end()


@pytest.mark.parametrize("case", cases("errors"))
def test_an_error_is_decoded(case):
    body = case["body"] if isinstance(case["body"], str) else json.dumps(case["body"])
    headers = [tuple(each) for each in case["headers"]]
    error = UPSTREAM.decode_error(case["status"], headers, body.encode(), deployment="local/qwen", clock=FakeClock())
    expected = case["error"]
    assert type(error).__name__ == expected["class"]
    assert (error.code, error.status) == (expected["code"], expected["status"])
    assert expected["message_has"] in error.message
    assert error.retry_after_s == expected.get("retry_after_s")
