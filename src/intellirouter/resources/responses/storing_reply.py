"""A reply that keeps the response it carries, before the client has seen the end of it."""

from collections.abc import Awaitable, Callable
from typing import Final

from intellirouter.core import errors
from intellirouter.dialects import responses_storage as history
from intellirouter.pipeline import Headers, Reply

_MAX_EVENT_BYTES: Final = 16 * 1024 * 1024


class SavingReply:
    """Implements `pipeline.Reply` around another one, or around nothing (in the background).

    `save` gets the whole response object: the body, or what the stream's last event holds. It is awaited before the
    client gets the end, so that a client can build on what it has been given.
    """

    def __init__(self, inner: Reply | None, save: Callable[[bytes], Awaitable[None]]) -> None:
        self._inner = inner
        self._save = save
        self._tail = b""
        self.has_begun = False
        self.error: errors.GatewayError | None = None

    async def complete(self, status: int, headers: Headers, body: bytes, content_type: bytes) -> None:
        self.has_begun = True
        if status == 200:
            await self._save(body)
        if self._inner is not None:
            await self._inner.complete(status, headers, body, content_type)

    async def begin(self, headers: Headers, stream_type: bytes) -> None:
        self.has_begun = True
        if self._inner is not None:
            await self._inner.begin(headers, stream_type)

    async def write(self, data: bytes) -> None:
        self._keep_tail(data)
        if self._inner is not None:
            await self._inner.write(data)

    async def end(self, data: bytes) -> None:
        self._keep_tail(data)
        response = history.final_response(self._tail)
        if response is not None:
            await self._save(response)
        if self._inner is not None:
            await self._inner.end(data)

    async def fail(self, error: errors.GatewayError, headers: Headers, last_words: bytes | None = None) -> None:
        self.error = error
        if self._inner is not None:
            await self._inner.fail(error, headers, last_words)

    def _keep_tail(self, data: bytes) -> None:
        """Keep what the last event may begin with: everything from the last blank line but one."""
        tail = self._tail + data
        cut = tail.rfind(b"\n\n", 0, max(0, len(tail) - 2))
        self._tail = tail[cut + 2 :] if cut >= 0 else tail[-_MAX_EVENT_BYTES:]
