"""The frames of `/v1/ws`: what is read, what is written, and that nothing a client sends can break either."""

import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import SocketClosed, errors
from intellirouter.dialects import ENDPOINTS
from intellirouter.gateway.websockets.frames import FrameReply, encode_frame, decode_frame
from intellirouter.gateway.websockets.socket import Socket
from intellirouter.pipeline import Exchange

HEADERS = [(b"x-request-id", b"req_1")]


class Wire:
    """A socket that keeps what is sent, or is gone."""

    def __init__(self, *, is_gone: bool = False) -> None:
        self.sent: list[dict[str, Any]] = []
        self.is_gone = is_gone

    async def send(self, message: str | bytes) -> None:
        if self.is_gone:
            raise SocketClosed(1006)
        self.sent.append(json.loads(message))


class Writing:
    """One request's reply on a wire."""

    def __init__(self, *, is_gone: bool = False) -> None:
        self.wire = Wire(is_gone=is_gone)
        self.released = 0
        self.exchange = Exchange("req_1", "/v1/ws", ENDPOINTS["openai_chat"], started_s=0, started_us=0)
        self.reply = FrameReply(cast("Socket", self.wire), 'a"é', self._release)

    def _release(self) -> None:
        self.released += 1

    @property
    def sent(self) -> list[dict[str, Any]]:
        return self.wire.sent


def test_a_frame_keeps_the_request_verbatim() -> None:
    frame = decode_frame(b'{"type":"chat.create","id":"1","request":{ "model" : "m" },"later":[1]}')
    assert (frame.type, frame.required_id(), bytes(frame.request)) == ("chat.create", "1", b'{ "model" : "m" }')


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"nonsense", "invalid_json"),
        (b"", "invalid_json"),
        (b'{"type":"\xff"}', "invalid_json"),
        (b"[1]", "invalid_frame"),
        (b'"text"', "invalid_frame"),
        (b'{"type":7}', "invalid_frame"),
        (b'{"id":7}', "invalid_frame"),
        (b"[" * 100_000, "invalid_frame"),
    ],
)
def test_what_is_no_frame_is_told(data: bytes, code: str) -> None:
    with pytest.raises(errors.InvalidRequest) as told:
        decode_frame(data)
    assert told.value.code == code
    assert told.value.hint


@pytest.mark.parametrize("text", ['{"type":"cancel"}', '{"type":"cancel","id":null}', '{"type":"cancel","id":""}'])
def test_an_id_is_needed(text: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="'id'"):
        decode_frame(text.encode()).required_id()


def test_a_long_id_is_not_repeated() -> None:
    frame = decode_frame(json.dumps({"type": "cancel", "id": "x" * 129}).encode())
    with pytest.raises(errors.InvalidRequest, match="129 characters") as told:
        frame.required_id()
    assert frame.id is None
    assert "xxx" not in told.value.message


@given(st.binary())
def test_any_bytes_are_a_frame_or_a_mistake(data: bytes) -> None:
    try:
        decode_frame(data)
    except errors.InvalidRequest as told:
        json.loads(encode_frame("error", None, error=told))


def test_frames_have_what_they_need_and_no_more() -> None:
    assert encode_frame("pong", None) == '{"type":"pong"}'
    error = errors.Overloaded("Full.", retry_after_s=1.25)
    assert json.loads(encode_frame("error", None, error=error)) == {
        "type": "error",
        "id": None,
        "status": 503,
        "error": {
            "message": "Full. Try again shortly, or raise the limit that the message names.",
            "type": "api_error",
            "param": None,
            "code": "overloaded",
        },
        "retry_after_s": 1.25,
    }


def test_a_vendors_own_words_are_passed_on() -> None:
    error = errors.UpstreamRejected("no", status=422)
    said = {"message": "no", "type": "t", "param": None, "code": "c", "odd": [1]}
    error.vendor_body = json.dumps({"x": 1, "error": said}, indent=1).encode() + b"\n"
    frame = json.loads(encode_frame("error", "a", error=error, headers=HEADERS))
    assert frame["error"] == said
    assert (frame["status"], frame["headers"]) == (422, {"x-request-id": "req_1"})


async def test_a_whole_answer() -> None:
    writing = Writing()
    await writing.reply.complete(200, writing.exchange, b'{"choices":[]}\n', b"application/json")
    assert writing.sent == [
        {"type": "chat.completed", "id": 'a"é', "headers": {"x-request-id": "req_1"}, "response": {"choices": []}}
    ]
    assert (writing.released, writing.reply.has_begun) == (1, True)


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_stream_however_it_is_split(size: int) -> None:
    writing = Writing()
    data = 'data: {"n":1,"t":"ü"}\n\n: comment\n\ndata: {"n":2}\n\n'.encode()
    await writing.reply.begin(writing.exchange, b"text/event-stream")
    for start in range(0, len(data), size):
        await writing.reply.write(data[start : start + size])
    assert writing.released == 0
    await writing.reply.end(b"data: [DONE]\n\n")
    started, first, second, completed = writing.sent
    assert started == {"type": "chat.started", "id": 'a"é', "headers": {"x-request-id": "req_1"}}
    assert first == {"type": "chat.chunk", "id": 'a"é', "chunk": {"n": 1, "t": "ü"}}
    assert second["chunk"] == {"n": 2}
    assert completed == {"type": "chat.completed", "id": 'a"é', "headers": {"x-request-id": "req_1"}}
    assert writing.released == 1


async def test_a_stream_that_ends_with_the_upstreams_error_is_not_completed() -> None:
    writing = Writing()
    writing.exchange.error = errors.UpstreamUnavailable("gone", status=503)
    await writing.reply.begin(writing.exchange, b"")
    await writing.reply.write(b'data: {"n":1}\n\ndata: {"error":{"message":"gone"}}\n\ndata: {"n":2}\n\n')
    await writing.reply.end(b"data: [DONE]\n\n")
    assert [frame["type"] for frame in writing.sent] == ["chat.started", "chat.chunk", "error"]
    assert writing.sent[-1] == {"type": "error", "id": 'a"é', "status": 503, "error": {"message": "gone"}}
    assert writing.released == 1


async def test_a_failure_is_a_frame_before_and_after_the_beginning() -> None:
    for begun in (False, True):
        writing = Writing()
        if begun:
            await writing.reply.begin(writing.exchange, b"")
        await writing.reply.fail(errors.UpstreamTimeout("late"), writing.exchange)
        frame = writing.sent[-1]
        assert (frame["type"], frame["status"], frame["error"]["code"]) == ("error", 504, "upstream_timeout")
        assert frame["headers"] == {"x-request-id": "req_1"}


async def test_a_cancelled_request_says_so() -> None:
    writing = Writing()
    await writing.reply.cancelled(writing.exchange)
    assert writing.sent == [{"type": "chat.canceled", "id": 'a"é', "headers": {"x-request-id": "req_1"}}]


async def test_nobody_listens_any_more() -> None:
    writing = Writing(is_gone=True)
    await writing.reply.begin(writing.exchange, b"")
    await writing.reply.write(b'data: {"n":1}\n\n')
    await writing.reply.end(b"")
    assert writing.released == 1
