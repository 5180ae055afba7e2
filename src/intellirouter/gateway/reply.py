"""Sends the answer of an exchange to an HTTP client. Errors are in the client's dialect."""

from typing import Final

from intellirouter.core import errors, whole_seconds
from intellirouter.dialects import ErrorStyle
from intellirouter.gateway.decision_headers import decision_headers
from intellirouter.gateway.http import HttpRequest, header_lines
from intellirouter.pipeline import Exchange, Headers

_STREAM_HEADERS: Final = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
_JSON: Final = b"application/json"


class ClientReply:
    """Implements `pipeline.Reply` for one HTTP request. `style` renders errors."""

    __slots__ = ("_request", "_style", "end", "has_begun", "write")

    def __init__(self, request: HttpRequest, style: ErrorStyle) -> None:
        self._request = request
        self._style = style
        self.has_begun = False
        self.write = request.write
        self.end = request.end

    async def complete(self, status: int, exchange: Exchange, body: bytes, content_type: bytes) -> None:
        if not self._respond(status, decision_headers(exchange), body, content_type):
            await self._request.flush()

    async def begin(self, exchange: Exchange, stream_type: bytes) -> None:
        self.has_begun = True
        headers = decision_headers(exchange)
        if (id_header := self._style.id_header) is not None:
            headers.append((id_header, headers[0][1]))
        headers.append((b"content-type", stream_type))
        headers += _STREAM_HEADERS
        self._request.begin(200, header_lines(headers))

    async def fail(self, error: errors.GatewayError, exchange: Exchange) -> None:
        if self.has_begun:
            event = exchange.error_event
            await self.end(self._style.encode_event(error) if event is None else event)
            return
        await self.refuse(error, decision_headers(exchange))

    async def refuse(self, error: errors.GatewayError, headers: Headers) -> None:
        """Send an error. The first of `headers` must be `x-request-id`."""
        if error.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % whole_seconds(error.retry_after_s)))
            headers.append((b"retry-after-ms", b"%d" % round(error.retry_after_s * 1000)))
        if not self._respond(self._style.status(error), headers, self._style.encode(error), _JSON):
            await self._request.flush()

    def _respond(self, status: int, headers: Headers, body: bytes, content_type: bytes) -> bool:
        self.has_begun = True
        if (id_header := self._style.id_header) is not None:
            headers.append((id_header, headers[0][1]))
        headers.append((b"content-type", content_type))
        return self._request.respond(status, header_lines(headers), body)
