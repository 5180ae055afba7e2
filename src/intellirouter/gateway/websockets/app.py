"""Every WebSocket that is opened here: which path it is, how many there are, and how they end when the gateway does."""

import asyncio
from collections.abc import Callable
from typing import Final

from intellirouter.core import SocketClosed, errors, new_id
from intellirouter.dialects import ENDPOINTS, ENDPOINTS_BY_PATH
from intellirouter.gateway.asgi import Receive, Scope, Send
from intellirouter.gateway.in_flight import InFlight
from intellirouter.gateway.websockets import multiplex, realtime
from intellirouter.gateway.websockets.socket import Socket, forget_cancellation
from intellirouter.pipeline import Spine
from intellirouter.resources import Page, ResourceRequest

_STYLE: Final = ENDPOINTS["openai_chat"].errors
_PATHS: Final = frozenset({realtime.PATH, multiplex.PATH})
_OTHER_PROTOCOL: Final = 426
"""Codex asks for `/v1/responses` over a WebSocket first; on this status it turns to HTTP at once."""


class SocketHints:
    """A `Resource` for who asks for one of these paths over HTTP."""

    json_paths: Final[frozenset[str]] = frozenset()

    def allowed(self, path: str) -> str:
        return "GET" if path in _PATHS else ""

    async def serve(self, request: ResourceRequest) -> Page:
        raise errors.InvalidRequest(
            f"{request.path} takes WebSockets.",
            code="websocket_required",
            status=_OTHER_PROTOCOL,
            hint="Open it with ws:// or wss://.",
        )


class SocketPaths:
    """An ASGI application for scopes of type `websocket`."""

    def __init__(self, spine: Callable[[], Spine], in_flight: InFlight) -> None:
        """`spine` returns the one that serves now."""
        self._spine = spine
        self._in_flight = in_flight
        self._open = 0
        self._is_ending = asyncio.Event()

    def __len__(self) -> int:
        return self._open

    def end(self) -> None:
        """The gateway stops: refuse new sockets, close those that are open."""
        self._is_ending.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket."""
        socket = Socket(scope, receive, send)
        self._open += 1
        try:
            await receive()  # websocket.connect
            await self._serve(socket)
        except SocketClosed:
            return
        except asyncio.CancelledError:
            forget_cancellation()
            await socket.close(1001, "The gateway is stopping.")
        finally:
            self._open -= 1
            await socket.stop()

    async def _serve(self, socket: Socket) -> None:
        path = socket.scope["path"]
        spine = self._spine()
        try:
            if self._open > spine.runtime.server.max_in_flight:
                raise errors.Overloaded(f"{self._open - 1} sockets are open already.", retry_after_s=1.0)
            if path == realtime.PATH:
                await realtime.serve_realtime(spine, socket, self._in_flight, self._is_ending)
            elif path == multiplex.PATH:
                await multiplex.Multiplexer(self._spine, socket, self._in_flight, self._is_ending).serve()
            elif path in ENDPOINTS_BY_PATH:
                raise errors.InvalidRequest(
                    f"{path} is served over HTTP, not over a WebSocket.",
                    code="websocket_not_supported",
                    status=_OTHER_PROTOCOL,
                    hint="POST to it; stream: true sends the answer in pieces.",
                )
            else:
                raise errors.NotFound(
                    f"No WebSocket is served at {path[:200]}.", hint="There are /v1/realtime and /v1/ws."
                )
        except errors.GatewayError as error:
            headers = [(b"x-request-id", new_id("req_").encode())]
            if error.status == _OTHER_PROTOCOL:
                headers.append((b"upgrade", b"HTTP/1.1"))
            await socket.refuse(error, headers, _STYLE)
