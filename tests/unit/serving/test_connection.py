"""A connection: events in, bytes out. The transport is in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import errors
from intellirouter.gateway import HttpRequest, ServerSocket
from intellirouter.serving import connection, tcp
from intellirouter.serving.connection import Connection
from intellirouter.serving.state import ServerState

Answer = Callable[[HttpRequest], Awaitable[None]]
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"


class Transport:
    """Implements what a connection uses of `asyncio.Transport`."""

    def __init__(self) -> None:
        self.sent = b""
        self.events: list[str] = []
        self.unsent = 0
        self.protocol: Connection | None = None

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return "close" in self.events or "abort" in self.events

    def close(self) -> None:
        self.events.append("close")

    def abort(self) -> None:
        self.events.append("abort")
        if self.protocol is not None:
            protocol, self.protocol = self.protocol, None
            protocol.connection_lost(None)

    def pause_reading(self) -> None:
        self.events.append("pause")

    def resume_reading(self) -> None:
        self.events.append("resume")

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.events.append("eof")

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str) -> Any:
        assert name == "socket"


class World:
    """A server without a network, and one connection of a client."""

    def __init__(self, answer: Answer, **limits: Any) -> None:
        self.requests: list[HttpRequest] = []
        self._answer = answer
        self.state = ServerState(self, ServerSpec(**limits), cast("Any", None))
        self.transport = Transport()
        self.connection = Connection(self.state)
        self.transport.protocol = self.connection
        self.connection.connection_made(cast("Any", self.transport))

    async def serve(self, request: HttpRequest) -> None:
        self.requests.append(request)
        await self._answer(request)

    def cors_lines(self, origin: bytes) -> bytes:
        raise AssertionError(f"These tests send no origin: {origin!r}")

    async def serve_socket(self, socket: ServerSocket) -> None:
        raise AssertionError(f"These tests open no WebSocket: {socket.head.path}")

    async def send(self, *pieces: bytes) -> bytes:
        """Send bytes as the client, and return what it receives until the server waits."""
        self.transport.sent = b""
        for piece in pieces:
            self.connection.data_received(piece)
            await settle()
        return self.transport.sent

    def pass_time(self, seconds: float) -> None:
        """Check the deadlines as if this much time had passed."""
        self.connection.check_deadline(self.state.loop.time() + seconds)


async def settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def echo(request: HttpRequest) -> None:
    body = await request.read_body(100, 5)
    request.respond(200, b"x: y\r\n", request.head.path.encode() + b" " + body)


async def echo_much(request: HttpRequest) -> None:
    request.respond(200, b"", await request.read_body(1_000_000, 5))


async def stream(request: HttpRequest) -> None:
    request.begin(200, b"x: y\r\n")
    await request.write(b"first")
    await asyncio.sleep(0)
    await request.write(b"second")
    await request.end(b"last")


async def hang(request: HttpRequest) -> None:
    request.watch(lambda: None)
    await asyncio.Event().wait()


def body_of(response: bytes) -> bytes:
    return response.partition(b"\r\n\r\n")[2]


async def test_response_has_framing_and_date() -> None:
    response = await World(echo).send(GET)
    assert response.startswith(b"HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 3\r\ndate: ")
    assert body_of(response) == b"/a "


async def test_body_arrives_in_pieces() -> None:
    world = World(echo)
    assert await world.send(POST, b"he") == b""
    assert body_of(await world.send(b"llo")) == b"/a hello"
    assert body_of(await world.send(GET)) == b"/a "


async def test_requests_are_answered_one_after_the_other() -> None:
    gate = asyncio.Event()

    async def wait(request: HttpRequest) -> None:
        if len(world.requests) == 1:
            await gate.wait()
        await echo(request)

    world = World(wait)
    assert await world.send(GET + POST + b"hello" + GET) == b""
    assert len(world.requests) == 1
    assert world.transport.events == ["pause"]
    gate.set()
    await settle()
    assert [body_of(part) for part in world.transport.sent.split(b"HTTP/1.1 200 OK")[1:]] == [
        b"/a ",
        b"/a hello",
        b"/a ",
    ]
    assert world.transport.events[-1] == "resume"


async def test_rest_of_a_body_behind_another_request_is_read() -> None:
    world = World(echo)
    await world.send(GET + POST + b"he")
    assert world.transport.events == ["pause", "resume"]
    assert body_of(await world.send(b"llo")) == b"/a hello"


async def test_next_request_waits_until_the_client_reads() -> None:
    world = World(echo)
    world.connection.pause_writing()
    await world.send(GET + GET)
    assert len(world.requests) == 1
    assert world.transport.events == ["pause"]
    world.connection.resume_writing()
    await settle()
    assert len(world.requests) == 2
    assert world.transport.events == ["pause", "resume"]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (GET, b"transfer-encoding: chunked"),
        (GET.replace(b"1.1", b"1.0"), b"connection: close"),
        (GET.replace(b"GET", b"HEAD"), b"date: "),
    ],
)
async def test_stream_is_framed_for_the_client(head: bytes, expected: bytes) -> None:
    world = World(stream)
    response = await world.send(head)
    assert expected in response
    body = {
        b"GET /a HTTP/1.1": b"5\r\nfirst\r\n6\r\nsecond\r\n4\r\nlast\r\n0\r\n\r\n",
        b"GET /a HTTP/1.0": b"firstsecondlast",
        b"HEAD /a HTTP/1.1": b"",
    }[head.partition(b"\r\n")[0]]
    assert body_of(response) == body
    assert ("close" in world.transport.events) == (b"1.0" in head)


async def test_head_of_a_stream_is_sent_without_waiting_for_its_body() -> None:
    async def begin(request: HttpRequest) -> None:
        request.begin(200, b"")
        await hang(request)

    assert (await World(begin).send(GET)).startswith(b"HTTP/1.1 200 OK")


async def test_client_is_invited_to_send_its_body() -> None:
    world = World(echo)
    head = POST.replace(b"Host", b"Expect: 100-continue\r\nHost")
    assert await world.send(head) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert body_of(await world.send(b"hello")) == b"/a hello"


async def test_response_before_the_body_closes_the_connection_after_lingering() -> None:
    async def refuse(request: HttpRequest) -> None:
        request.respond(401, b"", b"no")

    world = World(refuse)
    response = await world.send(POST, b"he")
    assert b"connection: close" in response
    assert world.transport.events == ["eof"]
    await world.send(b"llo" + GET)
    assert len(world.requests) == 1
    world.pass_time(3)
    assert world.transport.events[-1] == "abort"


async def test_malformed_requests_are_answered_and_closed() -> None:
    for raw in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03", b"GET / HTTP/1.1\nHost: x\n\n"):
        world = World(echo)
        response = await world.send(raw)
        assert response.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"connection: close" in response
        assert b'"code":"invalid_http"' in response
        assert world.requests == []


async def test_malformed_chunks_are_an_error_of_the_request() -> None:
    seen: list[errors.GatewayError] = []

    async def read(request: HttpRequest) -> None:
        with pytest.raises(errors.InvalidRequest) as malformed:
            await request.read_body(100, 5)
        seen.append(malformed.value)
        request.respond(400, b"", b"no")

    world = World(read)
    head = POST.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")
    assert body_of(await world.send(head, b"1\r\na\r\n", b"x\r\n", b"more")) == b"no"
    assert seen[0].code == "invalid_http"


@pytest.mark.parametrize("framing", [b"Content-Length: 500", b"Transfer-Encoding: chunked"])
async def test_too_large_body_is_refused(framing: bytes) -> None:
    async def read(request: HttpRequest) -> None:
        with pytest.raises(errors.BodyTooLarge):
            await request.read_body(100, 5)
        request.respond(413, b"", b"large")

    body = b"80\r\n" + b"a" * 128 + b"\r\n"
    assert body_of(await World(read).send(POST.replace(b"Content-Length: 5", framing), body)) == b"large"


def tiny_chunks(body: bytes, size: int) -> bytes:
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize("is_half_closed", [False, True])
async def test_small_chunks_are_decoded_in_slices_between_which_others_continue(is_half_closed: bool) -> None:
    world = World(echo_much)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    body = bytes(range(97, 123)) * 1000
    other = asyncio.ensure_future(count())
    world.connection.data_received(CHUNKED + tiny_chunks(body, 3) + GET)
    if is_half_closed:
        assert world.connection.eof_received() is True
    for _ in range(10):
        await settle()
    other.cancel()
    assert [body_of(part) for part in world.transport.sent.split(b"HTTP/1.1 200 OK")[1:]] == [body, b""]
    assert turns > len(tiny_chunks(body, 3)) / 16384


async def test_client_that_leaves_while_its_chunks_are_decoded_is_noticed() -> None:
    world = World(echo_much)
    world.connection.data_received(CHUNKED + tiny_chunks(b"abc" * 10_000, 3)[:-5])
    assert world.connection.eof_received() is True
    await settle()
    assert world.transport.events[-1] == "abort"
    assert world.transport.sent == b""


async def test_body_that_does_not_arrive_times_out() -> None:
    async def read(request: HttpRequest) -> None:
        with pytest.raises(errors.RequestTimeout):
            await request.read_body(100, 0.001)
        request.respond(408, b"", b"late")

    world = World(read)
    await world.send(POST)
    await asyncio.sleep(0.01)
    assert body_of(world.transport.sent) == b"late"


async def test_reading_stops_until_the_body_is_wanted() -> None:
    gate = asyncio.Event()

    async def wait(request: HttpRequest) -> None:
        await gate.wait()
        request.respond(200, b"", b"%d" % len(await request.read_body(300_000, 5)))

    world = World(wait)
    await world.send(POST.replace(b"5", b"200000"), b"a" * 70_000)
    assert world.transport.events == ["pause"]
    gate.set()
    await settle()
    assert world.transport.events == ["pause", "resume"]
    assert body_of(await world.send(b"a" * 130_000)) == b"200000"


async def test_disconnect_is_reported_once() -> None:
    calls: list[str] = []

    async def wait(request: HttpRequest) -> None:
        request.watch(lambda: calls.append("gone"))
        await asyncio.Event().wait()

    world = World(wait)
    await world.send(GET)
    world.transport.abort()
    assert calls == ["gone"]
    request = world.requests[0]
    request.watch(lambda: calls.append("late"))
    assert calls == ["gone", "late"]
    assert request.respond(200, b"", b"") is True
    with pytest.raises(errors.ClientDisconnected):
        await request.write(b"x")
    for task in asyncio.all_tasks() - {cast("Any", asyncio.current_task())}:
        task.cancel()
    await settle()


async def test_disconnect_while_the_body_arrives_is_an_error() -> None:
    seen: list[str] = []

    async def read(request: HttpRequest) -> None:
        with pytest.raises(errors.ClientDisconnected):
            await request.read_body(100, 5)
        seen.append("disconnected")

    world = World(read)
    await world.send(POST, b"he")
    assert world.connection.eof_received() is False
    world.transport.abort()
    await settle()
    assert seen == ["disconnected"]


def test_closed_client_is_noticed_within_100_ms() -> None:
    assert connection._PROBE_AFTER_S + connection._PROBE_CHECK_S[0] <= 0.1


async def test_half_closed_client_gets_its_answer() -> None:
    gate = asyncio.Event()

    async def wait(request: HttpRequest) -> None:
        await gate.wait()
        await echo(request)

    world = World(wait)
    await world.send(GET)
    assert world.connection.eof_received() is True
    gate.set()
    await settle()
    assert body_of(world.transport.sent) == b"/a "
    assert world.transport.events == ["close"]


async def test_bug_of_the_application_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: HttpRequest) -> None:
        raise ZeroDivisionError(request.head.path)

    response = await World(fail).send(GET)
    assert response.startswith(b"HTTP/1.1 500 ")
    assert b"ZeroDivisionError" not in response
    assert "Internal error" in caplog.text


async def test_connection_of_an_incomplete_response_is_aborted() -> None:
    async def begin(request: HttpRequest) -> None:
        request.begin(200, b"", 10)
        await request.write(b"half")

    world = World(begin)
    assert (await world.send(GET)).endswith(b"half")
    assert world.transport.events[-1] == "abort"


@pytest.mark.parametrize(
    ("sent", "seconds", "is_closed"),
    [
        (b"", 9, False),
        (b"", 11, True),
        (b"GET", 9, False),
        (b"GET", 11, True),
        (GET, 11, False),
        (GET, 19, False),
        (GET, 21, True),
    ],
)
async def test_deadlines_of_waiting(sent: bytes, seconds: float, *, is_closed: bool) -> None:
    world = World(echo, head_timeout_s=10.0, keep_alive_s=20.0)
    if sent:
        await world.send(sent)
    world.pass_time(seconds)
    assert ("close" in world.transport.events) is is_closed


async def test_client_that_reads_nothing_is_disconnected() -> None:
    world = World(echo, write_timeout_s=10.0)
    await world.send(GET)
    world.transport.unsent = 100
    world.pass_time(0)
    world.pass_time(9)
    world.transport.unsent = 90  # it has read something
    world.pass_time(18)
    world.pass_time(27)
    assert world.transport.events == []
    world.pass_time(29)
    assert world.transport.events == ["abort"]


async def test_idle_connection_is_kept_while_the_client_reads_what_the_system_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queued = [2_000_000, 1_000_000, 1_000_000]
    monkeypatch.setattr(tcp, "queued_bytes", lambda _: queued.pop(0))
    world = World(echo)
    await world.send(GET)
    start_s = asyncio.get_running_loop().time()
    for period in (1, 2):
        world.connection.check_deadline(start_s + period * 1000)
        assert world.transport.events == []
    world.connection.check_deadline(start_s + 3000)  # it has read nothing since
    assert world.transport.events == ["close"]


async def test_no_deadline_applies_while_a_request_is_answered() -> None:
    world = World(hang)
    await world.send(GET)
    world.pass_time(10_000)
    assert world.transport.events == []
    world.connection.cancel()
    await settle()
    assert world.transport.events == ["abort"]


async def test_stopping_server_closes_idle_connections_and_finishes_the_others() -> None:
    idle, gate = World(echo), asyncio.Event()
    await idle.send(GET)
    idle.connection.begin_close()
    assert idle.transport.events == ["close"]

    async def wait(request: HttpRequest) -> None:
        await gate.wait()
        await echo(request)

    busy = World(wait)
    await busy.send(GET)
    busy.connection.begin_close()
    assert busy.transport.events == []
    gate.set()
    await settle()
    assert b"connection: close" in busy.transport.sent
    assert busy.transport.events == ["close"]
