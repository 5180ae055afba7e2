"""Attacks on a running gateway: its memory stays bounded, and other clients are served.

Memory is the resident memory over that of the idle process: at most 150 MiB during an attack, and at most 30 MiB ten
seconds after it.
"""

import contextlib
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess, until
from tests.support.gateway.raw_http import RawConnection
from tests.support.http_corpus import CRLF, chat_body, chunk, connect, get, head, post, post_sized
from tests.support.http_corpus_load import (
    MIB,
    Target,
    Writer,
    attacked_config,
    bounded_memory,
    cpu_seconds,
    is_alive,
    open_descriptors,
    pump,
    read_all,
    resident_bytes,
    upload,
    warmed_up,
)

TE = b"Transfer-Encoding: chunked"
DRAIN_S = 1.0
MARGIN_S = 10.0
ATTACK_S = 2.5
IDLE_CONNECTIONS = 2000
IDLE_CONNECTION_BYTES = 30_000


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def target(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    shared = Target(attacked_config(vendor), tmp_path_factory.mktemp("attacks"))
    yield shared
    shared.stop()


@pytest.fixture
def gateway(vendor: MockVendor, target: Target, exits: ExitStack) -> Iterator[GatewayProcess]:
    vendor.fault("slow", match={"model": "attack-slow"}, delay_s=ATTACK_S)
    yield target.gateway()
    exits.close()
    target.check()


@pytest.fixture
def own_gateway(vendor: MockVendor, tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway for one test, which may end it."""
    with GatewayProcess(attacked_config(vendor), tmp_path) as running:
        yield running


def opened(gateway: GatewayProcess, exits: ExitStack, count: int, first: bytes, block: bytes) -> list[Writer]:
    return [Writer(exits.enter_context(connect(gateway.port)), first, block) for _ in range(count)]


UNREAD = {
    "pages": get(b"/openapi.json") * 500,
    "whole answers": post_sized(chat_body("fake/echo", "x" * 20_000)) * 20,
    "streams": post_sized(chat_body("fake/echo", "x " * 2_000, stream=True)) * 20,
    "errors": get(b"/v1/nothing") * 1000,
}


@pytest.mark.parametrize("name", UNREAD)
def test_pipelined_requests_whose_answers_are_not_read(
    gateway: GatewayProcess, target: Target, exits: ExitStack, name: str
) -> None:
    with bounded_memory(gateway, target.idle_bytes) as watch, exits:
        pump(opened(gateway, exits, 4, b"", UNREAD[name]), watch, ATTACK_S)
        assert is_alive(gateway)


BEHIND = {
    "header lines": (b"GET /health/live HTTP/1.1\r\nHost: gateway\r\n", b"X-A: " + b"y" * 5000 + CRLF),
    "one header line": (b"GET /health/live HTTP/1.1\r\nHost: gateway\r\nX-A: ", b"y" * 65536),
    "requests": (b"", get() * 1000),
    "a body": (post(b"Content-Length: 30000000"), b" " * 65536),
    "chunks": (post(TE), chunk(b" " * 65536)),
    "trailers": (post(TE) + b"0\r\n", b"X-A: b\r\n" * 5000),
    "empty lines": (b"", CRLF * 30_000),
}


@pytest.mark.parametrize("name", BEHIND)
def test_data_behind_a_request_that_is_being_answered(
    gateway: GatewayProcess, target: Target, exits: ExitStack, name: str
) -> None:
    first, block = BEHIND[name]
    with bounded_memory(gateway, target.idle_bytes) as watch, exits:
        slow = post_sized(chat_body("mock/attack-slow")) + first
        pump(opened(gateway, exits, 4, slow, block), watch, ATTACK_S, limit_bytes=100 * MIB)
        assert is_alive(gateway)


ENDLESS = {
    "trailers": (post(TE) + b"0\r\n", b"X-A: b\r\n" * 5000),
    "trailers behind a body": (post(TE, body=chunk(chat_body("fake/echo"))) + b"0\r\n", b"X-A: " + b"b" * 1000 + CRLF),
    "one trailer": (post(TE) + b"0\r\nX-A: ", b"b" * 65536),
    "one chunk extension": (post(TE) + b"1;a=", b"b" * 65536),
    "chunk extensions": (post(TE), chunk(b" ", b";a=" + b"b" * 4000) * 20),
    "extensions of the last chunk": (post(TE) + b"0;", b"a;" * 30_000),
    "header lines": (b"GET / HTTP/1.1\r\nHost: gateway\r\n", b"X-A: b\r\n" * 5000),
    "target": (b"GET /", b"x" * 65536),
    "method": (b"", b"G" * 65536),
    "empty lines": (b"", CRLF * 30_000),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_part_of_a_request_is_rejected(
    gateway: GatewayProcess, target: Target, exits: ExitStack, name: str
) -> None:
    """The connection is closed long before the timeouts, with at most one answer, which is an error."""
    first, block = ENDLESS[name]
    with bounded_memory(gateway, target.idle_bytes) as watch:
        [writer] = opened(gateway, exits, 1, first, block)
        pump([writer], watch, 8, limit_bytes=200 * MIB, stops_when_answered=True)
        received, is_closed = read_all(writer.link, 2)
    assert is_closed
    assert writer.sent_bytes < 20 * MIB
    assert received.count(b"HTTP/1.1 ") <= 1
    assert received == b"" or received.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_held_large_bodies(gateway: GatewayProcess, target: Target, exits: ExitStack, framing: str) -> None:
    """Twenty clients send 30 MB each, all but the last byte."""
    size = 30_000_000
    with bounded_memory(gateway, target.idle_bytes) as watch, exits:
        first = post(b"Content-Length: %d" % size) if framing == "sized" else post(TE)
        block = b" " * 65536 if framing == "sized" else chunk(b" " * 65536)
        pump(opened(gateway, exits, 20, first, block), watch, 6, limit_bytes=size - 200_000)
        assert is_alive(gateway)
        with RawConnection(gateway.port) as link:
            link.send(post_sized(chat_body("fake/echo")))
            assert link.answer().status == 200


def test_moderately_large_bodies_at_once_are_all_answered(own_gateway: GatewayProcess) -> None:
    """The limit on waiting bodies does not deadlock clients that each hold a part of it."""
    body = chat_body("fake/unknown", "x" * 4_000_000)
    statuses: list[int] = []

    def send() -> None:
        with RawConnection(own_gateway.port, timeout_s=20) as link:
            link.send(post_sized(body))
            statuses.append(link.answer().status)

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(statuses) == 20
    assert set(statuses) <= {404, 429, 503}
    assert statuses.count(404) >= 5


def test_downloads_that_are_not_read(gateway: GatewayProcess, target: Target, exits: ExitStack) -> None:
    path = upload(gateway)
    with bounded_memory(gateway, target.idle_bytes) as watch, exits:
        pump(opened(gateway, exits, 10, get(path), get(path)), watch, ATTACK_S)
        assert is_alive(gateway)


@pytest.mark.parametrize("kinds", [("download", "whole answers", "stream"), ("head", "body", "trailers", "silence")])
def test_clients_that_do_not_read_or_finish_do_not_hold_the_drain(
    vendor: MockVendor, own_gateway: GatewayProcess, exits: ExitStack, kinds: tuple[str, ...]
) -> None:
    vendor.fault("slow_drip", match={"model": "gen-200000"}, delay_s=0.0)
    requests = {
        "whole answers": post_sized(chat_body("fake/echo", "x" * 1_000_000)) * 10,
        "stream": post_sized(chat_body("mock/gen-200000", stream=True)),
        "head": get()[:-2],
        "body": post_sized(chat_body("fake/echo"))[:-1],
        "trailers": post(TE) + b"0\r\nX-A: b\r\n",
        "silence": b"",
    }
    if "download" in kinds:
        requests["download"] = get(upload(own_gateway))
    for kind in kinds * 2:
        link = exits.enter_context(connect(own_gateway.port))
        link.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            link.sendall(requests[kind])
    time.sleep(0.3)
    own_gateway.signal(signal.SIGTERM)
    started_s = time.monotonic()
    assert own_gateway.wait(DRAIN_S + MARGIN_S) == 0
    assert time.monotonic() - started_s < DRAIN_S + MARGIN_S


def test_idle_connections_are_small(gateway: GatewayProcess, target: Target, exits: ExitStack) -> None:
    """2,000 connections, first without a request, then after one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = IDLE_CONNECTIONS + 500
    if hard < needed:
        pytest.skip(f"This test needs {needed} file descriptors.")
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (needed, hard))
    idle_bytes = target.idle_bytes
    before = open_descriptors(gateway.process.pid)
    links = [exits.enter_context(connect(gateway.port)) for _ in range(IDLE_CONNECTIONS)]
    until(lambda: open_descriptors(gateway.process.pid) >= before + IDLE_CONNECTIONS, "all are accepted")
    assert (resident_bytes(gateway.process.pid) - idle_bytes) / IDLE_CONNECTIONS <= IDLE_CONNECTION_BYTES
    for link in links:
        link.sendall(get())
    for link in links:
        assert link.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert (resident_bytes(gateway.process.pid) - idle_bytes) / IDLE_CONNECTIONS <= IDLE_CONNECTION_BYTES
    exits.close()
    until(lambda: open_descriptors(gateway.process.pid) < before + 20, "all are closed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_exhausted_file_descriptors_are_reported_once_and_recovered_from(
    own_gateway: GatewayProcess, exits: ExitStack
) -> None:
    gateway = own_gateway
    pid = gateway.process.pid
    warmed_up(gateway)
    assert gateway.get("/api/v1/requests").status_code == 200
    upload(gateway, 1000)  # the parts of the gateway that open files later have done so
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (64, 64))
    links = [exits.enter_context(connect(gateway.port)) for _ in range(100)]

    def reports() -> list[str]:
        lines = gateway.stderr().splitlines()
        found = [line for line in lines if "descriptor" in line.lower() or "open files" in line.lower()]
        return [line for line in found if ("WARNING" in line or "ERROR" in line) and "connection" in line.lower()]

    until(reports, "the gateway reports that file descriptors are exhausted", 5)
    before_s = cpu_seconds(pid)
    time.sleep(1)
    assert cpu_seconds(pid) - before_s < 0.5  # it does not try again and again
    links[0].sendall(get())
    assert links[0].recv(65536).startswith(b"HTTP/1.1 200 ")  # accepted connections are served
    exits.close()
    until(lambda: is_answered(gateway), "new connections are served again", 5)
    assert len(reports()) == 1
    assert "limit" in gateway.stderr().lower()  # the hint: raise the limit, such as with `ulimit -n`


def is_answered(gateway: GatewayProcess) -> bool:
    try:
        return is_alive(gateway)
    except OSError:
        return False


def test_every_kind_of_body_limit_still_permits_ordinary_requests(gateway: GatewayProcess) -> None:
    """The control of the attacks: small chunks, extensions and trailers in ordinary amounts."""
    body = chat_body("fake/echo", "x" * 10_000)
    small = b"".join(chunk(body[at : at + 1]) for at in range(len(body)))
    extended = b"".join(chunk(body[at : at + 2000], b";signature=" + b"0" * 64) for at in range(0, len(body), 2000))
    trailers = b"0\r\n" + b"X-Checksum: 0123456789abcdef\r\n" * 20 + CRLF
    with RawConnection(gateway.port) as link:
        for sent in (small + trailers, extended + trailers, extended + b"0;last\r\n\r\n"):
            link.send(post(TE, body=sent))
            assert link.answer().status == 200
        link.send(head(b"GET /health/live HTTP/1.1", b"Host: gateway", *[b"Cookie: " + b"c" * 4000] * 15))
        assert link.answer().status == 200
