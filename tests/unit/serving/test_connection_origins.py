"""Errors of the server itself have CORS headers, so that a page of a configured origin can read them."""

import asyncio
from typing import Any, cast

import pytest

from intellirouter.config.runtime import ServerSpec
from intellirouter.gateway import HttpRequest, ServerSocket
from intellirouter.serving.connection import Connection
from intellirouter.serving.state import ServerState

APP = b"https://app.example"
CORS_LINE = b"\r\naccess-control-allow-origin: https://app.example\r\n"


class Transport:
    """Collects what is sent. Everything else that a connection does with it has no effect."""

    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data

    def __getattr__(self, name: str) -> Any:
        return lambda *_: False


class Handler:
    """Fails every request."""

    def cors_lines(self, origin: bytes) -> bytes:
        return b"access-control-allow-origin: %b\r\n" % origin if origin == APP else b""

    async def serve(self, request: HttpRequest) -> None:
        raise AssertionError(request.head.path)

    async def serve_socket(self, socket: ServerSocket) -> None:
        raise AssertionError(socket.head.path)


async def response_to(raw: bytes, pieces: int = 1) -> bytes:
    """Send a request in pieces of equal size, and return what has been sent when it is answered."""
    connection = Connection(ServerState(Handler(), ServerSpec(), cast("Any", None)))
    transport = Transport()
    connection.connection_made(cast("Any", transport))
    size = -(-len(raw) // pieces)
    for at in range(0, len(raw), size):
        if not transport.sent:
            connection.data_received(raw[at : at + size])
            for _ in range(8):
                await asyncio.sleep(0)
    return transport.sent


@pytest.mark.parametrize("pieces", [1, 2, 3])
@pytest.mark.parametrize(
    ("lines", "status"), [(b"X-A: " + b"a" * 65536, 431), (b"Expect: nothing", 417), (b"Bad Name: x", 400)]
)
@pytest.mark.parametrize(("name", "origin"), [(b"Origin", APP), (b"origin", APP), (b"Origin", b"null")])
async def test_page_can_read_that_its_request_is_malformed(
    pieces: int, lines: bytes, status: int, name: bytes, origin: bytes
) -> None:
    raw = b"GET /a HTTP/1.1\r\nHost: x\r\n%b: %b\r\n%b\r\n\r\n" % (name, origin, lines)
    response = await response_to(raw, pieces)
    assert response.startswith(b"HTTP/1.1 %d " % status)
    assert (CORS_LINE in response) == (origin == APP)


@pytest.mark.parametrize("origin", [APP, b"null"])
async def test_page_can_read_an_internal_error(origin: bytes, caplog: pytest.LogCaptureFixture) -> None:
    response = await response_to(b"GET /a HTTP/1.1\r\nHost: x\r\nOrigin: %b\r\n\r\n" % origin)
    assert response.startswith(b"HTTP/1.1 500 ")
    assert (CORS_LINE in response) == (origin == APP)
    assert "Internal error" in caplog.text


async def test_request_without_an_origin_gets_no_cors_headers() -> None:
    assert b"access-control" not in await response_to(b"GET /a HTTP/1.1\r\nBad Name: x\r\n\r\n")
