"""Runs the server and its event loop: accepts connections, watches their deadlines, and drains on a signal."""

import asyncio
import contextlib
import errno
import importlib
import logging
import os
import resource
import socket
from collections.abc import Callable
from typing import Final, Protocol

import uvloop

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import TaskOwner, format_count
from intellirouter.gateway import RequestHead
from intellirouter.serving.connection import Connection
from intellirouter.serving.interpreter import MemoryKeeper, tune_interpreter
from intellirouter.serving.listening_socket import BACKLOG, remove_socket_file
from intellirouter.serving.signals import Signals
from intellirouter.serving.state import RequestServer, ServerState
from intellirouter.serving.tls import TlsProblem, load_certificate, tls_context

logger = logging.getLogger(__name__)

_SWEEP_S: Final = 0.5
"""How often deadlines of connections are checked."""
_CANCEL_S: Final = 2.0
"""How long canceled requests have to send their error responses."""
_WEBSOCKET: Final = "intellirouter.serving.websocket"


class Application(RequestServer, Protocol):
    """An application that can be started, stopped and reloaded. It is built inside the event loop."""

    async def start(self) -> None: ...

    def begin_stop(self) -> None:
        """Start no new background work while the requests in flight finish."""
        ...

    async def stop(self, *, is_forced: bool) -> None:
        """Stop. `is_forced`: do not wait for work in progress, because a second signal has arrived."""
        ...

    async def reload(self) -> ServerSpec:
        """Reload the configuration (SIGHUP), if possible, and return the current limits. Logs its own errors."""
        ...


class Server:
    """Accepts connections until a signal arrives."""

    def __init__(self, application: Application, sock: socket.socket, limits: ServerSpec, signals: Signals) -> None:
        self._application = application
        self._sock = sock
        self._signals = signals
        self._state = ServerState(application, limits, self._open_socket)
        self._tls = tls_context(limits)
        self._stop = asyncio.Event()
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._is_out_of_files = False
        self._memory = MemoryKeeper()
        self._forced = asyncio.Event()
        self._stopped_s = 0.0
        self._owner = TaskOwner("server")

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until a signal arrives, then drain."""
        state = self._state
        try:
            listener = await state.loop.create_server(
                lambda: Connection(state),
                sock=self._sock,
                backlog=BACKLOG,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else state.limits.head_timeout_s,
                ssl_shutdown_timeout=None if self._tls is None else 1.0,
            )
            tune_interpreter()
            self._memory.start(state.loop.time())
            self._sweep()
            on_ready()
            self._signals.begin_reloads()
            await self._stop.wait()
            self._signals.end_reloads()
            remove_socket_file(self._sock)
            listener.close()
            self._application.begin_stop()
            await self._drain()
        finally:
            if self._sweep_timer is not None:
                self._sweep_timer.cancel()
            self._signals.end_reloads()
            await self._owner.stop()
            self._signals.allow_kill(self._stopped_s)

    def stop(self) -> None:
        """Drain on the first call. On the second one, stop without waiting for the requests in flight."""
        if self._stop.is_set():
            logger.warning("A second signal has arrived: requests in flight are canceled.")
            self._forced.set()
        else:
            self._stopped_s = self._state.loop.time()
        self._stop.set()

    def reload(self) -> None:
        """Start a reload of the configuration."""
        self._owner.start(self._reload(), "reload")

    @property
    def is_forced(self) -> bool:
        """A second signal has arrived."""
        return self._forced.is_set()

    async def _reload(self) -> None:
        """Reload the configuration. Its limits, and a renewed certificate, apply from now on."""
        limits = await self._application.reload()
        self._state.apply(limits)
        if self._tls is not None:
            try:
                load_certificate(self._tls, limits)
            except TlsProblem as problem:  # the files have changed since the configuration was checked
                message = "%s: %s %s The previous certificate stays in use."
                logger.error(message, problem.setting, problem.message, problem.hint)  # noqa: TRY400 - the cause suffices

    async def _drain(self) -> None:
        """Wait for the requests in flight, then cancel those that remain, and close all connections."""
        connections = self._state.connections
        for each in tuple(connections):
            each.begin_close()
        drain_s = max(1.0, self._state.limits.drain_s)
        await self._wait_until_empty(drain_s)
        canceled = sum([each.cancel() for each in tuple(connections)])
        if canceled and not self.is_forced:
            requests = format_count(canceled, "request")
            logger.warning("The drain ended after %g s (server.drain_s). Canceled: %s.", drain_s, requests)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._state.is_empty.wait(), _CANCEL_S)
        for each in tuple(connections):
            each.abort()
        await asyncio.sleep(0)

    async def _wait_until_empty(self, timeout_s: float) -> None:
        """Wait until all connections are closed, or a second signal arrives."""
        events = {self._owner.start(event.wait(), "drain") for event in (self._state.is_empty, self._forced)}
        await asyncio.wait(events, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)

    def _sweep(self) -> None:
        """Close connections whose deadline has passed."""
        state = self._state
        now_s = state.loop.time()
        state.update_date()
        for each in tuple(state.connections):
            each.check_deadline(now_s)
        self._check_files()
        self._memory.check(now_s)
        self._sweep_timer = state.loop.call_later(_SWEEP_S, self._sweep)

    def _check_files(self) -> None:
        """Log once when the process cannot open files any more. The event loop then drops new connections silently."""
        try:
            os.close(os.dup(self._sock.fileno()))
            self._is_out_of_files = False
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE} or self._is_out_of_files:
                return
            self._is_out_of_files = True
            logger.error(  # noqa: TRY400 - the traceback says nothing
                "The process has reached its limit of %d open files, so new connections are dropped. "
                "Raise it with `ulimit -n`, or with LimitNOFILE in a systemd unit.",
                resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            )

    def _open_socket(self, transport: asyncio.Transport, head: RequestHead, data: bytes) -> None:
        """Hand a connection over to a WebSocket. The first one loads its library."""
        websocket = importlib.import_module(_WEBSOCKET).WebSocket(self._state, transport, head)
        transport.set_protocol(websocket)
        websocket.open(data)


def run(
    build: Callable[[], Application],
    sock: socket.socket,
    limits: ServerSpec,
    *,
    on_ready: Callable[[], None],
    signals: Signals | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then drain for a limited time and return.

    Pass the `signals` that have been installed before the socket was opened. They are ignored afterwards.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(build, sock, limits, on_ready, signals or Signals()))


async def _serve(
    build: Callable[[], Application],
    sock: socket.socket,
    limits: ServerSpec,
    on_ready: Callable[[], None],
    signals: Signals,
) -> None:
    application = build()
    server = Server(application, sock, limits, signals)
    signals.attach(server.stop, server.reload)
    try:
        await application.start()
        await server.run(on_ready)
    finally:
        await application.stop(is_forced=server.is_forced)
        signals.ignore()
