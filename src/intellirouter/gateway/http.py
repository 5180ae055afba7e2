"""What the data plane needs of an HTTP server: request heads, requests, and WebSockets. `serving` implements it."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from msgspec import Struct

from intellirouter.cache import CacheDirectives
from intellirouter.core import EMPTY_CONTEXT, Loss, PeerAddress, RequestContext
from intellirouter.dialects import Endpoint
from intellirouter.pipeline import Headers

_join_pair: Final = b": ".join


class Destination(Struct, frozen=True, kw_only=True):
    """What follows from a request head alone: the endpoint, the caller's key, and whether the body can be read."""

    generation: int
    """The number of the generation that it is valid for."""
    endpoint: Endpoint
    context: RequestContext = EMPTY_CONTEXT
    key: bytes | None = None
    is_accepted: bool = True
    """The media type and encoding of the body are supported, and the headers demand nothing impossible."""
    has_cache: bool = False
    """Whether the pipeline finds out if there is a cached answer."""
    cache: CacheDirectives | None = None
    """What the client demands of the cache."""
    idempotency_key: bytes | None = None
    """None if there is no cache, which recognizes repeated requests."""
    ignored: tuple[Loss, ...] = ()
    """Headers that have no effect although the client may rely on them."""


class RequestHead(Struct, kw_only=True, eq=False):
    """A parsed request head. Heads are shared by all requests that have the same one, apart from `content-length`.

    Names in `headers` are in lower case. The last one wins where a name is repeated; `fields` has them all, in order.
    `content-length` is in neither, because it belongs to one request.
    """

    method: str
    path: str
    """Percent-decoded, except for `%2F` and `%25`."""
    query: bytes
    headers: Mapping[bytes, bytes]
    fields: tuple[tuple[bytes, bytes], ...]
    raw_path: bytes = b""
    is_http_10: bool = False
    keeps_alive: bool = True
    is_chunked: bool = False
    expects_continue: bool = False
    is_websocket: bool = False
    """A WebSocket handshake."""
    length: int = 0
    """`content-length` of the request that was parsed first. Each request has its own."""
    destination: Destination | None = None
    """A memo of the gateway. Heads repeat, so it is computed once for many requests."""


class HttpRequest(Protocol):
    """One request of a client, and its response. The server sends `date`, `connection` and the framing headers."""

    head: RequestHead

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        ...

    @property
    def peer(self) -> PeerAddress | None:
        """The address of the client; None on a unix socket."""
        ...

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        """Call `on_disconnect` once if the client disconnects before the response is complete, or has done so."""
        ...

    @property
    def is_received(self) -> bool:
        """The whole body has arrived."""
        ...

    def take_body(self, limit_bytes: int) -> bytes:
        """Return a body that has arrived. Raises `BodyTooLarge`."""
        ...

    async def read_body(self, limit_bytes: int, deadline_s: float) -> bytes:
        """Wait for the whole body. Raises `BodyTooLarge`, `RequestTimeout`, `Overloaded`, `ClientDisconnected`."""
        ...

    def respond(self, status: int, header_lines: bytes, body: bytes) -> bool:
        """Send a complete response without `content-length`. Each header line ends with CRLF.

        Returns whether all of it was taken; otherwise await `flush`, because the client reads slowly. Does nothing if
        the client has disconnected.
        """
        ...

    async def flush(self) -> None:
        """Wait until the client has read most of what was sent, or has disconnected."""
        ...

    def begin(self, status: int, header_lines: bytes, length: int | None = None) -> None:
        """Send the head of a response whose body follows in pieces. `length`: the size of the body, if it is known."""
        ...

    def keep_alive(self, on_silence: Callable[[], None]) -> None:
        """Call `on_silence` until the response ends, whenever nothing has been sent to the client for some time.

        `server.first_ping_s` is that time before the response has begun, and `server.stream_ping_s` after that.
        """
        ...

    def ping(self, data: bytes) -> None:
        """Send a piece of the body without waiting. Does nothing if the client has disconnected."""
        ...

    async def write(self, data: bytes) -> None:
        """Send the next piece of the body. Waits while the client reads slowly. Raises `ClientDisconnected`."""
        ...

    async def end(self, data: bytes = b"") -> None:
        """Send the last piece of the body. Waits while the client reads slowly."""
        ...

    def abort(self) -> None:
        """Close the connection, so that the client notices that the response is incomplete."""
        ...


class ServerSocket(Protocol):
    """A WebSocket of a client. Its handshake is not answered before `accept` or `refuse`."""

    head: RequestHead
    subprotocols: tuple[str, ...]
    """The subprotocols that the client offers."""

    @property
    def peer(self) -> PeerAddress | None:
        """The address of the client; None on a unix socket."""
        ...

    async def accept(self, headers: Headers, subprotocol: str | None) -> None:
        """Accept the handshake. Raises `SocketClosed`."""
        ...

    async def refuse(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer the handshake with an HTTP response. Raises `SocketClosed`."""
        ...

    async def receive(self) -> str | bytes:
        """Return the next message. Raises `SocketClosed` with the client's code."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Send a message. Waits while the client reads slowly. Raises `SocketClosed`."""
        ...

    async def close(self, code: int, reason: str = "") -> None:
        """Close the socket. Raises `SocketClosed` if it is closed already."""
        ...


def header_lines(headers: Headers) -> bytes:
    """Return headers in their wire format. Names and values must not contain line breaks."""
    return b"\r\n".join(map(_join_pair, headers)) + b"\r\n" if headers else b""
