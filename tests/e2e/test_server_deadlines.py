"""Slow, silent and leaving clients of a running gateway: what they hold ends in time, and leaves no errors."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess, until
from tests.support.gateway.raw_http import RawConnection
from tests.support.http_corpus import (
    ANSWER_DEADLINE_S,
    CRLF,
    chat_body,
    chunk,
    connect,
    get,
    post,
    post_sized,
    reset,
    split_answer,
)
from tests.support.http_corpus_load import MIB, Target, attacked_config, read_all, upload

TE = b"Transfer-Encoding: chunked"
TIMEOUT_S = 1.0
EARLIEST_S = 0.8 * TIMEOUT_S
LATEST_S = TIMEOUT_S + 4
"""Timers of the gateway may be coarse, and the machine may be busy."""
BODY = chat_body("fake/echo")
LEAVE_TIMES = 8


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def impatient(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    timeouts = ("head_timeout_s", "body_timeout_s", "write_timeout_s", "keep_alive_s")
    config = attacked_config(vendor, **dict.fromkeys(timeouts, TIMEOUT_S))
    target = Target(config, tmp_path_factory.mktemp("deadlines"))
    yield target
    target.stop()


@pytest.fixture
def gateway(impatient: Target, exits: ExitStack) -> Iterator[GatewayProcess]:
    yield impatient.gateway()
    exits.close()
    impatient.check()


def until_closed(link: socket.socket, more: bytes = b"", interval_s: float = 0.1) -> tuple[bytes, float]:
    """Send `more` byte by byte until the connection is closed. Returns what was received, and when it was closed."""
    started_s = time.monotonic()
    received = bytearray()
    link.settimeout(interval_s)
    position = 0
    while time.monotonic() - started_s < LATEST_S:
        try:
            if more:
                link.sendall(more[position % len(more) :][:1])
                position += 1
            piece = link.recv(65536)
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            piece = b""
        if not piece:
            return bytes(received), time.monotonic() - started_s
        received += piece
    raise AssertionError(f"The connection is still open after {LATEST_S:g} s. Received: {bytes(received)[:200]!r}")


SLOW_HEADS = {
    "nothing": (b"", b""),
    "silence in the request line": (b"GET /hea", b""),
    "silence in the fields": (b"GET /health HTTP/1.1\r\nHost: ga", b""),
    "silence before the last line": (get()[:-2], b""),
    "a slow request line": (b"GET /", b"x"),
    "slow fields": (b"GET /health HTTP/1.1\r\nHost: gateway\r\n", b"X-A: b\r\n"),
    "slow empty lines": (CRLF, CRLF),
}


@pytest.mark.parametrize("name", SLOW_HEADS)
@pytest.mark.parametrize("is_first", [True, False], ids=["first request", "second request"])
def test_slow_head_is_closed(gateway: GatewayProcess, exits: ExitStack, name: str, is_first: bool) -> None:
    first, more = SLOW_HEADS[name]
    link = exits.enter_context(connect(gateway.port))
    if not is_first:
        link.sendall(get())
        assert link.recv(65536).startswith(b"HTTP/1.1 200 ")
    link.sendall(first)
    received, seconds = until_closed(link, more)
    if name == "slow empty lines" and received.startswith(b"HTTP/1.1 400 "):
        return  # more than the few that are tolerated
    assert seconds >= EARLIEST_S
    assert received == b"" or received.startswith(b"HTTP/1.1 408 ")


SLOW_BODIES = {
    "no body": (post(b"Content-Length: 100"), b""),
    "a silent body": (post_sized(BODY)[:-5], b""),
    "a slow body": (post(b"Content-Length: 100"), b" "),
    "no chunk": (post(TE), b""),
    "a silent chunk": (post(TE, body=b"10\r\n"), b""),
    "slow chunks": (post(TE), b"1\r\n \r\n"),
    "a silent chunk size": (post(TE, body=b"00"), b""),
    "a slow chunk extension": (post(TE, body=b"1;"), b"a"),
    "slow trailers": (post(TE, body=chunk(BODY) + b"0\r\n"), b"X-A: b\r\n"),
    "an upload": (post(b"Content-Length: 100000", path=b"/v1/files"), b" "),
}


@pytest.mark.parametrize("name", SLOW_BODIES)
def test_slow_body_times_out(gateway: GatewayProcess, exits: ExitStack, name: str) -> None:
    first, more = SLOW_BODIES[name]
    if name == "an upload":
        first = first.replace(b"application/json", b"multipart/form-data; boundary=b")
    link = exits.enter_context(connect(gateway.port))
    link.sendall(first)
    received, seconds = until_closed(link, more)
    assert seconds >= EARLIEST_S
    answer, rest = split_answer(received)
    assert (answer.status, rest) == (408, b"")
    assert answer.headers["connection"] == "close"
    assert answer.json()["error"]["message"]


def test_idle_connection_is_closed(gateway: GatewayProcess, exits: ExitStack) -> None:
    link = exits.enter_context(connect(gateway.port))
    for _ in range(3):  # each request starts the time again
        link.sendall(get())
        assert link.recv(65536).startswith(b"HTTP/1.1 200 ")
        time.sleep(TIMEOUT_S / 3)
    received, seconds = until_closed(link)
    assert received == b""
    assert seconds >= EARLIEST_S - TIMEOUT_S / 3


@pytest.mark.parametrize("is_streamed", [False, True])
def test_answer_may_take_longer_than_the_timeouts(
    gateway: GatewayProcess, vendor: MockVendor, is_streamed: bool
) -> None:
    vendor.fault("slow_first_token", match={"model": "patience"}, delay_s=2 * TIMEOUT_S)
    with RawConnection(gateway.port) as link:
        link.send(post_sized(chat_body("mock/patience", stream=is_streamed)))
        assert link.answer().status == 200
        link.send(get())
        assert link.answer().status == 200


UNREAD: dict[str, Callable[[GatewayProcess], bytes]] = {
    "download": lambda gateway: get(upload(gateway)),
    "whole answer": lambda _: post_sized(chat_body("fake/echo", "x" * 12 * MIB)),
    "stream": lambda _: post_sized(chat_body("mock/gen-200000", stream=True)),
    "many pages": lambda _: get(b"/openapi.json") * 200,
}


@pytest.mark.parametrize("name", UNREAD)
def test_answer_that_is_not_read_is_closed(gateway: GatewayProcess, exits: ExitStack, name: str) -> None:
    request = UNREAD[name](gateway)
    link = exits.enter_context(connect(gateway.port))
    link.sendall(request)
    until(lambda: is_established(gateway, link), "the gateway has the connection")
    until(lambda: is_abandoned(gateway, link), "the gateway closes the connection", LATEST_S + 3)


def is_abandoned(gateway: GatewayProcess, link: socket.socket) -> bool:
    """Return whether the gateway has closed or reset its end, as the system reports it without reading.

    While the table of connections changes, a row can be missing from one reading of it.
    """
    return not any(is_established(gateway, link) for _ in range(5))


def is_established(gateway: GatewayProcess, link: socket.socket) -> bool:
    ends = [f"0100007F:{port:04X}" for port in (gateway.port, link.getsockname()[1])]
    with Path("/proc/net/tcp").open() as table:
        rows = [line.split() for line in table]
    return any(row[1:4] == [*ends, "01"] for row in rows)


def test_client_that_reads_slowly_but_steadily_gets_everything(gateway: GatewayProcess, exits: ExitStack) -> None:
    """The deadline is for progress, not for the whole answer."""
    size = 20 * MIB
    path = upload(gateway, size)
    link = exits.enter_context(connect(gateway.port))
    # With a large buffer, the system tells the server only every few megabytes that the client has read something.
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
    link.sendall(get(path))
    received = 0
    deadline_s = time.monotonic() + 3 * TIMEOUT_S
    while time.monotonic() < deadline_s and received < 0.8 * size:
        received += len(link.recv(200_000))
        time.sleep(0.03)
    link.sendall(get(b"/health/live", b"Connection: close"))
    data, is_closed = read_all(link, ANSWER_DEADLINE_S)
    assert is_closed
    assert received + len(data) > size
    assert data.endswith(b"}")


LEAVE = {
    "before the request": (b"", False),
    "in the request line": (b"GET /hea", False),
    "in the fields": (get()[:-3], False),
    "before the body": (post(b"Content-Length: 100"), False),
    "in the body": (post_sized(BODY)[:-5], False),
    "in a chunk": (post(TE, body=chunk(BODY)[:-9]), False),
    "in a chunk size": (post(TE, body=b"5"), False),
    "in the trailers": (post(TE, body=chunk(BODY) + b"0\r\nX-A"), False),
    "behind a request": (post_sized(BODY), False),
    "behind a streamed request": (post_sized(chat_body("fake/echo", stream=True)), False),
    "behind an upload": (post(b"Content-Length: 5", path=b"/v1/files", body=b"hello"), False),
    "behind pipelined requests": (get() * 20 + post_sized(BODY) * 20, False),
    "while the upstream is asked": (post_sized(chat_body("mock/leave-slow")), False),
    "while the upstream is asked for a stream": (post_sized(chat_body("mock/leave-slow", stream=True)), False),
    "in a whole answer": (post_sized(chat_body("fake/echo", "x" * 3_000_000)), True),
    "in a long stream": (post_sized(chat_body("mock/gen-20000", stream=True)), True),
    "in pages": (get(b"/openapi.json") * 30, True),
    "behind an answer": (get(), True),
    "in a malformed request": (get(b"/health", b"X A: b"), False),
    "behind an expectation": (post(b"Content-Length: 9", b"Expect: 100-continue"), True),
}


@pytest.mark.parametrize("is_reset", [False, True], ids=["close", "reset"])
@pytest.mark.parametrize("name", LEAVE)
def test_client_that_leaves_causes_no_error(
    gateway: GatewayProcess, vendor: MockVendor, name: str, is_reset: bool
) -> None:
    """The teardown checks that nothing stays in flight, and that there is no traceback and no internal error."""
    vendor.fault("slow", match={"model": "leave-slow"}, delay_s=0.05)
    data, is_answered = LEAVE[name]
    for turn in range(LEAVE_TIMES):
        link = connect(gateway.port)
        link.sendall(data)
        if is_answered:
            assert link.recv(1)
        else:
            time.sleep(0.003 * turn)
        with contextlib.suppress(OSError):
            if is_reset:
                reset(link)
            else:
                link.close()


def test_client_that_leaves_at_any_moment_of_a_whole_answer_causes_no_error(
    gateway: GatewayProcess, vendor: MockVendor
) -> None:
    """The upstream answers at the moment at which the client leaves."""
    vendor.fault("slow", match={"model": "leave-race"}, delay_s=0.03)
    request = post_sized(chat_body("mock/leave-race"))
    for turn in range(40):
        link = connect(gateway.port)
        link.sendall(request)
        time.sleep(0.02 + 0.001 * turn)
        if turn % 2:
            reset(link)
        else:
            link.close()
