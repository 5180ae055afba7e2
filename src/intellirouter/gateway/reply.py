"""Sends the answer of an exchange to an HTTP client. Errors are in the client's dialect.

The client of a stream is sent nothing before the first content, so that failed attempts stay invisible. Only a long
silence changes that: the stream begins early, with pings. From then on, failures are events of the stream.
"""

from functools import partial
from typing import Final

from intellirouter.core import LossReport, errors, whole_seconds
from intellirouter.dialects import ErrorStyle, is_sse
from intellirouter.gateway.decision_headers import decision_headers, early_headers, late_headers
from intellirouter.gateway.http import HttpRequest, header_lines
from intellirouter.pipeline import Exchange, Headers

_STREAM_HEADERS: Final = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
_JSON: Final = b"application/json"


class ClientReply:
    """Implements `pipeline.Reply` for one HTTP request. `style` renders errors."""

    __slots__ = ("_has_early_head", "_request", "_style", "end", "has_begun", "write")
    takes_refusals = True

    def __init__(self, request: HttpRequest, style: ErrorStyle) -> None:
        self._request = request
        self._style = style
        self.has_begun = False
        self._has_early_head = False
        """The head of a stream has been sent before its content, and the content has not begun."""
        self.write = request.write
        self.end = request.end

    @property
    def has_content(self) -> bool:
        return self.has_begun and not self._has_early_head

    async def complete(self, status: int, exchange: Exchange, body: bytes, content_type: bytes) -> None:
        if self._has_early_head:
            await self.end(body + b"\n")
        elif not self._respond(status, decision_headers(exchange), body, content_type):
            await self._request.flush()

    def await_stream(self, exchange: Exchange) -> None:
        self._request.keep_alive(partial(self._ping, exchange))

    def _ping(self, exchange: Exchange) -> None:
        """Send something that the client ignores. If nothing has been sent yet, the head of the stream comes first."""
        call = exchange.call
        if call is None:
            return
        if not (data := exchange.endpoint.keep_alive.ping(call, self.has_content)):
            return
        if not self.has_begun:
            self._begin(early_headers(exchange), call.stream_type)
            self._has_early_head = True
        self._request.ping(data)

    async def begin(self, exchange: Exchange, stream_type: bytes) -> None:
        if not self._has_early_head:
            self._begin(decision_headers(exchange), stream_type)
            return
        self._has_early_head = False
        call = exchange.call
        if call is not None and exchange.endpoint.keep_alive.has_comments and is_sse(call):
            self._request.ping(late_headers(exchange))

    def _begin(self, headers: Headers, stream_type: bytes) -> None:
        self.has_begun = True
        if (id_header := self._style.id_header) is not None:
            headers.append((id_header, headers[0][1]))
        headers.append((b"content-type", stream_type))
        headers += _STREAM_HEADERS
        self._request.begin(200, header_lines(headers))

    async def fail(self, error: errors.GatewayError, exchange: Exchange) -> None:
        if self.has_begun:
            event = self._error_event(error, exchange) if exchange.error_event is None else exchange.error_event
            if event:
                await self.end(event)
            else:  # audio has no error events, and a regular end would look like that of a complete answer
                self._request.abort()
            return
        await self.refuse(error, decision_headers(exchange))

    def _error_event(self, error: errors.GatewayError, exchange: Exchange) -> bytes:
        """Return the event for a stream whose relay has not failed itself."""
        chat, call = exchange.endpoint.chat, exchange.call
        if not self._has_early_head or chat is None or call is None:
            return self._style.encode_event(error)
        encoder = chat.stream(call, LossReport())
        return encoder.encode(()) + encoder.fail(error)

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
