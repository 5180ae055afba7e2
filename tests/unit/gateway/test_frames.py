"""The frames of `/v1/ws`: decoding, encoding, and robustness against anything that a client sends."""

import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import SocketClosed, errors
from intellirouter.gateway.websockets.frames import FrameReply, decode_frame, encode_frame
from intellirouter.gateway.websockets.socket import Socket
from intellirouter.pipeline import Exchange
from tests.support.dialects.standard import ENDPOINTS

HEADERS = [(b"x-request-id", b"req_1")]


class RecordingSocket:
    """A socket that records what is sent, or is closed."""

    def __init__(self, *, is_closed: bool = False) -> None:
        self.sent: list[dict[str, Any]] = []
        self.is_closed = is_closed

    async def send(self, message: str | bytes) -> None:
        if self.is_closed:
            raise SocketClosed(1006)
        self.sent.append(json.loads(message))


class Case:
    """A reply on a recording socket."""

    def __init__(self, *, is_closed: bool = False) -> None:
        self.socket = RecordingSocket(is_closed=is_closed)
        self.released = 0
        self.exchange = Exchange("req_1", "/v1/ws", ENDPOINTS["openai_chat"], started_s=0, started_us=0)
        self.reply = FrameReply(cast("Socket", self.socket), 'a"é', self._release)

    def _release(self) -> None:
        self.released += 1

    @property
    def sent(self) -> list[dict[str, Any]]:
        return self.socket.sent


def test_frame_keeps_the_request_unchanged() -> None:
    frame = decode_frame(b'{"type":"chat.create","id":"1","request":{ "model" : "m" },"later":[1]}')
    assert (frame.type, frame.required_id(""), bytes(frame.request)) == ("chat.create", "1", b'{ "model" : "m" }')


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
def test_invalid_frame_is_rejected_with_a_hint(data: bytes, code: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        decode_frame(data)
    assert caught.value.code == code
    assert caught.value.hint


def test_invalid_frame_is_described_in_plain_english() -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        decode_frame(b'{"id":7}')
    assert caught.value.message == "The frame is not valid: `id` must be a string or null, not an integer."


@pytest.mark.parametrize("text", ['{"type":"cancel"}', '{"type":"cancel","id":null}', '{"type":"cancel","id":""}'])
def test_id_is_required(text: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="'id'") as caught:
        decode_frame(text.encode()).required_id("Send it.")
    assert caught.value.hint == "Send it."


def test_too_long_id_is_rejected_and_not_repeated() -> None:
    frame = decode_frame(json.dumps({"type": "cancel", "id": "x" * 129}).encode())
    with pytest.raises(errors.InvalidRequest, match="129 characters") as caught:
        frame.required_id("")
    assert frame.id is None
    assert "xxx" not in caught.value.message


@given(st.binary())
def test_any_bytes_are_decoded_or_rejected(data: bytes) -> None:
    try:
        decode_frame(data)
    except errors.InvalidRequest as error:
        json.loads(encode_frame("error", None, error=error))


def test_encoded_frames_contain_no_empty_members() -> None:
    assert encode_frame("pong", None) == '{"type":"pong"}'
    error = errors.Overloaded("Full.", retry_after_s=1.25)
    assert json.loads(encode_frame("error", None, error=error)) == {
        "type": "error",
        "id": None,
        "status": 503,
        "error": {
            "message": "Full. Try again later.",
            "type": "api_error",
            "param": None,
            "code": "overloaded",
        },
        "retry_after_s": 1.25,
    }


def test_vendor_error_object_is_passed_on_unchanged() -> None:
    error = errors.UpstreamRejected("no", status=422)
    vendor_error = {"message": "no", "type": "t", "param": None, "code": "c", "odd": [1]}
    error.vendor_body = json.dumps({"x": 1, "error": vendor_error}, indent=1).encode() + b"\n"
    frame = json.loads(encode_frame("error", "a", error=error, headers=HEADERS))
    assert frame["error"] == vendor_error
    assert (frame["status"], frame["headers"]) == (422, {"x-request-id": "req_1"})


async def test_complete_answer_is_one_frame() -> None:
    case = Case()
    await case.reply.complete(200, case.exchange, b'{"choices":[]}\n', b"application/json")
    assert case.sent == [
        {"type": "chat.completed", "id": 'a"é', "headers": {"x-request-id": "req_1"}, "response": {"choices": []}}
    ]
    assert (case.released, case.reply.has_begun) == (1, True)


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_stream_events_become_chunk_frames(size: int) -> None:
    case = Case()
    data = 'data: {"n":1,"t":"ü"}\n\n: comment\n\ndata: {"n":2}\n\n'.encode()
    await case.reply.begin(case.exchange, b"text/event-stream")
    for start in range(0, len(data), size):
        await case.reply.write(data[start : start + size])
    assert case.released == 0
    await case.reply.end(b"data: [DONE]\n\n")
    started, first, second, completed = case.sent
    assert started == {"type": "chat.started", "id": 'a"é', "headers": {"x-request-id": "req_1"}}
    assert first == {"type": "chat.chunk", "id": 'a"é', "chunk": {"n": 1, "t": "ü"}}
    assert second["chunk"] == {"n": 2}
    assert completed == {"type": "chat.completed", "id": 'a"é', "headers": {"x-request-id": "req_1"}}
    assert case.released == 1


UPSTREAM_ERRORS = (
    '{"error":{"message":"gone"}}',
    '{ "error" : {"message":"gone"} }',
    '{"id":"x","choices":[],"error":{"message":"gone"}}',
)


@pytest.mark.parametrize("event", UPSTREAM_ERRORS)
async def test_upstream_error_event_ends_the_stream_with_an_error_frame(event: str) -> None:
    case = Case()
    case.exchange.error = errors.UpstreamUnavailable("gone", status=503)
    await case.reply.begin(case.exchange, b"")
    await case.reply.write(f'data: {{"n":1}}\n\ndata: {event}\n\ndata: {{"n":2}}\n\n'.encode())
    await case.reply.end(b"data: [DONE]\n\n")
    assert [frame["type"] for frame in case.sent] == ["chat.started", "chat.chunk", "error"]
    assert case.sent[-1] == {
        "type": "error",
        "id": 'a"é',
        "status": 503,
        "error": {"message": "gone"},
        "headers": {"x-request-id": "req_1"},
    }
    assert case.released == 1


@pytest.mark.parametrize("event", ['{"error":null,"n":1}', '{"n":1,"choices":[{"error":{"message":"x"}}]}'])
async def test_event_without_an_error_of_its_own_is_a_chunk(event: str) -> None:
    case = Case()
    await case.reply.begin(case.exchange, b"")
    await case.reply.write(f"data: {event}\n\n".encode())
    await case.reply.end(b"data: [DONE]\n\n")
    assert [frame["type"] for frame in case.sent] == ["chat.started", "chat.chunk", "chat.completed"]


async def test_stream_that_failed_without_an_error_event_ends_with_an_error_frame() -> None:
    case = Case()
    case.exchange.error = errors.UpstreamUnavailable("Gone.")
    await case.reply.begin(case.exchange, b"")
    await case.reply.end(b"data: [DONE]\n\n")
    assert [frame["type"] for frame in case.sent] == ["chat.started", "error"]
    assert case.sent[-1]["error"]["message"] == "Gone."


async def test_failure_is_an_error_frame_before_and_after_the_stream_has_begun() -> None:
    for begun in (False, True):
        case = Case()
        if begun:
            await case.reply.begin(case.exchange, b"")
        await case.reply.fail(errors.UpstreamTimeout("late"), case.exchange)
        frame = case.sent[-1]
        assert (frame["type"], frame["status"], frame["error"]["code"]) == ("error", 504, "upstream_timeout")
        assert frame["headers"] == {"x-request-id": "req_1"}


async def test_canceled_request_ends_with_a_canceled_frame() -> None:
    case = Case()
    await case.reply.cancel(case.exchange)
    assert case.sent == [{"type": "chat.canceled", "id": 'a"é', "headers": {"x-request-id": "req_1"}}]


async def test_frames_for_a_closed_socket_are_discarded() -> None:
    case = Case(is_closed=True)
    await case.reply.begin(case.exchange, b"")
    await case.reply.write(b'data: {"n":1}\n\n')
    await case.reply.end(b"")
    assert case.released == 1


@pytest.mark.parametrize("member", ['"request": {"model": "b"}', '"id": "2"', r'"re\u0071uest": {}'])
def test_frame_with_two_members_of_the_same_name_is_refused(member: str) -> None:
    frame = f'{{"type": "chat.create", "id": "1", "request": {{"model": "a", "id": "type"}}, {member}}}'
    with pytest.raises(errors.InvalidRequest) as caught:
        decode_frame(frame.encode())
    assert caught.value.code == "duplicate_parameter"
