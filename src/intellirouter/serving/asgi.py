"""Serves an ASGI application, the control plane, on the requests of this server."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from intellirouter.core import errors
from intellirouter.gateway import HttpRequest, header_lines

Message = MutableMapping[str, Any]
Application = Callable[[Any, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_OWN_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding", b"connection", b"date"})
"""Headers that the server itself sends."""


async def serve_asgi(
    application: Application, request: HttpRequest, *, max_body_bytes: int, body_timeout_s: float
) -> None:
    """Answer one request with an ASGI application. Its body is read at once, within the limits."""
    await _Exchange(request, max_body_bytes, body_timeout_s).run(application)


class _Exchange:
    """One request as an ASGI scope and messages."""

    def __init__(self, request: HttpRequest, max_body_bytes: int, body_timeout_s: float) -> None:
        self._request = request
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._is_read = False
        self._is_disconnected = asyncio.Event()
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._length: int | None = None
        self._has_begun = False

    async def run(self, application: Application) -> None:
        self._request.watch(self._is_disconnected.set)
        try:
            await application(self._scope(), self._receive, self._send)
        except errors.ClientDisconnected:
            return

    def _scope(self) -> dict[str, Any]:
        head = self._request.head
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.0" if head.is_http_10 else "1.1",
            "method": head.method,
            "scheme": self._request.scheme,
            "path": head.path,
            "raw_path": head.raw_path,
            "query_string": head.query,
            "root_path": "",
            "headers": list(head.fields),
            "client": self._request.peer,
            "server": None,
        }

    async def _receive(self) -> Message:
        if not self._is_read:
            self._is_read = True
            try:
                body = await self._request.read_body(self._max_body_bytes, self._body_timeout_s)
            except errors.ClientDisconnected:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": body, "more_body": False}
        await self._is_disconnected.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._is_disconnected.is_set():
            return  # as up to version 2.3 of the specification; the application learns it from `receive`
        if message["type"] == "http.response.start":
            self._status = message["status"]
            given = [(name.lower(), value) for name, value in message.get("headers", ())]
            self._length = next((int(value) for name, value in given if name == b"content-length"), None)
            self._headers = [pair for pair in given if pair[0] not in _OWN_HEADERS]
            return
        body: bytes = message.get("body", b"")
        is_last = not message.get("more_body", False)
        if is_last and not self._has_begun:
            if not self._request.respond(self._status, header_lines(self._headers), body):
                await self._request.flush()
            return
        if not self._has_begun:
            self._has_begun = True
            self._request.begin(self._status, header_lines(self._headers), self._length)
        await (self._request.end(body) if is_last else self._request.write(body))
