"""Lets the errors of local workers name the model and the settings of the gateway."""

from collections.abc import Sequence
from typing import Final

from intellirouter.core import Deployment, TokenSource, Upstream, UpstreamRequest, UpstreamResponse, errors
from intellirouter.hosting import reworded_error

_STATUSES: Final = frozenset({400, 500})
"""Those of errors about the size of the context."""
_MAX_BYTES: Final = 64 * 1024


class WorkerErrors:
    """Implements `core.Upstream` for workers: other responses than errors pass through unchanged."""

    def __init__(self, pool: Upstream) -> None:
        self._pool = pool

    async def send(self, deployment: Deployment, request: UpstreamRequest) -> UpstreamResponse:
        response = await self._pool.send(deployment, request)
        if response.status not in _STATUSES:
            return response
        try:
            body = await response.read(_MAX_BYTES)
        except errors.UpstreamError:  # the caller reads again, and knows what the status alone means
            return response
        error = reworded_error(response.status, body, deployment.name, deployment.context_tokens)
        return _ReadResponse(response, error.status, error.body)


class _ReadResponse:
    """Implements `core.UpstreamResponse`: a response whose body has been read, and possibly replaced."""

    def __init__(self, response: UpstreamResponse, status: int, body: bytes) -> None:
        self._response = response
        self._body = body
        self._left = body
        self.status = status

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        others = [pair for pair in self._response.headers if pair[0] != "content-length"]
        return [*others, ("content-length", str(len(self._body)))]

    @property
    def credential_fingerprint(self) -> str:
        return self._response.credential_fingerprint

    async def read(self, limit_bytes: int, tenant: str = "") -> bytes:  # noqa: ARG002 - required by the protocol
        return self._left[:limit_bytes]

    def content_began(self, source: TokenSource | None = None) -> None:
        """Do nothing, because all content has arrived."""

    async def next_chunk(self) -> bytes:
        chunk, self._left = self._left, b""
        return chunk

    def spare_credential(self) -> None:
        self._response.spare_credential()

    def refuse_credential(self, status: int, retry_after_s: float | None = None) -> None:
        self._response.refuse_credential(status, retry_after_s)

    def release(self) -> None:
        self._response.release()

    def abort(self) -> None:
        self._response.abort()
