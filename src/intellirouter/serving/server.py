"""Runs the server and its event loop: binds, serves, and drains on a signal."""

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any, Final, Protocol, cast

import uvicorn
import uvloop

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import TaskOwner
from intellirouter.serving.http_protocol import BoundedProtocol, build_websocket_protocol

logger = logging.getLogger(__name__)

_BACKLOG = 2048
_KEEP_ALIVE_S = 75


class CannotListen(Exception):
    """The gateway cannot listen on its address."""

    def __init__(self, message: str, hint: str) -> None:
        """Both are whole sentences; the hint says how to fix the cause."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class Server(uvicorn.Server):
    """Uvicorn's server, which calls `on_ready` when it listens, and exits with status 0 after a signal."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None], on_stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stopping = on_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _tune_interpreter()
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stopping()
        await super().shutdown(sockets)
        if self.force_exit:
            for task in self.server_state.tasks:
                task.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first signal. On the second one, stop without waiting for the requests in flight."""
        del sig, frame
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


_SWITCH_INTERVAL_S: Final = 0.0005
"""How long a background thread may block the event loop: a tenth of Python's default."""


def _tune_interpreter() -> None:
    """Exclude the objects of the start-up from garbage collection, and collect less often.

    Exchanges create no reference cycles, so collections find almost nothing, but traversing all objects adds latency.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises `CannotListen`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        reason, hint = _listen_problem(error, host)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise CannotListen(f"Cannot listen on {address}: {reason}.", hint) from error
    sock.setblocking(False)
    return sock


def _listen_problem(error: OSError, host: str) -> tuple[str, str]:
    """Return why `bind` failed, and a hint."""
    own_address = "Set --host to an address of this machine, such as 127.0.0.1, or to 0.0.0.0 for all of them."
    if isinstance(error, socket.gaierror):
        return f"{host} is not an IP address or a known host name", own_address
    match error.errno:
        case errno.EADDRINUSE:
            return "another program uses this address", "Stop that program, or choose another port with --port."
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return f"this machine does not have the address {host}", own_address
        case errno.EACCES | errno.EPERM:
            return "permission denied", "Choose a port above 1023 with --port, or run the gateway as a permitted user."
    return error.strerror or str(error), "Choose another address with --host, or another port with --port."


class Application(Protocol):
    """An ASGI application that can be started, stopped and reloaded. It is built inside the event loop."""

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]: ...

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


def run(
    build: Callable[[], Application],
    sock: socket.socket,
    spec: ServerSpec,
    *,
    on_ready: Callable[[], None],
) -> None:
    """Serve until SIGINT or SIGTERM, then drain for a limited time and return."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(build, sock, spec, on_ready))


async def _serve(
    build: Callable[[], Application],
    sock: socket.socket,
    spec: ServerSpec,
    on_ready: Callable[[], None],
) -> None:
    application = build()
    owner = TaskOwner("server")
    config = uvicorn.Config(
        application,
        http=BoundedProtocol,
        loop="none",
        ws=cast("Any", build_websocket_protocol),
        ws_per_message_deflate=False,
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        backlog=_BACKLOG,
    )
    _apply_limits(config, spec)
    server = Server(config, on_ready, on_stopping=application.begin_stop)

    async def reload() -> None:
        _apply_limits(config, await application.reload())

    try:
        await application.start()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: owner.start(reload(), "reload"))
        await server.serve(sockets=[sock])
    finally:
        await owner.stop()
        await application.stop(is_forced=server.force_exit)


def _apply_limits(config: uvicorn.Config, spec: ServerSpec) -> None:
    """Set the limits that a reload may change. New connections, and the next shutdown, read them from `config`."""
    config.ws_max_size = spec.max_body_bytes
    config.timeout_graceful_shutdown = max(1, round(spec.drain_s))
