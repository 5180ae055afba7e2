"""`/v1/ws`: many chat requests at once over one WebSocket. docs/guides/websocket.md tells clients how to speak to it.

Every request is an exchange of its own and walks the spine like any other; only its reply is written as frames.
"""

import asyncio
from typing import Final

from msgspec import Struct

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import EMPTY_CONTEXT, Current, SocketClosed, TaskOwner, errors
from intellirouter.dialects import ENDPOINTS, check_depth
from intellirouter.gateway.websockets.frames import FrameReply, ReceivedFrame, frame_text, read_frame
from intellirouter.gateway.websockets.socket import Socket, chosen_protocol, identify, socket_key
from intellirouter.governance import Identity
from intellirouter.pipeline import Entry, Exchange, Generation

PATH: Final = "/v1/ws"
PROTOCOL: Final = "intellirouter.v1"
MAX_IN_FLIGHT: Final = 64
"""Requests at once on one socket; a client that wants more opens another."""
_ENDPOINT: Final = ENDPOINTS["openai_chat"]


class _Running(Struct, eq=False):
    """One request under way."""

    exchange: Exchange | None = None
    task: "asyncio.Task[None] | None" = None
    is_cancelled: bool = False


class Multiplexer:
    """One socket's requests, from its handshake to its end."""

    def __init__(self, current: Current[Generation], entry: Entry, socket: Socket, is_stopping: asyncio.Event) -> None:
        self._current = current
        self._entry = entry
        self._socket = socket
        self._is_stopping = is_stopping
        self._key = socket_key(socket)
        self._running: dict[str, _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._owner = TaskOwner("multiplexer")
        self._loop = asyncio.get_running_loop()
        self._active_s = self._loop.time()

    async def serve(self) -> None:
        """Raises `GatewayError` instead of accepting."""
        if self._is_stopping.is_set():
            raise errors.Overloaded("The gateway is stopping.", retry_after_s=1.0)
        identify(self._current.value, self._socket, self._key)
        await self._socket.accept([], chosen_protocol(self._socket, PROTOCOL))
        try:
            await self._serve()
        finally:
            for each in self._running.values():
                if each.exchange is not None:
                    each.exchange.is_client_disconnected = self._socket.is_closed
            await self._owner.stop()

    async def _serve(self) -> None:
        reading = self._owner.start(self._read(), "read", is_awaited=True)
        stop = self._owner.start(self._is_stopping.wait(), "stop", is_awaited=True)
        idle_s = self._current.value.runtime.server.socket_idle_s
        while True:
            left_s = self._active_s + idle_s - self._loop.time()
            if left_s <= 0 and not self._tasks:
                await self._socket.close(1000, f"Nothing has happened for {idle_s:g} s.")
                return
            await asyncio.wait({reading, stop}, timeout=max(left_s, 1.0), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
                return
            if stop.done():
                while self._tasks and not reading.done():
                    await asyncio.wait({reading, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
                await self._socket.close(1001, "The gateway is stopping.")
                return

    async def _read(self) -> None:
        try:
            while True:
                message = await self._socket.receive()
                self._active_s = self._loop.time()
                await self._take(message)
        except SocketClosed:
            return

    async def _take(self, message: str | bytes) -> None:
        """Act on one frame. What is wrong with it is answered; the socket stays open."""
        frame = ReceivedFrame()
        try:
            data = message.encode() if isinstance(message, str) else message
            # The request stands one level below its frame.
            check_depth(data, self._current.value.runtime.server.max_json_depth + 1)
            frame = read_frame(data)
            match frame.type:
                case "chat.create":
                    self._begin(frame)
                    await asyncio.sleep(0)  # a task that is cancelled before it has run would leave no record
                case "cancel":
                    self._cancel(frame)
                case "ping":
                    await self._socket.send(frame_text("pong", frame.id))
                case _:
                    raise errors.InvalidRequest(
                        f"Unknown frame type '{frame.type[:100]}'.",
                        code="unknown_frame_type",
                        param="type",
                        hint="Send chat.create, cancel or ping.",
                    )
        except errors.GatewayError as error:
            await self._socket.send(frame_text("error", frame.id, error=error))

    def _begin(self, frame: ReceivedFrame) -> None:
        name = frame.named()
        if not frame.request:
            raise errors.InvalidRequest(
                "Missing required parameter: 'request'.", code="missing_required_parameter", param="request"
            )
        if name in self._running:
            raise errors.InvalidRequest(
                f"The id '{name}' is in use by a request that is under way.", code="duplicate_id", param="id"
            )
        if len(self._running) >= MAX_IN_FLIGHT:
            raise errors.Overloaded(
                f"{MAX_IN_FLIGHT} requests are under way on this socket already.",
                hint="Wait for one to complete, or open another socket.",
                retry_after_s=1.0,
            )
        if self._is_stopping.is_set():
            raise errors.Overloaded("The gateway is stopping.", retry_after_s=1.0)
        running = self._running[name] = _Running()
        work = self._run(name, running, bytes(frame.request))
        task = running.task = self._owner.start(work, name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _cancel(self, frame: ReceivedFrame) -> None:
        name = frame.named()
        running = self._running.get(name)
        if running is None or running.task is None or running.exchange is None:
            raise errors.InvalidRequest(
                f"No request '{name}' is under way.",
                code="unknown_id",
                param="id",
                hint="It may have been completed meanwhile.",
            )
        running.is_cancelled = running.exchange.is_client_disconnected = True
        running.task.cancel()

    async def _run(self, name: str, running: _Running, body: bytes) -> None:
        """Serve one request."""

        def release() -> None:
            self._active_s = self._loop.time()
            if self._running.get(name) is running:
                del self._running[name]

        def opened(exchange: Exchange) -> None:
            running.exchange = exchange

        reply = FrameReply(self._socket, name, release)
        try:
            await self._entry.serve(FrameSource(self._socket, self._key, body), reply, opened)
            if running.is_cancelled and running.exchange is not None:
                await reply.cancelled(running.exchange)
        finally:
            release()


class FrameSource:
    """Implements `pipeline.Source` for one request of a socket."""

    path: Final = PATH
    endpoint: Final = _ENDPOINT
    context: Final = EMPTY_CONTEXT
    request_id: Final = None
    is_task_owner: Final = True
    wait_for_disconnect: Final = None

    def __init__(self, socket: Socket, key: bytes | None, body: bytes) -> None:
        self._socket = socket
        self._key = key
        self._body = body

    def identify(self, generation: Generation) -> Identity:
        return identify(generation, self._socket, self._key)

    async def read(self, limits: ServerSpec) -> bytes:  # noqa: ARG002
        return self._body
