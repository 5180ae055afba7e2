"""Sends the answer of an exchange to an HTTP client, as ASGI messages. Errors are in the client's dialect."""

from typing import Final

from intellirouter.core import errors
from intellirouter.dialects import ErrorStyle
from intellirouter.gateway.asgi import RESPOND, Scope, Send
from intellirouter.gateway.decision_headers import decision_headers
from intellirouter.pipeline import Exchange, Headers

_STREAM_HEADERS: Final = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
_JSON: Final = b"application/json"


class ClientReply:
    """Implements `pipeline.Reply` for one HTTP request. `style` renders errors."""

    __slots__ = ("_respond", "_scope", "_send", "_style", "has_begun")

    def __init__(self, scope: Scope, send: Send, style: ErrorStyle) -> None:
        self._scope = scope
        self._style = style
        self._send = send
        extensions = scope.get("extensions")
        self._respond = extensions.get(RESPOND) if extensions else None
        self.has_begun = False

    async def complete(self, status: int, exchange: Exchange, body: bytes, content_type: bytes) -> None:
        headers = decision_headers(exchange)
        if not self._respond_at_once(status, headers, body, content_type):
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
            await self._send({"type": "http.response.body", "body": body})

    async def begin(self, exchange: Exchange, stream_type: bytes) -> None:
        self.has_begun = True
        headers = decision_headers(exchange)
        if (id_header := self._style.id_header) is not None:
            headers.append((id_header, headers[0][1]))
        headers.append((b"content-type", stream_type))
        headers += _STREAM_HEADERS
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data})

    async def fail(self, error: errors.GatewayError, exchange: Exchange) -> None:
        if self.has_begun:
            event = exchange.error_event
            await self.end(self._style.encode_event(error) if event is None else event)
            return
        await self.refuse(error, decision_headers(exchange))

    async def refuse(self, error: errors.GatewayError, headers: Headers) -> None:
        """Send an error. The first of `headers` must be `x-request-id`."""
        status = self._style.status(error)
        if error.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after_s))))
            headers.append((b"retry-after-ms", b"%d" % round(error.retry_after_s * 1000)))
        if status in {408, 413}:
            headers.append((b"connection", b"close"))  # the client is still sending the body
            self._respond = None  # the server honors this header only in ASGI messages
        body = self._style.encode(error)
        if not self._respond_at_once(status, headers, body, _JSON):
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
            await self._send({"type": "http.response.body", "body": body})

    def _respond_at_once(self, status: int, headers: Headers, body: bytes, content_type: bytes) -> bool:
        """Complete the headers. Returns True if the server's extension has sent the whole response."""
        self.has_begun = True
        if (id_header := self._style.id_header) is not None:
            headers.append((id_header, headers[0][1]))
        headers += ((b"content-type", content_type), (b"content-length", b"%d" % len(body)))
        respond = self._respond
        return respond is not None and respond(self._scope, status, header_lines(headers), body)


def header_lines(headers: Headers) -> bytes:
    """Return headers in their wire format. Names and values must not contain line breaks."""
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])
