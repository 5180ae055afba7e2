"""Attacks with WebSockets: every handshake is answered, and other clients are served meanwhile."""

import signal
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess, until
from tests.support.http_corpus import connect
from tests.support.http_corpus_load import (
    LEFT_BYTES,
    MIB,
    Target,
    Writer,
    attacked_config,
    bounded_memory,
    is_alive,
    open_descriptors,
    pump,
    read_all,
    resident_bytes,
)
from tests.support.slow.stalls import StallMeter

WS = b"/v1/ws"
ANSWERED_S = 4.0
ATTACK_S = 2.5
MAX_STALL_MS = 100.0
PING, PONG, CLOSE, TEXT, CONTINUATION = 9, 10, 8, 1, 0


def handshake(path: bytes = WS) -> bytes:
    return (
        b"GET %b HTTP/1.1\r\nhost: gateway\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % path
    )


def frame(opcode: int, payload: bytes = b"", *, is_final: bool = True) -> bytes:
    """Return a frame of a client, with a mask of zeros."""
    size, first = len(payload), is_final << 7 | opcode
    if size < 126:
        head = struct.pack("!BB", first, 128 | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, 128 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 128 | 127, size)
    return head + bytes(4) + payload


@pytest.fixture(scope="module")
def target(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    shared = Target(attacked_config(vendor), tmp_path_factory.mktemp("attacks"))
    yield shared
    shared.stop()


@pytest.fixture
def gateway(target: Target) -> Iterator[GatewayProcess]:
    yield target.gateway()
    target.check()


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


# -- the handshake ---------------------------------------------------------------------------------------------------

BEHIND = {
    "a ping": frame(PING, b"A"),
    "a close frame": frame(CLOSE),
    "a request": b"GET /health/live HTTP/1.1\r\nhost: gateway\r\n\r\n",
    "an unmasked frame": b"\x81\x02{}",
    "a reserved bit": b"\xc1\x82\0\0\0\0{}",
    "a message": frame(TEXT, b'{"type":"ping"}'),
    "40,000 pongs": frame(PONG) * 40_000,
}
STATUSES = {b"/nope": b"404", WS: b"101", b"/v1/realtime": b"4", b"/v1/responses": b"426"}


@pytest.mark.parametrize("path", STATUSES)
@pytest.mark.parametrize("name", BEHIND)
def test_handshake_is_answered_before_anything_behind_it(gateway: GatewayProcess, name: str, path: bytes) -> None:
    with connect(gateway.port) as link:
        link.sendall(handshake(path) + BEHIND[name])
        received, is_closed = read_all(link, ANSWERED_S if path != WS else 0.5)
    assert received.startswith(b"HTTP/1.1 " + STATUSES[path]), received[:200]
    if path != WS:
        assert received.count(b"HTTP/1.1 ") == 1
        assert received.endswith(b"}")
        assert is_closed
        return
    _, _, frames = received.partition(b"\r\n\r\n")
    if name == "a ping":
        assert frames == b"\x8a\x01A"
    elif name == "a message":
        assert b'"pong"' in frames
    else:
        assert is_closed
        assert frames[:1] == b"\x88"


def test_sockets_that_break_the_protocol_at_once_are_closed(gateway: GatewayProcess, exits: ExitStack) -> None:
    before = open_descriptors(gateway.process.pid)
    for path in (b"/nope", WS, b"/v1/realtime?model=fake/echo"):
        for _ in range(20):
            exits.enter_context(connect(gateway.port)).sendall(handshake(path) + b"GET /aaaaaaaaa")
    until(lambda: open_descriptors(gateway.process.pid) <= before, "the gateway closes all of them", 6)
    assert is_alive(gateway)


def test_sockets_that_break_the_protocol_or_do_not_close_do_not_hold_the_drain(
    vendor: MockVendor, tmp_path: Path, exits: ExitStack
) -> None:
    with GatewayProcess(attacked_config(vendor, drain_s=20), tmp_path) as gateway:
        for path in (b"/nope", WS, b"/v1/realtime?model=fake/echo"):
            exits.enter_context(connect(gateway.port)).sendall(handshake(path) + b"GET /aaaaaaaaa")
        exits.enter_context(connect(gateway.port)).sendall(handshake())  # it does not answer the close frame
        time.sleep(0.3)
        gateway.signal(signal.SIGTERM)
        assert gateway.wait(8) == 0


# -- floods of frames ------------------------------------------------------------------------------------------------

FLOODS = {
    "pings": (b"", frame(PING) * 40_000, 1008),
    "pongs": (b"", frame(PONG, b"pong") * 30_000, 1008),
    "fragments": (frame(TEXT, b"  ", is_final=False), frame(CONTINUATION, b"  ", is_final=False) * 30_000, 1008),
    "empty fragments": (frame(TEXT, is_final=False), frame(CONTINUATION, is_final=False) * 40_000, 1008),
    "messages": (b"", frame(TEXT, b"{}") * 30_000, None),
    "messages that are pings": (b"", frame(TEXT, b'{"type":"ping"}') * 10_000, None),
}


@pytest.mark.parametrize("name", FLOODS)
def test_flood_of_frames_does_not_stop_others(
    gateway: GatewayProcess, target: Target, exits: ExitStack, name: str
) -> None:
    first, block, code = FLOODS[name]
    meter = exits.enter_context(StallMeter(gateway.port, gateway.process.pid))
    with bounded_memory(gateway, target.idle_bytes) as watch, connect(gateway.port) as link:
        link.sendall(handshake())
        assert link.recv(4096).startswith(b"HTTP/1.1 101 ")
        writer = Writer(link, first, block)
        meter.take()
        pump([writer], watch, ATTACK_S, limit_bytes=20 * MIB)
        if code is not None:
            received, is_closed = read_all(link, 3.0)
            assert is_closed
            assert code.to_bytes(2) in received[-125:]
        server_ms, control_ms = meter.take()
    print(f"{server_ms:.0f} ms, control {control_ms:.0f} ms, {writer.sent_bytes} bytes")
    assert server_ms < control_ms + MAX_STALL_MS


@pytest.mark.parametrize("kind", ["pings", "messages"])
def test_flood_on_many_sockets_whose_answers_are_read(gateway: GatewayProcess, exits: ExitStack, kind: str) -> None:
    meter = exits.enter_context(StallMeter(gateway.port, gateway.process.pid))
    block = frame(PING) * 450 if kind == "pings" else frame(TEXT, b"{}") * 3000
    links = [exits.enter_context(connect(gateway.port)) for _ in range(20)]
    for link in links:
        link.sendall(handshake())
    for link in links:
        assert link.recv(4096).startswith(b"HTTP/1.1 101 ")
    meter.take()
    for link in links:
        link.sendall(block)
    for link in links:
        assert not read_all(link, 0.2)[1]
    server_ms, control_ms = meter.take()
    print(f"{server_ms:.0f} ms, control {control_ms:.0f} ms")
    assert server_ms < control_ms + MAX_STALL_MS


# -- memory ----------------------------------------------------------------------------------------------------------

SIZE = 31 * MIB
HELD = {
    "one frame": (b"\x81\xff" + struct.pack("!Q", SIZE) + bytes(4), b" " * MIB),
    "fragments": (frame(TEXT, is_final=False), frame(CONTINUATION, b" " * MIB, is_final=False)),
    "small fragments": (frame(TEXT, is_final=False), frame(CONTINUATION, b" " * 2500, is_final=False) * 400),
}


@pytest.mark.parametrize("name", HELD)
def test_held_large_messages(gateway: GatewayProcess, target: Target, exits: ExitStack, name: str) -> None:
    """Twenty clients send 30 MiB of a message each, and then nothing."""
    first, block = HELD[name]
    meter = exits.enter_context(StallMeter(gateway.port, gateway.process.pid))
    with bounded_memory(gateway, target.idle_bytes) as watch, exits:
        links = [exits.enter_context(connect(gateway.port)) for _ in range(20)]
        for link in links:
            link.sendall(handshake())
            assert link.recv(4096).startswith(b"HTTP/1.1 101 ")
        meter.take()
        pump([Writer(link, first, block) for link in links], watch, 8, limit_bytes=SIZE - MIB)
        time.sleep(5)
        server_ms, control_ms = meter.take()
        assert is_alive(gateway)
    print(f"{server_ms:.0f} ms, control {control_ms:.0f} ms")
    assert server_ms < control_ms + MAX_STALL_MS


def test_large_messages_that_were_answered_leave_no_memory_while_the_sockets_are_open(
    gateway: GatewayProcess, target: Target, exits: ExitStack
) -> None:
    with bounded_memory(gateway, target.idle_bytes), exits:
        for _ in range(10):
            link = exits.enter_context(connect(gateway.port, 20))
            link.sendall(handshake())
            assert link.recv(4096).startswith(b"HTTP/1.1 101 ")
            link.sendall(frame(TEXT, b'{"type":"ping","x":"' + b"x" * 20 * MIB + b'"}'))
            assert b"pong" in link.recv(4096)
        until(lambda: resident_bytes(gateway.process.pid) - target.idle_bytes < LEFT_BYTES, "it is given back", 10)
