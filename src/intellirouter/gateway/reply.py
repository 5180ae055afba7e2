"""One client connection's side of an exchange: ASGI messages out, errors in the client's dialect."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from intellirouter.core import errors
from intellirouter.dialects import encode_error, encode_error_event
from intellirouter.pipeline import Headers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

RESPOND: Final = "intellirouter.respond"
"""Our server's ASGI extension for whole responses: `(scope, status, header_lines, body) -> done`."""
HAS_BODY: Final = "intellirouter.has_body"
"""Our server's ASGI extension that tells whether the whole request body has come: `(scope) -> bool`."""
_JSON: Final = (b"content-type", b"application/json")
_SSE_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class OpenAIReply:
    """Implements `pipeline.Reply` in OpenAI's dialect."""

    __slots__ = ("_respond", "_scope", "_send", "has_begun")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        extensions = scope.get("extensions")
        self._respond = extensions.get(RESPOND) if extensions else None
        self.has_begun = False

    async def complete(self, status: int, headers: Headers, body: bytes) -> None:
        self.has_begun = True
        headers += (_JSON, (b"content-length", b"%d" % len(body)))
        if self._respond is not None and self._respond(self._scope, status, header_lines(headers), body):
            return
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, headers: Headers) -> None:
        self.has_begun = True
        headers += _SSE_HEADERS
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data})

    async def fail(self, error: errors.GatewayError, headers: Headers) -> None:
        if self.has_begun:
            await self.end(encode_error_event(error))
            return
        if error.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after_s))))
            headers.append((b"retry-after-ms", b"%d" % round(error.retry_after_s * 1000)))
        if error.status in {408, 413}:
            headers.append((b"connection", b"close"))  # the rest of the body is still coming
            self._respond = None  # the server reads this header only where it takes the answer apart
        await self.complete(error.status, headers, encode_error(error))


def header_lines(headers: Headers) -> bytes:
    """Return headers as they stand on the wire. Names and values are ours and hold no line ends."""
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])
