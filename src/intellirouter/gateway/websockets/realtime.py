"""`/v1/realtime`: one realtime session per WebSocket."""

import asyncio
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl

from msgspec import structs

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import PeerAddress, RequestContext, SocketClosed, errors
from intellirouter.dialects import Endpoint
from intellirouter.gateway.decision_headers import decision_headers
from intellirouter.gateway.paths import context_of
from intellirouter.gateway.websockets.socket import Socket, chosen_protocol, identify, socket_key
from intellirouter.governance import Identity
from intellirouter.pipeline import Entry, Exchange, Generation

PATH: Final = "/v1/realtime"
_PROTOCOL: Final = "realtime"
_BETA_PROTOCOL: Final = "openai-beta.realtime-v1"
_BETA: Final = ("openai-beta", "realtime=v1")


class RealtimeSocket:
    """A client's WebSocket. Implements `pipeline.Source` and `pipeline.Session`."""

    path: Final = PATH
    request_id: Final = None
    is_task_owner: Final = True

    def __init__(self, endpoint: Endpoint, socket: Socket, is_stopping: asyncio.Event) -> None:
        self.endpoint = endpoint
        self._socket = socket
        self.is_stopping = is_stopping
        self.has_begun = False
        self.context = _context(endpoint, socket)

    # -- the source ----------------------------------------------------------------------------------------------

    @property
    def peer(self) -> PeerAddress | None:
        return self._socket.peer

    def identify(self, generation: Generation) -> Identity:
        if self.is_stopping.is_set():
            raise errors.Overloaded("The gateway is stopping.", retry_after_s=1.0)
        return identify(generation, self._socket, socket_key(self._socket))

    def read(self, limits: ServerSpec) -> bytes:  # noqa: ARG002
        """Return an empty body, because a session has none."""
        return b""

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        """Do nothing: the socket is watched from its handshake on."""

    # -- the session ---------------------------------------------------------------------------------------------

    async def begin(self, exchange: Exchange) -> None:
        self.has_begun = True
        await self._socket.accept(decision_headers(exchange), chosen_protocol(self._socket, _PROTOCOL))

    async def receive(self) -> str | bytes:
        return await self._socket.receive()

    async def send(self, message: str | bytes) -> None:
        await self._socket.send(message)

    async def close(self, code: int, reason: str = "") -> None:
        await self._socket.close(code, reason)

    async def fail(self, error: errors.GatewayError, exchange: Exchange) -> None:
        """Refuse the handshake with an error. In a session, send the error as an event and close the socket."""
        if not self.has_begun:
            await self._socket.refuse(error, decision_headers(exchange), self.endpoint.errors)
            return
        try:
            await self._socket.send((b'{"type":"error",' + self.endpoint.errors.encode(error)[1:]).decode())
            await self._socket.close(1001 if isinstance(error, errors.Overloaded) else 1011, error.code)
        except SocketClosed:
            return


async def serve_realtime(entry: Entry, endpoint: Endpoint, socket: Socket, is_stopping: asyncio.Event) -> None:
    """Serve one session, from the handshake to its end."""
    task = asyncio.current_task()

    def watch(exchange: Exchange) -> None:
        def on_disconnect() -> None:
            exchange.is_client_disconnected = True
            if task is not None:
                task.cancel()

        socket.watch(on_disconnect)

    session = RealtimeSocket(endpoint, socket, is_stopping)
    await entry.serve_session(session, session, watch)


def _context(endpoint: Endpoint, socket: Socket) -> RequestContext:
    head = socket.head
    query = dict(parse_qsl(head.query.decode("latin-1")))
    context = context_of(endpoint, head, query.get("model", ""))
    if _BETA_PROTOCOL in socket.subprotocols and _BETA not in context.headers:
        context = structs.replace(context, headers=(*context.headers, _BETA))
    return context
