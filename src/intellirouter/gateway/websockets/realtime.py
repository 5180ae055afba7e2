"""`/v1/realtime`: one realtime session for one WebSocket."""

import asyncio
from typing import Final
from urllib.parse import parse_qsl

from msgspec import structs

from intellirouter.core import RequestContext, SocketClosed, errors
from intellirouter.dialects import ENDPOINTS
from intellirouter.gateway.in_flight import InFlight
from intellirouter.gateway.paths import context_of
from intellirouter.gateway.websockets.socket import Socket, chosen_protocol, forget_cancellation, identify, socket_key
from intellirouter.governance import Identity
from intellirouter.pipeline import Headers, Spine

PATH: Final = "/v1/realtime"
_SURFACE: Final = ENDPOINTS["openai_realtime"]
_PROTOCOL: Final = "realtime"
_BETA_PROTOCOL: Final = "openai-beta.realtime-v1"
_BETA: Final = ("openai-beta", "realtime=v1")
_NOBODY: Final = Identity("-", None)


class RealtimeSocket:
    """Implements `pipeline.Session` for a client."""

    def __init__(self, socket: Socket, is_ending: asyncio.Event) -> None:
        self._socket = socket
        self.is_ending = is_ending
        self.has_begun = False

    async def begin(self, headers: Headers) -> None:
        self.has_begun = True
        await self._socket.accept(headers, chosen_protocol(self._socket, _PROTOCOL))

    async def receive(self) -> str | bytes:
        return await self._socket.receive()

    async def send(self, message: str | bytes) -> None:
        await self._socket.send(message)

    async def close(self, code: int, reason: str = "") -> None:
        await self._socket.close(code, reason)

    async def fail(self, error: errors.GatewayError, headers: Headers, last_words: bytes | None = None) -> None:  # noqa: ARG002
        """Answer the handshake with an error; in a session, say it as an event and close."""
        if not self.has_begun:
            await self._socket.refuse(error, headers, _SURFACE.errors)
            return
        try:
            await self._socket.send((b'{"type":"error",' + _SURFACE.errors.encode(error)[1:]).decode())
            await self._socket.close(1001 if isinstance(error, errors.Overloaded) else 1011, error.code)
        except SocketClosed:
            return


async def serve_realtime(spine: Spine, socket: Socket, in_flight: InFlight, is_ending: asyncio.Event) -> None:
    """Hold one session, from the handshake to its end."""
    exchange = spine.open(PATH, _SURFACE, _NOBODY)
    session = RealtimeSocket(socket, is_ending)
    try:
        if is_ending.is_set():
            raise errors.Overloaded("The gateway is stopping.", retry_after_s=1.0)
        exchange.identity = identify(spine, socket, socket_key(socket))
        most = spine.runtime.server.max_in_flight
        if len(in_flight) >= most:
            raise errors.Overloaded(f"{most} requests are in flight already.", retry_after_s=1.0)
    except errors.GatewayError as error:
        await spine.refuse(exchange, error, session)
        spine.emit(exchange)
        return
    task = asyncio.current_task()

    def on_gone() -> None:
        exchange.is_client_gone = True
        if task is not None:
            task.cancel()

    socket.watch(on_gone)
    in_flight.enter(exchange, None)
    try:
        await spine.hold(exchange, session, _context(socket))
    except asyncio.CancelledError:
        forget_cancellation()
        if not exchange.is_client_gone and exchange.error is not None:
            await session.fail(exchange.error, exchange.headers())
    finally:
        in_flight.leave(exchange)


def _context(socket: Socket) -> RequestContext:
    scope = socket.scope
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    context = context_of(_SURFACE, scope, query.get("model", ""))
    if _BETA_PROTOCOL in scope["subprotocols"] and _BETA not in context.headers:
        context = structs.replace(context, headers=(*context.headers, _BETA))
    return context
