"""A client's WebSocket: API keys, origins, handshake, close."""

import asyncio
import hashlib
import json
from typing import Any, cast

import pytest

from intellirouter.config import KeySpec, ServerSpec
from intellirouter.core import SocketClosed, errors
from intellirouter.gateway import RequestHead
from intellirouter.gateway.websockets.socket import Socket, chosen_protocol, identify, socket_key
from intellirouter.governance import BrowserAccess, Identity, KeyRing
from intellirouter.pipeline import Generation, Headers
from tests.support.dialects.standard import ENDPOINTS

STYLE = ENDPOINTS["openai_chat"].errors
Fields = tuple[tuple[bytes, bytes], ...]
Offered = tuple[str, ...]


class Connection:
    """Implements `gateway.ServerSocket`. Messages are received in order; an exception is raised."""

    peer = ("192.0.2.7", 40000)

    def __init__(
        self, *messages: str | bytes | SocketClosed, fields: Fields = (), query: bytes = b"", offered: Offered = ()
    ) -> None:
        self.head = RequestHead(
            method="GET", path="/v1/ws", query=query, headers=dict(fields), fields=tuple(fields), is_websocket=True
        )
        self.subprotocols = offered
        self.messages = asyncio.Queue[str | bytes | SocketClosed]()
        for message in messages:
            self.messages.put_nowait(message)
        self.sent: list[Any] = []
        self.is_disconnected = False

    async def accept(self, headers: Headers, subprotocol: str | None) -> None:
        self._send(("accept", headers, subprotocol))

    async def refuse(self, status: int, headers: Headers, body: bytes) -> None:
        self._send(("refuse", status, headers, body))

    async def receive(self) -> str | bytes:
        message = await self.messages.get()
        if isinstance(message, SocketClosed):
            raise message
        return message

    async def send(self, message: str | bytes) -> None:
        self._send(("send", message))

    async def close(self, code: int, reason: str = "") -> None:
        self._send(("close", code, reason))

    def _send(self, message: Any) -> None:
        if self.is_disconnected:
            raise SocketClosed(1006)
        self.sent.append(message)


def build_socket(
    connection: Connection | None = None,
    *,
    headers: dict[str, str] | None = None,
    query: bytes = b"",
    offered: Offered = (),
) -> Socket:
    fields = tuple((name.encode(), value.encode()) for name, value in (headers or {}).items())
    return Socket(connection or Connection(fields=fields, query=query, offered=offered))


class KeyGeneration:
    """A generation with one key."""

    def __init__(self, *, is_required: bool) -> None:
        key = KeySpec(digest=hashlib.sha256(b"sk").digest(), tenant="t", name="ann")
        self._keys = KeyRing([key], is_required=is_required)
        self.browsers = BrowserAccess(ServerSpec(), self._keys)

    def identify(self, key: bytes | None) -> Identity:
        return self._keys.identify(key, 0)


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
    assert who(build_socket(headers={"origin": "http://127.0.0.1:8080", "host": "127.0.0.1:8080"})).key_name is None
    assert who(build_socket(headers={"host": "127.0.0.1:8080"})).key_name is None


def test_subprotocol_with_a_key_is_never_chosen() -> None:
    assert chosen_protocol(build_socket(offered=("openai-insecure-api-key.sk", "realtime")), "realtime") == "realtime"
    assert chosen_protocol(build_socket(offered=("openai-insecure-api-key.sk",)), "realtime") is None


async def test_messages_are_received_until_the_client_closes() -> None:
    connection = Connection("a", b"b", "", SocketClosed(4000, "bye"))
    socket = build_socket(connection)
    assert [await socket.receive(), await socket.receive(), await socket.receive()] == ["a", b"b", ""]
    for _ in range(2):
        with pytest.raises(SocketClosed) as closed:
            await socket.receive()
        assert (closed.value.code, closed.value.reason) == (4000, "bye")
    with pytest.raises(SocketClosed):
        await socket.send("x")
    await socket.close(1000)
    assert connection.sent == []


async def test_refusal_is_an_http_response() -> None:
    connection = Connection()
    socket = build_socket(connection)
    await socket.refuse(errors.Overloaded("Full.", retry_after_s=2), [(b"x-request-id", b"r")], STYLE)
    [(_, status, headers, body)] = connection.sent
    assert status == 503
    assert dict(headers)[b"retry-after"] == b"2"
    assert json.loads(body)["error"]["code"] == "overloaded"
    assert socket.is_closed


async def test_close_reason_is_truncated() -> None:
    connection = Connection()
    await build_socket(connection).close(1000, "ü" * 100)
    assert connection.sent == [("close", 1000, "ü" * 61)]


async def test_disconnect_during_the_handshake_is_reported() -> None:
    connection, disconnected = Connection(), asyncio.Event()
    socket = build_socket(connection)
    socket.watch(disconnected.set)
    connection.messages.put_nowait(SocketClosed(1006))
    async with asyncio.timeout(5):
        await disconnected.wait()
    await socket.stop()


async def test_disconnect_after_accept_is_not_reported_by_watch() -> None:
    connection, disconnected = Connection(), asyncio.Event()
    socket = build_socket(connection)
    socket.watch(disconnected.set)
    await socket.accept([], None)
    connection.messages.put_nowait("first")
    connection.messages.put_nowait(SocketClosed(1000))
    assert await socket.receive() == "first"
    with pytest.raises(SocketClosed):
        await socket.receive()
    assert not disconnected.is_set()
    await socket.stop()


async def test_broken_connection_has_close_code_1006() -> None:
    connection = Connection()
    connection.is_disconnected = True
    for attempt in ("send", "accept"):
        socket = build_socket(connection)
        with pytest.raises(SocketClosed) as closed:
            await (socket.send("x") if attempt == "send" else socket.accept([], None))
        assert closed.value.code == 1006
    await build_socket(connection).refuse(errors.NotFound("x"), [], STYLE)
    await build_socket(connection).close(1000)
