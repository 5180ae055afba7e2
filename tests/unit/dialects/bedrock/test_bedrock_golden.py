"""Reads the golden cases of Bedrock, and splits their streams at every byte."""

import base64
import json

import msgspec
import pytest

from intellirouter.core import errors
from intellirouter.dialects.bedrock import UPSTREAM
from intellirouter.dialects.ir import Event, Response, StreamEnded, collect
from intellirouter.testing import FakeClock
from tests.support.dialects.deployments import build_deployment
from tests.support.dialects.golden import load
from tests.support.dialects.raising import RaisingDecoder

DEPLOYMENT = build_deployment(
    "bedrock",
    "bedrock",
    "anthropic.claude-sonnet-4-6",
    "https://bedrock-runtime.us-east-1.amazonaws.com",
    name="aws/claude",
    provider="aws",
)


def cases(kind):
    return [pytest.param(case, id=name) for name, case in load("bedrock", kind)]


def frames_of(case) -> list[bytes]:
    return [base64.b64decode(frame) for frame in case["wire"]]


def events_of_wire(*pieces: bytes) -> list[Event]:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    return events + decoder.end()


@pytest.mark.parametrize("case", cases("responses"))
def test_a_response_is_read(case):
    body = json.dumps(case["body"], ensure_ascii=False).encode()
    assert UPSTREAM.decode(body, DEPLOYMENT) == msgspec.convert(case["form"], Response)


@pytest.mark.parametrize("case", cases("streams"))
def test_a_stream_is_read_wherever_it_is_split(case):
    wire, expected = b"".join(frames_of(case)), msgspec.convert(case["form"], Response)
    events = events_of_wire(wire)
    assert collect(events, "bedrock") == expected
    assert [event for event in events if isinstance(event, StreamEnded)] == [events[-1]]
    for cut in range(1, len(wire)):
        assert events_of_wire(wire[:cut], wire[cut:]) == events
    assert events_of_wire(*(wire[at : at + 1] for at in range(len(wire)))) == events


@pytest.mark.parametrize("case", cases("streams"))
def test_a_stream_that_is_cut_off_is_an_error(case):
    frames = frames_of(case)
    last = next(at for at, frame in enumerate(frames) if b"messageStop" in frame)
    with pytest.raises(errors.UpstreamMalformed, match="without `messageStop`"):
        events_of_wire(*frames[:last])
    with pytest.raises(errors.UpstreamMalformed, match="within a message"):
        events_of_wire(*frames[:last], frames[last][:-1])


@pytest.mark.parametrize("case", cases("errors"))
def test_an_error_gets_its_class(case):
    body = case["body"] if isinstance(case["body"], str) else json.dumps(case["body"])
    headers = [tuple(each) for each in case["headers"]]
    error = UPSTREAM.decode_error(case["status"], headers, body.encode(), deployment="aws/claude", clock=FakeClock())
    expected = case["error"]
    assert type(error).__name__ == expected["class"]
    assert (error.code, error.status) == (expected["code"], expected["status"])
    assert expected["message_has"] in error.message
    assert error.retry_after_s == expected.get("retry_after_s")


@pytest.mark.parametrize("name", ["ValidationException", ""])
def test_status_401_is_an_error_of_the_credential(name):
    headers = [("x-amzn-errortype", name)]
    error = UPSTREAM.decode_error(401, headers, b"{}", deployment="aws/claude", clock=FakeClock())
    assert isinstance(error, errors.UpstreamAuthFailed)


@pytest.mark.parametrize("case", cases("streams"))
def test_a_stream_that_continues_after_its_end_is_malformed(case):
    frames = frames_of(case)
    last = next(at for at, frame in enumerate(frames) if b"messageStop" in frame)
    delta = next((frame for frame in frames if b"contentBlockDelta" in frame), frames[last])
    with pytest.raises(errors.UpstreamMalformed, match="continues after `messageStop`"):
        events_of_wire(*frames[: last + 1], delta)
