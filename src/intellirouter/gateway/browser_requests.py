"""Requests of web pages: refuses those that may not use the gateway, answers preflights, adds CORS headers."""

from collections.abc import Callable, Coroutine
from typing import Any

from intellirouter.core import PeerAddress, errors, new_id
from intellirouter.gateway.http import HttpRequest, header_lines
from intellirouter.pipeline import Generation

Serve = Callable[[HttpRequest], Coroutine[Any, Any, object]]
Refuse = Callable[[HttpRequest, errors.GatewayError], Coroutine[Any, Any, object]]


def serve_checked(
    request: HttpRequest, generation: Generation, serve: Serve, refuse: Refuse
) -> Coroutine[Any, Any, object]:
    """Serve a request if the rules for web pages permit it, with CORS headers if its origin is configured."""
    access = generation.browsers
    if access is None:
        return serve(request)
    head = request.head
    if (preflight := access.preflight_headers(head.method, head.headers)) is not None:
        return _answer_preflight(request, preflight)
    if (cors := access.cors_headers(head.headers)) is not None:
        request = CorsRequest(request, header_lines(cors))
    try:
        access.check(head.method, head.headers)
    except errors.GatewayError as error:
        return refuse(request, error)
    return serve(request)


async def _answer_preflight(request: HttpRequest, headers: list[tuple[bytes, bytes]]) -> None:
    request_id = [(b"x-request-id", new_id("req_").encode())]
    if not request.respond(204, header_lines(request_id + headers), b""):
        await request.flush()


class CorsRequest:
    """Implements `HttpRequest`: another request, whose response gets additional headers."""

    __slots__ = (
        "_lines",
        "_request",
        "end",
        "flush",
        "head",
        "keep_alive",
        "ping",
        "read_body",
        "take_body",
        "watch",
        "write",
    )

    def __init__(self, request: HttpRequest, lines: bytes) -> None:
        self._request = request
        self._lines = lines
        self.head = request.head
        self.watch = request.watch
        self.take_body = request.take_body
        self.read_body = request.read_body
        self.flush = request.flush
        self.keep_alive = request.keep_alive
        self.ping = request.ping
        self.write = request.write
        self.end = request.end

    @property
    def scheme(self) -> str:
        return self._request.scheme

    @property
    def peer(self) -> PeerAddress | None:
        return self._request.peer

    @property
    def is_received(self) -> bool:
        return self._request.is_received

    def respond(self, status: int, header_lines: bytes, body: bytes) -> bool:
        return self._request.respond(status, header_lines + self._lines, body)

    def begin(self, status: int, header_lines: bytes, length: int | None = None) -> None:
        self._request.begin(status, header_lines + self._lines, length)

    def abort(self) -> None:
        self._request.abort()
