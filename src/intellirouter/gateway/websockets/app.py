"""Serves the WebSockets of clients: dispatches by path, limits the number of sockets, closes them at the end."""

import asyncio
from typing import Final

from intellirouter.core import Current, SocketClosed, attempt_control_of, errors, new_id
from intellirouter.gateway.http import ServerSocket
from intellirouter.gateway.websockets import multiplex, realtime
from intellirouter.gateway.websockets.socket import Socket, forget_cancellation
from intellirouter.pipeline import Entry, Generation
from intellirouter.resources import Page, ResourceRequest

_PATHS: Final = frozenset({realtime.PATH, multiplex.PATH})
_STATUS_UPGRADE_REQUIRED: Final = 426
"""Codex first tries `/v1/responses` over a WebSocket. With this status it switches to HTTP at once."""


class WebSocketHints:
    """A `Resource` that answers HTTP requests to WebSocket paths with an error."""

    json_paths: Final[frozenset[str]] = frozenset()

    def allowed(self, path: str) -> str:
        return "GET" if path in _PATHS else ""

    async def serve(self, request: ResourceRequest) -> Page:
        raise errors.InvalidRequest(
            f"{request.path} supports only WebSockets.",
            code="websocket_required",
            status=_STATUS_UPGRADE_REQUIRED,
            hint="Open it with a ws:// or wss:// URL. A proxy in front of the gateway must pass on the headers "
            "`Upgrade` and `Connection`.",
        )


class WebSocketGateway:
    """Serves WebSockets."""

    def __init__(self, current: Current[Generation], entry: Entry) -> None:
        self._current = current
        self._entry = entry
        self._open = 0
        self._is_stopping = asyncio.Event()

    def __len__(self) -> int:
        return self._open

    def begin_stop(self) -> None:
        """Refuse new sockets and close those that are open, because the gateway is stopping."""
        self._is_stopping.set()

    async def serve(self, connection: ServerSocket) -> None:
        """Serve one socket."""
        socket = Socket(connection)
        self._open += 1
        try:
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
        path, generation = socket.head.path, self._current.value
        dialects = generation.dialects
        try:
            limit = generation.runtime.server.max_open_sockets
            if self._open > limit:
                raise errors.Overloaded(
                    f"The gateway is at its limit of {limit} open WebSockets.",
                    hint="Try again later, or raise server.max_open_sockets.",
                    retry_after_s=1.0,
                )
            attempt_control_of(socket.head.headers)  # raises for headers that are not known
            if (endpoint := dialects.sessions_by_path.get(path)) is not None:
                await realtime.serve_realtime(self._entry, endpoint, socket, self._is_stopping)
            elif path == multiplex.PATH:
                await multiplex.Multiplexer(self._current, self._entry, socket, self._is_stopping).serve()
            elif path in dialects.endpoints_by_path:
                raise errors.InvalidRequest(
                    f"{path} is served over HTTP, not over a WebSocket.",
                    code="websocket_not_supported",
                    status=_STATUS_UPGRADE_REQUIRED,
                    hint="Send a POST request. Set `stream: true` to receive the response as a stream.",
                )
            else:
                raise errors.NotFound(f"{path[:200]} is not a WebSocket endpoint.", hint="Use /v1/realtime or /v1/ws.")
        except errors.GatewayError as error:
            headers = [(b"x-request-id", new_id("req_").encode())]
            if error.status == _STATUS_UPGRADE_REQUIRED:
                headers.append((b"upgrade", b"HTTP/1.1"))
            await socket.refuse(error, headers, dialects.endpoints[multiplex.ENDPOINT].errors)
