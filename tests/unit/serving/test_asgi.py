"""An ASGI application behind the server: scope, messages, disconnects."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from intellirouter.core import errors
from intellirouter.serving import serve_asgi
from intellirouter.serving.head import parse_head


class Request:
    """Implements `gateway.HttpRequest`."""

    is_received = True
    scheme = "https"
    peer = ("192.0.2.7", 40000)

    def __init__(self, body: bytes | errors.GatewayError = b"") -> None:
        self.head = parse_head(b"POST /api/v1/a%20b?c=d HTTP/1.1\r\nHost: gateway\r\nX-A: b\r\nContent-Length: 3")
        self.sent: list[tuple[Any, ...]] = []
        self.disconnect: Callable[[], None] = lambda: None
        self._body = body

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        self.disconnect = on_disconnect

    def take_body(self, limit_bytes: int) -> bytes:
        raise AssertionError(limit_bytes)

    async def read_body(self, limit_bytes: int, deadline_s: float) -> bytes:
        assert (limit_bytes, deadline_s) == (100, 5)
        if isinstance(self._body, errors.GatewayError):
            raise self._body
        return self._body

    def respond(self, status: int, header_lines: bytes, body: bytes) -> bool:
        self.sent.append(("respond", status, header_lines, body))
        return False

    async def flush(self) -> None:
        self.sent.append(("flush",))

    def begin(self, status: int, header_lines: bytes, length: int | None = None) -> None:
        self.sent.append(("begin", status, header_lines, length))

    async def write(self, data: bytes) -> None:
        self.sent.append(("write", data))

    async def end(self, data: bytes = b"") -> None:
        self.sent.append(("end", data))

    def abort(self) -> None:
        self.sent.append(("abort",))


async def serve(request: Request, application: Any) -> None:
    await serve_asgi(application, request, max_body_bytes=100, body_timeout_s=5)


async def test_whole_response_is_sent_at_once() -> None:
    scopes: list[dict[str, Any]] = []
    messages: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        messages.append(await receive())
        headers = [(b"X-B", b"c"), (b"Content-Length", b"2"), (b"Date", b"never")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    request = Request(b"abc")
    await serve(request, application)
    [scope] = scopes
    assert (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/api/v1/a b", b"c=d")
    assert (scope["scheme"], scope["http_version"], scope["raw_path"]) == ("https", "1.1", b"/api/v1/a%20b")
    assert scope["headers"] == [(b"host", b"gateway"), (b"x-a", b"b")]
    assert messages == [{"type": "http.request", "body": b"abc", "more_body": False}]
    assert request.sent == [("respond", 201, b"x-b: c\r\n", b"ok"), ("flush",)]


async def test_response_in_pieces_is_streamed() -> None:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    request = Request()
    await serve(request, application)
    assert request.sent == [("begin", 200, b"", None), ("write", b"a"), ("end", b"b")]


async def test_application_learns_that_the_client_has_disconnected() -> None:
    messages: list[Any] = []

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        messages.append(await receive())
        messages.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"late"})

    request = Request(b"abc")
    task = asyncio.ensure_future(serve(request, application))
    await asyncio.sleep(0)
    request.disconnect()
    await asyncio.wait_for(task, 5)
    assert [message["type"] for message in messages] == ["http.request", "http.disconnect"]
    assert request.sent == []


async def test_disconnect_while_the_body_arrives_is_a_message() -> None:
    messages: list[Any] = []

    async def application(_scope: Any, receive: Any, _send: Any) -> None:
        messages.append(await receive())

    await serve(Request(errors.ClientDisconnected("x")), application)
    assert messages == [{"type": "http.disconnect"}]


async def test_error_of_the_body_is_raised_in_the_application() -> None:
    async def application(_scope: Any, receive: Any, _send: Any) -> None:
        with pytest.raises(errors.BodyTooLarge):
            await receive()

    await serve(Request(errors.BodyTooLarge("x")), application)
