"""Protocols that rooms implement, so that they can use each other without importing each other."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from intellirouter.core.call import UpstreamRequest
from intellirouter.core.deployment import Deployment
from intellirouter.core.errors import GatewayError
from intellirouter.core.record import ExchangeRecord
from intellirouter.core.throughput import TokenSource


class UpstreamResponse(Protocol):
    """A response whose headers have arrived. It ends when `read` returns, or with `release` or `abort`."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """The response headers, with names in lower case."""
        ...

    @property
    def credential_fingerprint(self) -> str:
        """Identifies the credential of the request; empty if it had none, or if it is not known."""
        ...

    async def read(self, limit_bytes: int, tenant: str = "") -> bytes:
        """Return the whole body. `tenant`: for whom, so that tenants share the memory for large answers.

        Raises `UpstreamMalformed` if the body exceeds the limit, `UpstreamTimeout`, `UpstreamDisconnected`.
        """
        ...

    def content_began(self, source: TokenSource | None = None) -> None:
        """Report that the first content has arrived. From now on the idle timeout applies, not the first-token one.

        `source` is the stream that must have the throughput of `Timeouts.min_tokens_per_s`; None for other responses.
        """
        ...

    async def next_chunk(self) -> bytes:
        """Return the bytes that have arrived (at least one), or `b""` at the end of a complete body.

        Raises `UpstreamTimeout` when the idle or total timeout expires or the stream is too slow, and
        `UpstreamDisconnected` on a truncated body.
        """
        ...

    def spare_credential(self) -> None:
        """Report that this error response is not about the credential. Ends the cooldown that it has started."""
        ...

    def refuse_credential(self, status: int, retry_after_s: float | None = None) -> None:
        """Report that the error in this response is about the credential, whatever the response's own status is.

        Starts a cooldown. If the response's status has started one, only `retry_after_s`, which the body demands,
        changes it. `status` is the one that stands for the refusal: 401, 402, 403 or 429.
        """
        ...

    def release(self) -> None:
        """Read no more. The connection is reused if the rest of the body is short. Never blocks."""
        ...

    def abort(self) -> None:
        """Cancel the request at once: the client disconnected, a timeout expired, an attempt failed. Idempotent."""
        ...


class Upstream(Protocol):
    """Sends HTTP requests to deployments. Implemented by the connection pool and by the fake provider."""

    async def send(self, deployment: Deployment, request: UpstreamRequest) -> UpstreamResponse:
        """Send `request` to the deployment with its next usable credential, and wait for the response headers.

        A credential that the upstream refuses is put into cooldown, so that another one is used next time; see
        `CredentialRotator`. `deployment.timeouts` apply. Canceling the caller aborts the request. Raises
        `UpstreamError`.
        """
        ...


class CredentialRotator(Protocol):
    """Reports whether a deployment has another usable credential."""

    def can_rotate(self, deployment: Deployment, error: GatewayError, status: int | None) -> bool:
        """Return whether repeating a failed request at once would use another credential that is usable.

        Call it after an attempt that failed with `error`. `status` is the upstream's, None if it sent no response. True
        if the credential was at fault (401, 402, 429, an error document that blames it, or no access token) and another
        one is not cooling down. False if the error is about the request or the model.
        """
        ...


class SocketClosed(Exception):
    """The peer has closed the WebSocket. `FrameSocket.receive` and `send` raise it."""

    def __init__(self, code: int, reason: str = "") -> None:
        """`code` is the WebSocket close code; 1006 if the connection broke without one."""
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class FrameSocket(Protocol):
    """One end of an open WebSocket. Messages are whole: text as str, binary as bytes."""

    async def receive(self) -> str | bytes:
        """Return the next message. Raises `SocketClosed`."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Send one message. Waits while the peer reads slowly. Raises `SocketClosed`."""
        ...

    async def close(self, code: int, reason: str = "") -> None:
        """Close the socket within a bounded time. Idempotent."""
        ...


class SocketRefusal(Struct, frozen=True):
    """The upstream's response to a handshake, with a status other than 101."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names are in lower case."""
    body: bytes
    spare_credential: Callable[[], None] | None = None
    """See `UpstreamResponse.spare_credential`. None if the credential has no cooldown because of this response."""
    refuse_credential: Callable[[int], None] | None = None
    """See `UpstreamResponse.refuse_credential`. None if this response has started a cooldown already."""


class SocketUpstream(Protocol):
    """Opens WebSockets to deployments."""

    async def connect(self, deployment: Deployment, request: UpstreamRequest) -> FrameSocket | SocketRefusal:
        """Perform the handshake with the deployment, with its next usable credential (see `Upstream.send`).

        `deployment.timeouts` apply. Raises `UpstreamError`, `Overloaded`.
        """
        ...


class Journal(Protocol):
    """Takes the records of settled exchanges."""

    def append(self, record: ExchangeRecord) -> None:
        """Write a record. When this returns, the record survives `kill -9`."""
        ...


class Fetcher(Protocol):
    """Fetches the URLs in clients' requests. Does not connect to private networks unless that is allowed."""

    async def fetch(self, url: str, *, limit_bytes: int, deadline_s: float) -> tuple[str, bytes]:
        """Return media type (without parameters; empty if not specified) and content of an http(s) URL.

        Raises `InvalidRequest` if it cannot or must not be fetched, or is larger than `limit_bytes`.
        """
        ...
