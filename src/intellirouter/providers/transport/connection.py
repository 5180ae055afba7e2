"""One HTTP/1.1 connection to an upstream: an asyncio protocol around the httptools parser.

States: idle (in the pool) → busy (a request has been sent) → draining (the rest of the response is discarded so that
the connection can be reused) → idle again, or closed. See DESIGN.md.
"""

import asyncio
import re
import select
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import httptools

from intellirouter.core import Phase, ThroughputFloor, Timeouts, TokenSource, errors, timeout_error

_HIGH_WATER_BYTES: Final = 256 * 1024
_MAX_HEADER_BYTES: Final = 64 * 1024
_MAX_DRAIN_BYTES: Final = 64 * 1024
_MAX_IDLE_S: Final = 55.0
CLIENT_CERTIFICATE_HINT: Final = (
    "If the upstream requires a client certificate, set the provider's client_cert_file to one that it accepts."
)
_KEEP_ALIVE: Final = b"keep-alive"
_KEEP_ALIVE_CHARS: Final = len(_KEEP_ALIVE)
_FRAMING_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding"})
_CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*(?=\r\n|$)", re.IGNORECASE)
_KEEP_ALIVE_TIMEOUT: Final = re.compile(rb"timeout *= *(\d{1,6})", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """One connection, with at most one request at a time. All methods run on the event loop.

    `on_idle` is called whenever the connection becomes reusable, `on_closed` once when it is closed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_idle: Callable[["Connection"], None],
        on_closed: Callable[["Connection"], None],
    ) -> None:
        self._loop = loop
        self._on_idle = on_idle
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self.is_closed = False
        self.is_busy = False
        self.idle_since_s = 0.0
        self.max_idle_s = _MAX_IDLE_S
        """Maximum idle time before reuse. Shorter when the server announces a shorter keep-alive timeout."""
        self.deadline_s = float("inf")
        """When the current phase times out. Checked by the pool's sweep."""
        self.total_deadline_s = float("inf")
        self.phase: Phase = "first_token_s"
        self.timeouts: Timeouts | None = None
        """Of the current request, for error messages."""
        self.floor: ThroughputFloor | None = None
        """Of the current request. Checked by the pool's sweep."""
        self._served = 0
        self._reset()

    def _reset(self) -> None:
        self.status = 0
        self.raw_headers: list[tuple[bytes, bytes]] = []
        """Undecoded, because few callers read them."""
        self.has_headers = False
        self.is_complete = False
        self.error: errors.UpstreamError | None = None
        self._non_body_bytes = 0
        self._chunks: list[bytes] = []
        self._buffered_bytes = 0
        self._is_paused = False
        self._is_draining = False
        self._keeps_alive = False

    @property
    def is_reused(self) -> bool:
        """Whether this connection has served another request before the current one."""
        return self._served > 0

    @property
    def has_received(self) -> bool:
        """Whether any byte of a response to the current request has arrived."""
        return self.has_headers or self._non_body_bytes > 0

    # -- asyncio.Protocol ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")  # noqa: S101 - narrows
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if not self.is_busy:
            self.close()  # bytes without a request: the connection is out of sync
            return
        # The parser buffers headers, trailers and chunk extensions of any length: bytes outside the body are counted.
        self._non_body_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(errors.UpstreamMalformed("The upstream switched protocols, which was not requested."))
        except httptools.HttpParserError as error:
            repaired = None if self.has_headers else _without_repeated_length(data)
            if repaired is not None and self._non_body_bytes == len(data):
                self._restart(repaired)
            elif self.is_complete or not self.is_busy:
                self.close()  # bytes after a complete response: the connection is out of sync
            else:
                kind = errors.UpstreamAnswerUnusable if "Content-Length" in str(error) else errors.UpstreamMalformed
                self._fail(kind(f"The upstream sent an invalid HTTP response: {error}."))
        if self._non_body_bytes > _MAX_HEADER_BYTES and not self.is_complete:
            self._fail(errors.UpstreamMalformed(f"The upstream sent more than {_MAX_HEADER_BYTES} bytes of headers."))

    def _restart(self, response: bytes) -> None:
        """Read a response again from its beginning, without a header that the parser rejects."""
        self.raw_headers.clear()
        self._parser = httptools.HttpResponseParser(self)
        self._non_body_bytes = 0
        self.data_received(response)

    def eof_received(self) -> None:
        # The transport closes itself in a later iteration of the loop. Until then this connection must not be reused.
        self._keeps_alive = False
        if not self.is_busy:
            self.is_closed = True

    def connection_lost(self, exc: Exception | None) -> None:
        was_closed_by_us = self.is_closed
        self.is_closed = True
        if self.is_busy and not self.is_complete:
            if was_closed_by_us:
                self._fail(
                    errors.UpstreamDisconnected(
                        "The upstream's connection was closed before its response was complete."
                    )
                )
            elif self.has_headers and exc is None and not self._has_length():
                self.on_message_complete()  # the end of the connection ends the body
            elif isinstance(exc, ssl.SSLError):
                self._fail(_tls_failure(exc))
            else:
                moment = "before its response was complete" if self.has_headers else "without sending a response"
                self._fail(errors.UpstreamDisconnected(f"The upstream closed the connection {moment}."))
        self._on_closed(self)

    # -- httptools callbacks ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.is_complete or not self.is_busy:
            raise errors.UpstreamMalformed("The upstream sent a response without a request.")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_headers:
            return  # a trailer
        self.raw_headers.append((name, value))
        if len(name) == _KEEP_ALIVE_CHARS and name.lower() == _KEEP_ALIVE:
            self.max_idle_s = _usable_idle_s(value)

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self.raw_headers.clear()
            return
        self.status = status
        self.has_headers = True
        self._keeps_alive = self._parser.should_keep_alive()
        self._wake()

    def on_body(self, body: bytes) -> None:
        if self.error is not None:
            return
        self._non_body_bytes = 0
        self._buffered_bytes += len(body)
        if self._is_draining:
            if self._buffered_bytes > _MAX_DRAIN_BYTES:
                self.close()
            return
        self._chunks.append(body)
        if self._buffered_bytes > _HIGH_WATER_BYTES and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if not self.has_headers:
            return  # an interim response (100, 103)
        self.is_complete = True
        if self._is_draining:
            self._finish()
        else:
            self._wake()

    # -- for the pool and the response --------------------------------------------------------------------------

    def is_stale(self) -> bool:
        """Return whether the peer closed the socket, or wrote to it, while the connection was idle. Never blocks."""
        if self.is_closed or self._transport is None or self._transport.is_closing():
            return True
        sock = self._transport.get_extra_info("socket")
        if sock is None:
            return False
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))  # end of file, or bytes without a request

    def send_request(self, head: bytes, body: bytes) -> None:
        """Send one request. Raises `UpstreamDisconnected` when the connection is already closed."""
        if self.is_closed:
            raise errors.UpstreamDisconnected("The upstream closed the connection before the request was sent.")
        assert self._transport is not None  # noqa: S101 - connected before it is used
        self.is_busy = True
        self._transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))

    async def wait(self) -> None:
        """Wait for headers, body bytes or the end of the response. Raises the error of a failed connection."""
        if self.error is not None:
            raise self.error
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def take_body(self) -> bytes:
        """Return all buffered body bytes and resume reading from the socket."""
        chunks = self._chunks
        if not chunks:
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._buffered_bytes = 0
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    def buffered_bytes(self) -> int:
        return self._buffered_bytes

    def time_out(self) -> None:
        """Fail the request: the deadline of the current phase has passed."""
        phase = "total_s" if self.deadline_s >= self.total_deadline_s else self.phase
        self._fail(timeout_error("The upstream", phase, self.timeouts or Timeouts()))

    def require_throughput(self, source: TokenSource) -> None:
        """Let the request fail if its stream is too slow from now on, provided that it has a required throughput."""
        timeouts = self.timeouts
        if timeouts is not None and timeouts.min_tokens_per_s:
            self.floor = ThroughputFloor(timeouts, source, self._loop.time())

    def check(self, now_s: float) -> None:
        """Fail the request in progress if it has run out of time, or if its stream is too slow. Called regularly."""
        if now_s >= self.deadline_s:
            self.time_out()
        elif (floor := self.floor) is not None and floor.is_missed(now_s, is_waiting=self._waiter is not None):
            self._fail(timeout_error("The upstream", "min_tokens_per_s", self.timeouts or Timeouts()))

    def discard_rest(self, now_s: float) -> None:
        """Discard the rest of the response. The connection is kept if the rest is short, otherwise closed."""
        if not self.is_busy:
            return
        if self.is_complete:
            self._finish()
            return
        self._is_draining = True
        self.floor = None
        self._chunks.clear()
        self._buffered_bytes = 0
        self.deadline_s = now_s + 1.0
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        """Close the connection at once, so that the upstream notices and stops generating."""
        if self._transport is not None and not self.is_closed:
            self.is_closed = True
            self._transport.abort()

    def _has_length(self) -> bool:
        """Return whether the response itself says where it ends, so that the end of the connection does not."""
        return self.status in {204, 304} or any(name.lower() in _FRAMING_HEADERS for name, _ in self.raw_headers)

    def _finish(self) -> None:
        assert self._transport is not None  # noqa: S101 - connected before it is used
        is_reusable = self._keeps_alive and not self.is_closed
        if self.status >= 400 and self._transport.get_write_buffer_size():
            is_reusable = False  # the upstream refused the request before all of it was sent
        self.is_busy = False
        self.floor = None
        self.deadline_s = self.total_deadline_s = float("inf")
        self._served += 1
        if is_reusable:
            if self._is_paused:
                self._transport.resume_reading()
            self._reset()
            self._on_idle(self)
        else:
            self.close()

    def _fail(self, error: errors.UpstreamError) -> None:
        if self.error is None:
            self.error = error
        self.close()
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            if self.error is not None:
                waiter.set_exception(self.error)
            else:
                waiter.set_result(None)


def _tls_failure(error: ssl.SSLError) -> errors.UpstreamError:
    """Return the error of a TLS connection that the upstream ended. It judges a client certificate only afterwards."""
    reason = (error.reason or str(error)).replace("_", " ").lower()
    return errors.UpstreamConnectFailed(
        f"The upstream ended the TLS connection: {reason}.", hint=CLIENT_CERTIFICATE_HINT if "alert" in reason else ""
    )


def _without_repeated_length(response: bytes) -> bytes | None:
    """Return the response without repetitions of an equal `Content-Length`; None if there are none, or if they differ.

    The parser rejects any repetition. An equal one is harmless, and the vendor has done its work.
    """
    head, separator, body = response.partition(b"\r\n\r\n")
    lengths = list(_CONTENT_LENGTH.finditer(head))
    if not separator or len(lengths) < 2 or len({match[1] for match in lengths}) > 1:
        return None
    kept = head[: lengths[0].end()] + _CONTENT_LENGTH.sub(b"", head[lengths[0].end() :])
    return kept + separator + body


@lru_cache(maxsize=64)
def _usable_idle_s(keep_alive: bytes) -> float:
    """Parse `Keep-Alive: timeout=5`. A margin avoids sending a request while the server closes the connection."""
    found = _KEEP_ALIVE_TIMEOUT.search(keep_alive)
    if found is None:
        return _MAX_IDLE_S
    announced_s = float(found[1])
    return min(_MAX_IDLE_S, max(announced_s - 1.0, announced_s / 2))
