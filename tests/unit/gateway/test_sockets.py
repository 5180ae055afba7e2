"""A client's WebSocket over ASGI: API keys, origins, handshake, close."""

import asyncio
import json
from typing import Any, cast

import pytest

from intellirouter.core import SocketClosed, errors
from intellirouter.gateway.websockets.socket import Socket, chosen_protocol, identify, socket_key
from intellirouter.governance import ANONYMOUS, Identity
from intellirouter.pipeline import Generation
from tests.support.dialects.standard import ENDPOINTS

STYLE = ENDPOINTS["openai_chat"].errors


class Server:
    """The ASGI server."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = asyncio.Queue[dict[str, Any]]()
        for message in messages:
            self.messages.put_nowait(message)
        self.sent: list[Any] = []
        self.is_disconnected = False

    async def receive(self) -> dict[str, Any]:
        return await self.messages.get()

    async def send(self, message: Any) -> None:
        if self.is_disconnected:
            raise OSError
        self.sent.append(message)


def build_socket(
    server: Server | None = None,
    *,
    headers: dict[str, str] | None = None,
    query: bytes = b"",
    offered: tuple[str, ...] = (),
) -> Socket:
    pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "websocket", "headers": pairs, "query_string": query, "subprotocols": list(offered)}
    server = server or Server()
    return Socket(scope, server.receive, server.send)


class KeyGeneration:
    """A generation with one key."""

    def __init__(self, *, is_required: bool) -> None:
        self._is_required = is_required

    def identify(self, key: bytes | None) -> Identity:
        if key == b"sk":
            return Identity("t", "ann")
        if self._is_required:
            raise errors.Unauthenticated("no")
        return ANONYMOUS


def who(socket: Socket, *, is_required: bool = False) -> Identity:
    return identify(cast("Generation", KeyGeneration(is_required=is_required)), socket, socket_key(socket))


@pytest.mark.parametrize(
    "socket",
    [
        build_socket(headers={"authorization": "Bearer sk"}),
        build_socket(headers={"api-key": "sk"}),
        build_socket(query=b"model=m&key=sk"),
        build_socket(offered=("realtime", "openai-insecure-api-key.sk", "openai-beta.realtime-v1")),
        build_socket(offered=("intellirouter.v1", "intellirouter-key.sk")),
    ],
)
def test_key_is_found_in_header_query_and_subprotocol(socket: Socket) -> None:
    assert who(socket, is_required=True).key_name == "ann"


def test_handshake_without_a_key_is_rejected_if_keys_are_required() -> None:
    assert socket_key(build_socket(offered=("realtime",))) is None
    with pytest.raises(errors.Unauthenticated):
        who(build_socket(), is_required=True)


def test_web_page_of_another_origin_needs_a_key() -> None:
    foreign = {"origin": "https://evil.example", "host": "127.0.0.1:8080"}
    with pytest.raises(errors.Forbidden, match="other origins"):
        who(build_socket(headers=foreign))
    with pytest.raises(errors.Forbidden):
        who(build_socket(headers={**foreign, "origin": "null"}))
    assert who(build_socket(headers={**foreign, "authorization": "Bearer sk"})).key_name == "ann"
    assert who(build_socket(headers={"origin": "http://127.0.0.1:8080", "host": "127.0.0.1:8080"})) is ANONYMOUS
    assert who(build_socket(headers={"host": "127.0.0.1:8080"})) is ANONYMOUS


def test_subprotocol_with_a_key_is_never_chosen() -> None:
    assert chosen_protocol(build_socket(offered=("openai-insecure-api-key.sk", "realtime")), "realtime") == "realtime"
    assert chosen_protocol(build_socket(offered=("openai-insecure-api-key.sk",)), "realtime") is None


async def test_messages_are_received_until_the_client_closes() -> None:
    server = Server(
        {"type": "websocket.receive", "text": "a"},
        {"type": "websocket.receive", "bytes": b"b", "text": None},
        {"type": "websocket.receive", "text": ""},
        {"type": "websocket.disconnect", "code": 4000, "reason": "bye"},
    )
    socket = build_socket(server)
    assert [await socket.receive(), await socket.receive(), await socket.receive()] == ["a", b"b", ""]
    for _ in range(2):
        with pytest.raises(SocketClosed) as closed:
            await socket.receive()
        assert (closed.value.code, closed.value.reason) == (4000, "bye")
    with pytest.raises(SocketClosed):
        await socket.send("x")
    await socket.close(1000)
    assert server.sent == []


async def test_refusal_is_an_http_response() -> None:
    server = Server()
    socket = build_socket(server)
    await socket.refuse(errors.Overloaded("Full.", retry_after_s=2), [(b"x-request-id", b"r")], STYLE)
    start, body = server.sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
    assert dict(start["headers"])[b"retry-after"] == b"2"
    assert dict(start["headers"])[b"content-length"] == b"%d" % len(body["body"])
    assert json.loads(body["body"])["error"]["code"] == "overloaded"
    assert socket.is_closed


async def test_close_reason_is_truncated() -> None:
    server = Server()
    await build_socket(server).close(1000, "ü" * 100)
    assert server.sent == [{"type": "websocket.close", "code": 1000, "reason": "ü" * 61}]


async def test_disconnect_during_the_handshake_is_reported() -> None:
    server, disconnected = Server(), asyncio.Event()
    socket = build_socket(server)
    socket.watch(disconnected.set)
    server.messages.put_nowait({"type": "websocket.disconnect", "code": 1006})
    async with asyncio.timeout(5):
        await disconnected.wait()
    await socket.stop()


async def test_disconnect_after_accept_is_not_reported_by_watch() -> None:
    server, disconnected = Server(), asyncio.Event()
    socket = build_socket(server)
    socket.watch(disconnected.set)
    await socket.accept([], None)
    server.messages.put_nowait({"type": "websocket.receive", "text": "first"})
    server.messages.put_nowait({"type": "websocket.disconnect", "code": 1000})
    assert await socket.receive() == "first"
    with pytest.raises(SocketClosed):
        await socket.receive()
    assert not disconnected.is_set()
    await socket.stop()


async def test_broken_connection_has_close_code_1006() -> None:
    server = Server()
    server.is_disconnected = True
    for attempt in ("send", "accept"):
        socket = build_socket(server)
        with pytest.raises(SocketClosed) as closed:
            await (socket.send("x") if attempt == "send" else socket.accept([], None))
        assert closed.value.code == 1006
    await build_socket(server).refuse(errors.NotFound("x"), [], STYLE)
    await build_socket(server).close(1000)
