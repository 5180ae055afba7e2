"""A WebSocket: frames in, messages out, and what remains of it. The transport is in memory."""

import asyncio
import gc
import struct
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import pytest

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import SocketClosed
from intellirouter.gateway import HttpRequest, RequestHead, ServerSocket
from intellirouter.serving.frames import UNRESERVED_BYTES
from intellirouter.serving.state import ServerState
from intellirouter.serving.websocket import WebSocket

Serve = Callable[[ServerSocket], Awaitable[None]]
MIB = 1024 * 1024
HANDSHAKE = (
    b"GET /a HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT, PING, PONG = 1, 9, 10


def frame_head(opcode: int, size: int) -> bytes:
    length = struct.pack("!B", 128 | size) if size < 126 else b"\xff" + struct.pack("!Q", size)
    return bytes([128 | opcode]) + length + bytes(4)


def frame(opcode: int, payload: bytes = b"") -> bytes:
    return frame_head(opcode, len(payload)) + payload


class Transport:
    """Implements what a WebSocket uses of `asyncio.Transport`."""

    def __init__(self) -> None:
        self.sent = b""
        self.is_reading = True
        self._is_closed = False
        self._has_ended = False
        self.protocol: WebSocket | None = None

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        self._is_closed = True
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connection_lost(None)

    abort = close

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._has_ended = True

    def has_ended(self) -> bool:
        return self._has_ended

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> None:
        assert name == "socket"


class World:
    """A server without a network, and its WebSockets."""

    def __init__(self, serve: Serve, **limits: Any) -> None:
        self._serve = serve
        self.state = ServerState(self, ServerSpec(**limits), cast("Any", None))

    async def serve(self, request: HttpRequest) -> None:
        raise AssertionError(f"These tests send no request: {request.head.path}")

    def cors_lines(self, origin: bytes) -> bytes:
        raise AssertionError(f"Scripts cannot read the responses to handshakes: {origin!r}")

    async def serve_socket(self, socket: ServerSocket) -> None:
        await self._serve(socket)

    def open(self, data: bytes = b"") -> tuple[WebSocket, Transport]:
        head = RequestHead(method="GET", path="/a", query=b"", headers={}, fields=())
        transport = Transport()
        socket = transport.protocol = WebSocket(self.state, cast("Any", transport), head)
        socket.open(HANDSHAKE + data)
        return socket, transport


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def echo(socket: ServerSocket) -> None:
    await socket.accept([], None)
    while True:
        try:
            message = await socket.receive()
        except SocketClosed:
            return
        await socket.send(str(len(message)))


async def test_frames_behind_the_handshake_are_read_after_it_is_answered() -> None:
    world = World(echo)
    _, transport = world.open(frame(PING, b"p") + frame(TEXT, b"abc"))
    assert (transport.sent, transport.is_reading) == (b"", False)
    await turns()
    head, _, frames = transport.sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert frames == b"\x8a\x01p\x81\x013"
    assert transport.is_reading


async def test_handshake_that_is_not_answered_is_closed() -> None:
    async def forget(socket: ServerSocket) -> None:
        return

    world = World(forget)
    _, transport = world.open()
    await turns()
    assert transport.is_closing()
    assert not world.state.connections


async def test_handshake_that_is_answered_too_late_is_closed() -> None:
    async def wait(socket: ServerSocket) -> None:
        with pytest.raises(SocketClosed):
            await socket.receive()

    world = World(wait)
    socket, transport = world.open(frame(TEXT, b"a"))
    await turns()
    socket.check_deadline(world.state.loop.time() + 100)
    assert not transport.is_closing()
    socket.check_deadline(world.state.loop.time() + 130)
    assert transport.is_closing()


async def test_frames_are_read_a_few_at_a_time() -> None:
    world = World(echo)
    socket, transport = world.open()
    await turns()
    sent = len(transport.sent)
    socket.data_received(frame(PING) * 400)
    first = len(transport.sent) - sent
    assert 0 < first <= 2 * 40
    assert not transport.is_reading
    await turns(30)
    assert len(transport.sent) - sent == 400 * 2
    assert transport.is_reading


async def test_client_that_does_not_read_gets_one_pong() -> None:
    world = World(echo)
    socket, transport = world.open()
    await turns()
    sent = len(transport.sent)
    socket.pause_writing()
    socket.data_received(frame(PING, b"a") * 100 + frame(PING, b"b"))
    await turns()
    assert len(transport.sent) == sent
    socket.resume_writing()
    assert transport.sent[sent:] == b"\x8a\x01b"


async def test_control_frames_are_limited_between_two_sweeps() -> None:
    world = World(echo)
    socket, transport = world.open()
    for _ in range(3):
        await turns()
        socket.data_received(frame(PONG) * 400)
        await turns(30)
        socket.check_deadline(world.state.loop.time())
    assert not transport.has_ended()
    socket.data_received(frame(PONG) * 600)
    await turns(30)
    assert transport.has_ended()
    assert (1008).to_bytes(2) in transport.sent[-100:]


async def test_input_after_the_end_is_discarded_in_turns_up_to_a_limit() -> None:
    world = World(echo)
    socket, transport = world.open()
    await turns()
    socket.data_received(b"\xff" * 1000)
    assert transport.has_ended()
    for _ in range(64 * 4):
        socket.data_received(bytes(MIB // 4))
        assert (transport.is_reading, transport.is_closing()) == (False, False)
        await turns(2)
        assert transport.is_reading
    socket.data_received(b"a")
    assert transport.is_closing()


# -- memory ----------------------------------------------------------------------------------------------------------


async def test_large_messages_share_the_budget_for_bodies_and_wait_for_it() -> None:
    world = World(echo, max_buffered_bytes=MIB)
    first, _ = world.open()
    second, waiting = world.open()
    await turns()
    first.data_received(frame_head(TEXT, MIB))
    await turns()
    second.data_received(frame_head(TEXT, MIB) + b"a" * 1000)
    await turns()
    assert (waiting.is_reading, waiting.is_closing()) == (False, False)
    first.data_received(b"a" * MIB)
    await turns()
    assert waiting.is_reading
    second.data_received(b"a" * (MIB - 1000))
    await turns()
    assert waiting.sent.endswith(str(MIB).encode())
    await asyncio.wait_for(world.state.body_budget.reserve(MIB), 1)  # all of it was released


async def test_message_that_gets_no_memory_closes_the_socket_with_1013(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intellirouter.serving.budget._MAX_WAIT_S", 0.01)
    world = World(echo, max_buffered_bytes=MIB)
    await world.state.body_budget.reserve(MIB)
    socket, transport = world.open()
    await turns()
    socket.data_received(frame_head(TEXT, MIB))
    await asyncio.sleep(0.05)
    assert transport.has_ended()
    assert (1013).to_bytes(2) in transport.sent


async def test_large_message_that_takes_too_long_closes_the_socket() -> None:
    world = World(echo, max_buffered_bytes=MIB)
    socket, transport = world.open()
    await turns()
    socket.data_received(frame_head(TEXT, MIB))
    await turns()
    socket.check_deadline(world.state.loop.time() + 59)
    assert not transport.has_ended()
    socket.check_deadline(world.state.loop.time() + 61)
    assert transport.has_ended()
    assert (1008).to_bytes(2) in transport.sent
    await asyncio.wait_for(world.state.body_budget.reserve(MIB), 1)


@pytest.mark.parametrize("is_granted", [True, False])
async def test_lost_connection_releases_what_a_message_has_reserved(is_granted: bool) -> None:
    world = World(echo, max_buffered_bytes=MIB)
    if not is_granted:
        await world.state.body_budget.reserve(MIB)
    socket, transport = world.open()
    await turns()
    socket.data_received(frame_head(TEXT, MIB))
    await turns()
    transport.close()
    await turns()
    if not is_granted:
        world.state.body_budget.release(MIB)
    await asyncio.wait_for(world.state.body_budget.reserve(MIB), 1)


async def test_message_that_nobody_takes_releases_what_it_has_reserved() -> None:
    async def ignore(socket: ServerSocket) -> None:
        await socket.accept([], None)
        await asyncio.sleep(0.05)

    world = World(ignore, max_buffered_bytes=MIB)
    socket, transport = world.open()
    await turns()
    socket.data_received(frame_head(TEXT, MIB))
    await turns()
    socket.data_received(b"a" * MIB)
    await asyncio.sleep(0.1)
    assert transport.is_closing()
    await asyncio.wait_for(world.state.body_budget.reserve(MIB), 1)


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        frame(TEXT, b"abc") + frame(PING),
        frame_head(TEXT, MIB) + b"a" * UNRESERVED_BYTES,
        frame(8),
        b"\xff\xff" + b"a" * 1000,
    ],
)
async def test_closed_socket_is_freed_without_a_garbage_collection(data: bytes) -> None:
    world = World(echo)
    socket, transport = world.open(data)
    await turns()
    transport.close()
    await turns()
    freed = weakref.ref(socket), weakref.ref(socket._protocol)
    del socket, transport
    await turns()
    assert [each() for each in freed] == [None, None]
