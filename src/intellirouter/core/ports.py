"""Protocols the rooms implement, so that they can be handed to one another without importing each other."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from intellirouter.core.call import UpstreamRequest
from intellirouter.core.deployment import Deployment
from intellirouter.core.errors import GatewayError
from intellirouter.core.record import ExchangeRecord


class UpstreamResponse(Protocol):
    """An answer whose headers have arrived. Exactly one of `read`-to-the-end, `release` or `abort` ends it."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Names in lower case."""
        ...

    async def read(self, limit_bytes: int) -> bytes:
        """Return the whole body.

        Raises `UpstreamMalformed` above the limit, `UpstreamTimeout`, `UpstreamDisconnected`.
        """
        ...

    def content_began(self) -> None:
        """The first content has come: from now on the idle deadline counts, not the first-token one."""
        ...

    async def next_chunk(self) -> bytes:
        """Return the bytes that have arrived (at least one), or `b""` at the end of a complete body.

        Raises `UpstreamTimeout` when the idle or total deadline passes, `UpstreamDisconnected` on a cut body.
        """
        ...

    def release(self) -> None:
        """The caller needs no more bytes; the connection may be kept if the rest is short. Never blocks."""
        ...

    def abort(self) -> None:
        """Stop the upstream now (client gone, deadline, failover). Idempotent; harmless after the end."""
        ...


class Upstream(Protocol):
    """Something that answers HTTP-shaped calls: the pooled transport, the fake provider."""

    async def send(self, deployment: Deployment, request: UpstreamRequest) -> UpstreamResponse:
        """Send `request` to the deployment with the credential whose turn it is, and wait for the response headers.

        A credential that the upstream refuses is put into cooldown, so that another one is used next time; see
        `CredentialRotator`. Deadlines come from `deployment.timeouts`. Canceling the caller aborts the request. Raises
        `UpstreamError`.
        """
        ...


class CredentialRotator(Protocol):
    """Knows which credentials of a deployment are usable now."""

    def can_rotate(self, deployment: Deployment, error: GatewayError, status: int | None) -> bool:
        """Return whether repeating a failed request at once would use another credential that is usable.

        Ask after an attempt that failed with `error`; `status` is the upstream's, None if it sent no response. True if
        the credential was at fault (401, 402, 429, or no access token) and another one is not cooling down.
        """
        ...


class SocketClosed(Exception):
    """The other side has closed a socket: what `FrameSocket.receive` and `send` raise then."""

    def __init__(self, code: int, reason: str = "") -> None:
        """`code` is WebSocket's; 1006 where the connection broke without one."""
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class FrameSocket(Protocol):
    """One end of an open WebSocket: whole messages, text as str, binary as bytes."""

    async def receive(self) -> str | bytes:
        """Return the next message. Raises `SocketClosed`."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Send one; waits while the other side reads slowly. Raises `SocketClosed`."""
        ...

    async def close(self, code: int, reason: str = "") -> None:
        """Close it, within bounded time. Idempotent."""
        ...


class SocketRefusal(Struct, frozen=True):
    """The upstream answered the handshake with an HTTP status other than 101."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes


class SocketUpstream(Protocol):
    """Something that opens WebSockets to deployments."""

    async def connect(self, deployment: Deployment, request: UpstreamRequest) -> FrameSocket | SocketRefusal:
        """Perform the handshake with the deployment, with the credential whose turn it is (see `Upstream.send`).

        Deadlines come from `deployment.timeouts`. Raises `UpstreamError`, `Overloaded`.
        """
        ...


class Journal(Protocol):
    """Where settled exchanges go. `append` is synchronous: when it returns, the record survives kill -9."""

    def append(self, record: ExchangeRecord) -> None: ...


class Fetcher(Protocol):
    """Fetches what clients name by web address. Guarded: never reaches into private networks unless allowed to."""

    async def fetch(self, url: str, *, limit_bytes: int, deadline_s: float) -> tuple[str, bytes]:
        """Return media type (without parameters; empty when not told) and content of an http(s) address.

        Raises `InvalidRequest` when it cannot be fetched, may not be, or is larger than `limit_bytes`.
        """
        ...
