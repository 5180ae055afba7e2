"""`/v1/ws`: many chat requests in parallel over one WebSocket. docs/guides/websocket.md describes the protocol.

Each request is an exchange like any other. Only its answer is sent as frames.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import Struct, structs

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import (
    EMPTY_CONTEXT,
    SMALL_BYTES,
    Current,
    PeerAddress,
    RequestContext,
    SocketClosed,
    TaskOwner,
    attempt_control_of,
    errors,
    session_of,
)
from intellirouter.dialects import Endpoint, check_depth, check_json
from intellirouter.gateway.websockets.frames import FrameReply, ReceivedFrame, decode_frame, encode_frame
from intellirouter.gateway.websockets.socket import Socket, chosen_protocol, identify, socket_key
from intellirouter.governance import Identity
from intellirouter.pipeline import Entry, Exchange, Generation

PATH: Final = "/v1/ws"
PROTOCOL: Final = "intellirouter.v1"
MAX_IN_FLIGHT: Final = 64
"""The limit of requests in flight on one socket. A client that needs more opens another socket."""
ENDPOINT: Final = "openai_chat"
"""The endpoint that the requests of a socket are for."""


class _Running(Struct, eq=False):
    """A request in flight."""

    exchange: Exchange | None = None
    task: "asyncio.Task[None] | None" = None
    is_canceled: bool = False


class Multiplexer:
    """Serves one socket and its requests, from its handshake to its end."""

    def __init__(self, current: Current[Generation], entry: Entry, socket: Socket, is_stopping: asyncio.Event) -> None:
        self._current = current
        self._entry = entry
        self._socket = socket
        self._is_stopping = is_stopping
        self._key = socket_key(socket)
        control, session = attempt_control_of(socket.head.headers), session_of(socket.head.headers)
        has_context = control is not None or bool(session)
        self._context = RequestContext(control=control, session=session) if has_context else EMPTY_CONTEXT
        self._running: dict[str, _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._owner = TaskOwner("multiplexer")
        self._loop = asyncio.get_running_loop()
        self._active_s = self._loop.time()

    async def serve(self) -> None:
        """Serve the socket. Raises `GatewayError` if it is not accepted."""
        if self._is_stopping.is_set():
            raise errors.Overloaded("The gateway is stopping.", retry_after_s=1.0)
        try:
            identify(self._current.value, self._socket, self._key)
        except errors.GatewayError as error:
            self._entry.count_refusal(self._socket.head.path, self._socket.peer, error)
            raise
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
                await self._socket.close(1000, f"The socket was idle for {idle_s:g} s.")
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
                # Without a variable, which would keep a large message alive until the next one arrives.
                await self._process(await self._socket.receive())
        except SocketClosed:
            return

    async def _process(self, message: str | bytes) -> None:
        """Process one frame. Errors are reported to the client; the socket stays open."""
        self._active_s = self._loop.time()
        frame = ReceivedFrame()
        try:
            frame = await self._decode(message)
            del message
            match frame.type:
                case "chat.create":
                    self._start(frame)
                    await asyncio.sleep(0)  # a task that is canceled before it has started would leave no record
                case "cancel":
                    self._cancel(frame)
                case "ping":
                    await self._socket.send(encode_frame("pong", frame.id))
                case _:
                    raise _unknown_type(frame.type)
        except errors.GatewayError as error:
            await self._socket.send(encode_frame("error", frame.id, error=error))

    async def _decode(self, message: str | bytes) -> ReceivedFrame:
        """Decode a frame, whose request is decoded later. Raises `InvalidRequest`."""
        server, spine = self._current.value.runtime.server, self._current.value.spine
        if len(message) > SMALL_BYTES:
            return await spine.off_loop.run(len(message), lambda: _decode_large(message, server))
        data = message.encode() if isinstance(message, str) else message
        # The frame adds one level to the depth of the request.
        check_depth(data, server.max_json_depth + 1)
        return decode_frame(data)

    def _start(self, frame: ReceivedFrame) -> None:
        frame_id = frame.required_id("Choose an id for each request on the socket.")
        if not frame.request:
            raise errors.InvalidRequest(
                "Missing required parameter: 'request'.", code="missing_required_parameter", param="request"
            )
        if frame_id in self._running:
            raise errors.InvalidRequest(
                f"The id '{frame_id}' is used by another request in flight on this socket.",
                code="duplicate_id",
                param="id",
                hint="Choose another id, or wait until that request has completed.",
            )
        if len(self._running) >= MAX_IN_FLIGHT:
            raise errors.Overloaded(
                f"The socket is at its limit of {MAX_IN_FLIGHT} requests in flight.",
                hint="Wait until a request has completed, or open another socket.",
                retry_after_s=1.0,
            )
        if self._is_stopping.is_set():
            raise errors.Overloaded("The gateway is stopping.", retry_after_s=1.0)
        running = self._running[frame_id] = _Running()
        work = self._run(frame_id, running, bytes(frame.request))
        task = running.task = self._owner.start(work, frame_id)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _cancel(self, frame: ReceivedFrame) -> None:
        frame_id = frame.required_id("Send the id of the request to cancel.")
        running = self._running.get(frame_id)
        if running is None or running.task is None or running.exchange is None:
            raise errors.InvalidRequest(
                f"No request with the id '{frame_id}' is in flight on this socket.",
                code="unknown_id",
                param="id",
                hint="It may have completed in the meantime.",
            )
        running.is_canceled = running.exchange.is_client_disconnected = True
        running.task.cancel()

    async def _run(self, frame_id: str, running: _Running, body: bytes) -> None:
        """Serve one request."""

        def release() -> None:
            self._active_s = self._loop.time()
            if self._running.get(frame_id) is running:
                del self._running[frame_id]

        def on_open(exchange: Exchange) -> None:
            running.exchange = exchange

        endpoint = self._current.value.dialects.endpoints[ENDPOINT]
        reply = FrameReply(self._socket, frame_id, release)
        try:
            await self._entry.serve(FrameSource(endpoint, self._socket, self._key, body, self._context), reply, on_open)
            if running.is_canceled and running.exchange is not None:
                await reply.cancel(running.exchange)
        finally:
            release()


def _decode_large(message: str | bytes, server: ServerSpec) -> ReceivedFrame:
    data = message.encode() if isinstance(message, str) else message
    limits = server.request_limits()
    check_json(data, structs.replace(limits, json_depth=limits.json_depth + 1))
    return decode_frame(data)


def _unknown_type(kind: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Unknown frame type '{kind[:100]}'." if kind else "The frame has no `type`.",
        code="unknown_frame_type",
        param="type",
        hint="The frame types are `chat.create`, `cancel` and `ping`.",
    )


class FrameSource:
    """Implements `pipeline.Source` for one request on a socket."""

    path: Final = PATH
    request_id: Final = None
    is_task_owner: Final = True

    def __init__(
        self, endpoint: Endpoint, socket: Socket, key: bytes | None, body: bytes, context: RequestContext
    ) -> None:
        self.endpoint = endpoint
        self.context = context
        self._socket = socket
        self._key = key
        self._body = body

    @property
    def peer(self) -> PeerAddress | None:
        return self._socket.peer

    def identify(self, generation: Generation) -> Identity:
        return identify(generation, self._socket, self._key)

    def read(self, limits: ServerSpec) -> bytes:  # noqa: ARG002
        return self._body

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        """Do nothing: `Multiplexer` cancels the requests of a closed socket."""
