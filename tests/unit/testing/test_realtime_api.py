"""MockVendor's realtime sessions: events, frames, and both over a real socket."""

import base64
import json
import socket
import struct
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from intellirouter.testing import MockVendor
from intellirouter.testing.wires.openai import OpenAiApi, open_session
from intellirouter.testing.wires.realtime import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    Session,
    accept_key,
    frame,
)
from tests.support.mock_vendor.requests import eventually, wire_request

EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
MASK = b"\x01\x02\x03\x04"


def send(session: Session, /, **event: Any) -> list[Any]:
    events = session.take(json.dumps(event))
    for one in events:
        EVENT.validate_python(one)
    return events


def hears(session: Session, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    assert [event["type"] for event in send(session, type="conversation.item.create", item=item)] == [
        "conversation.item.added", "conversation.item.done",
    ]  # fmt: skip


def answered(session: Session, **response: Any) -> tuple[list[str], Any]:
    *events, done, _ = send(session, type="response.create", response=response)
    assert len({event["response_id"] for event in events[1:]}) == 1
    return [event["type"] for event in events], done["response"]


def a_session(**fields: Any) -> Session:
    session = Session("m", 1)
    EVENT.validate_python(session.opening()[0])
    if fields:
        send(session, type="session.update", session={"type": "realtime", **fields})
    return session


def test_text_deltas_and_usage() -> None:
    session = a_session(output_modalities=["text"])
    hears(session, "hello there")
    types, response = answered(session)
    assert types == [
        "response.created", "response.output_item.added", "conversation.item.added", "response.content_part.added",
        *["response.output_text.delta"] * 3, "response.output_text.done", "response.content_part.done",
        "conversation.item.done", "response.output_item.done",
    ]  # fmt: skip
    assert response["output"][0]["content"] == [{"type": "output_text", "text": "m: hello there"}]
    usage = response["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_token_details"] == {"text_tokens": 3, "audio_tokens": 0}


def test_audio_has_a_transcript() -> None:
    session = a_session()
    hears(session, "hello")
    events = send(session, type="response.create")
    audio = b"".join(base64.b64decode(event["delta"]) for event in events
                     if event["type"] == "response.output_audio.delta")  # fmt: skip
    assert len(audio) == 2 * 4800
    response = events[-2]["response"]
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": "m: hello"}]
    assert response["usage"]["output_token_details"]["audio_tokens"] == 2


def test_tools_are_called_and_results_answered() -> None:
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
    session = a_session(output_modalities=["text"], tools=[tool])
    hears(session, 'call weather with {"city": "Oslo"}')
    types, response = answered(session)
    assert "response.function_call_arguments.done" in types
    (call,) = response["output"]
    assert (call["name"], call["arguments"]) == ("weather", '{"city": "Oslo"}')
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    send(session, type="conversation.item.create", item=result)
    assert answered(session)[1]["output"][0]["content"][0]["text"] == "m: sunny"
    without_tools = answered(session, tool_choice="none", input=[], conversation="none")[1]
    assert without_tools["output"][0]["content"][0]["text"] == "m: "


def test_token_limit_makes_the_response_incomplete() -> None:
    session = a_session(output_modalities=["text"], max_output_tokens=2)
    hears(session, "one two three")
    response = answered(session)[1]
    assert (response["status"], response["status_details"]["reason"]) == ("incomplete", "max_output_tokens")


def test_committed_audio_becomes_an_item() -> None:
    session = a_session(output_modalities=["text"])
    send(session, type="input_audio_buffer.append", audio=base64.b64encode(bytes(4800)).decode())
    events = send(session, type="input_audio_buffer.commit")
    assert events[0]["type"] == "input_audio_buffer.committed"
    assert answered(session)[1]["output"][0]["content"][0]["text"] == "m: 4800 bytes of audio"
    assert send(session, type="input_audio_buffer.clear")[0]["type"] == "input_audio_buffer.cleared"
    item = events[0]["item_id"]
    assert send(session, type="conversation.item.retrieve", item_id=item)[0]["item"]["id"] == item
    assert send(session, type="conversation.item.delete", item_id=item)[0]["item_id"] == item


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "nonsense"}, "invalid_value"),
        ({"type": "session.update"}, "missing_required_parameter"),
        ({"type": "session.update", "session": {}}, "missing_required_parameter"),
        ({"type": "session.update", "session": {"type": "realtime", "voice": "x"}}, "unknown_parameter"),
        ({"type": "session.update", "session": {"type": "realtime", "model": "other"}}, "invalid_value"),
        ({"type": "conversation.item.create", "item": {"type": "text"}}, "invalid_value"),
        ({"type": "conversation.item.create", "item": {"type": "message", "role": "user",
          "content": [{"type": "text", "text": "a"}]}}, "invalid_value"),
        ({"type": "conversation.item.delete", "item_id": "x"}, "item_not_found"),
        ({"type": "input_audio_buffer.append", "audio": "é"}, "invalid_value"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
        ({"type": "response.cancel"}, "response_cancel_not_active"),
        ({"type": "response.create", "response": {"tools": [{"type": "function"}]}}, "missing_required_parameter"),
    ],
    ids=str,
)  # fmt: skip
def test_session_continues_after_invalid_events(event: dict[str, Any], code: str) -> None:
    session = a_session()
    (error,) = send(session, event_id="e1", **event)
    assert (error["type"], error["error"]["code"], error["error"]["event_id"]) == ("error", code, "e1")
    assert session.take("not json")[0]["error"]["code"] == "invalid_json"
    hears(session, "still here")


def masked(kind: int, payload: bytes, *, is_last: bool = True) -> bytes:
    size = len(payload)
    head = bytes([(0x80 if is_last else 0) | kind, 0x80 | min(size, 126 if size < 65536 else 127)])
    head += struct.pack("!H", size) if 126 <= size < 65536 else struct.pack("!Q", size) if size > 65535 else b""
    return head + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


@given(st.binary(max_size=300), st.integers(1, 20))
def test_frames_can_be_split_at_any_position(payload: bytes, step: int) -> None:
    data = masked(TEXT, payload, is_last=False) + masked(PING, b"hi") + masked(0, payload)
    reader = FrameReader()
    found = [message for at in range(0, len(data), step) for message in reader.feed(data[at : at + step])]
    assert found == [(PING, b"hi"), (TEXT, payload * 2)]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_of_every_length(size: int) -> None:
    assert FrameReader().feed(masked(TEXT, b"x" * size)) == [(TEXT, b"x" * size)]
    written = frame(TEXT, b"x" * size)
    assert written.endswith(b"x" * size)
    assert len(written) - size == (2 if size < 126 else 4 if size < 65_536 else 10)


def test_invalid_frames() -> None:
    for wrong in (frame(TEXT, b"unmasked"), b"\x81\xff" + b"\xff" * 8 + MASK):
        with pytest.raises(FrameError):
            FrameReader().feed(wrong)


def test_handshake_key_of_the_standard() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3
    request = wire_request("/v1/realtime?model=m", method="GET",
                           sec_websocket_protocol="realtime, openai-insecure-api-key.k")  # fmt: skip
    reply, session = open_session(request, "k")
    assert (reply.status, dict(reply.headers)["sec-websocket-protocol"]) == (101, "realtime")
    assert session is not None
    assert open_session(request, "other")[0].status == 401
    assert open_session(wire_request("/v1/realtime", method="GET"), None)[0].status == 400


def test_client_secrets() -> None:
    body = {"session": {"type": "realtime", "model": "rt"}}
    reply = OpenAiApi().answer(wire_request("/v1/realtime/client_secrets", body))
    document = json.loads(reply.parts[0])
    assert document["value"].startswith("ek_")
    assert document["session"]["model"] == "rt"


class Talk:
    """A minimal WebSocket client."""

    def __init__(self, vendor: MockVendor, fault: str = "", path: str = "/v1/realtime?model=m") -> None:
        at = urlsplit(vendor.url)
        self.socket = socket.create_connection((at.hostname, at.port), timeout=10)
        head = [f"GET {path} HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket",
                "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]  # fmt: skip
        head += [f"x-mock-fault: {fault}"] if fault else []
        self.socket.sendall("\r\n".join(head).encode() + b"\r\n\r\n")
        self.data = b""
        self.head = self._until(b"\r\n\r\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.data:
            piece = self.socket.recv(65536)
            assert piece, "closed"
            self.data += piece
        found, _, self.data = self.data.partition(mark)
        return found

    def _take(self, size: int) -> bytes:
        while len(self.data) < size:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self.data += piece
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def recv(self) -> tuple[int, bytes]:
        kind, size = self._take(2)
        if size == 126:
            (size,) = struct.unpack("!H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._take(8))
        return kind & 0x0F, self._take(size)

    def event(self) -> Any:
        kind, payload = self.recv()
        assert kind == TEXT
        return json.loads(payload)

    def send(self, **event: Any) -> None:
        self.socket.sendall(masked(TEXT, json.dumps(event).encode()))


def test_conversation_over_a_socket(vendor: MockVendor) -> None:
    with Talk(vendor) as talk:
        assert talk.head.startswith(b"HTTP/1.1 101 ")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in talk.head
        assert talk.event()["type"] == "session.created"
        talk.send(type="session.update", session={"type": "realtime", "output_modalities": ["text"]})
        assert talk.event()["session"]["output_modalities"] == ["text"]
        talk.socket.sendall(masked(PING, b"you there?"))
        assert talk.recv() == (PONG, b"you there?")
        talk.socket.sendall(masked(CLOSE, struct.pack("!H", 1000)))
        assert talk.recv() == (CLOSE, struct.pack("!H", 1000))
        with pytest.raises(EOFError):
            talk.recv()
    (request,) = vendor.requests()
    assert (request["status"], request["model"], request["is_aborted"]) == (101, "m", False)
    assert '"session.update"' in request["body"]


@pytest.mark.parametrize(
    ("fault", "status"), [("error;status=503", 503), ("rate_limit", 429), ("nonsense", 400), ("", 101)]
)
def test_handshake_faults(vendor: MockVendor, fault: str, status: int) -> None:
    with Talk(vendor, fault) as talk:
        assert talk.head.startswith(f"HTTP/1.1 {status} ".encode())


def test_unknown_paths_and_models_are_rejected(vendor: MockVendor) -> None:
    for path, status in (("/v1/responses", 404), ("/v1/realtime?model=no-such-x", 404), ("/v1/realtime", 400)):
        with Talk(vendor, path=path) as talk:
            assert talk.head.startswith(f"HTTP/1.1 {status} ".encode())


def test_faults_within_a_conversation(vendor: MockVendor) -> None:
    with Talk(vendor, "error_in_stream;after_events=1") as talk:
        talk.event()
        talk.send(type="response.create")
        assert [talk.event()["type"] for _ in range(2)] == ["error", "response.created"]
    with Talk(vendor, "drop;at=events;after_events=1") as talk:
        talk.event()
        talk.send(type="response.create")
        with pytest.raises(EOFError):
            talk.recv()
    with Talk(vendor, "malformed") as talk:
        talk.event()
        talk.send(type="response.create")
        with pytest.raises(ValueError, match="Expecting"):
            talk.event()
    with Talk(vendor) as talk:
        talk.socket.sendall(frame(TEXT, b"unmasked"))
        talk.event()
        assert talk.recv()[1][:2] == struct.pack("!H", 1002)


def test_disconnected_client_is_recorded(vendor: MockVendor) -> None:
    with Talk(vendor) as talk:
        talk.event()
    eventually(lambda: vendor.requests()[0]["is_aborted"])
    eventually(lambda: vendor.open_connections() == 0)
