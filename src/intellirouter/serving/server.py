"""Serving: bind, run, drain on a signal, exit 0. The event loop lives here and nowhere else."""

import asyncio
import contextlib
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
from intellirouter.serving.http_protocol import BoundedProtocol, open_socket

logger = logging.getLogger(__name__)

_BACKLOG = 2048
_KEEP_ALIVE_S = 75


class AddressInUse(Exception):
    """The gateway's port is taken."""


class Server(uvicorn.Server):
    """Uvicorn's server, which says when it listens, and ends a signal's work with exit status 0 instead of raising
    the signal again.
    """

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None], on_stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stopping = on_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _spare_the_collector()
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stopping()
        await super().shutdown(sockets)
        if self.force_exit:
            for task in self.server_state.tasks:
                task.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains; the second one, whichever it is, ends the wait for what is under way."""
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


_SWITCH_S: Final = 0.0005
"""How long a background thread may keep the interpreter from the event loop: a tenth of Python's default."""


def _spare_the_collector() -> None:
    """Take what start-up made out of the garbage collector's sight, and let it look less often.

    Exchanges make no cycles, so collections find next to nothing; looking through all modules for it costs latency.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    sys.setswitchinterval(_SWITCH_S)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises `AddressInUse`, OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if isinstance(error, PermissionError):
            raise
        raise AddressInUse(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
    sock.setblocking(False)
    return sock


class Application(Protocol):
    """What is served: an ASGI application with a beginning and an end, built inside the event loop."""

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]: ...

    async def start(self) -> None: ...

    def begin_stop(self) -> None:
        """Begin nothing new, while requests under way finish."""
        ...

    async def stop(self) -> None: ...

    async def reload(self) -> ServerSpec:
        """Read the configuration again (SIGHUP). Reports its own errors. Returns the limits that hold now."""
        ...


def run(
    build: Callable[[], Application],
    sock: socket.socket,
    spec: ServerSpec,
    *,
    on_ready: Callable[[], None],
    can_reload: bool,
) -> None:
    """Serve until SIGINT or SIGTERM, then drain (bounded) and return."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(build, sock, spec, on_ready, can_reload))


async def _serve(
    build: Callable[[], Application],
    sock: socket.socket,
    spec: ServerSpec,
    on_ready: Callable[[], None],
    can_reload: bool,  # noqa: FBT001
) -> None:
    application = build()
    owner = TaskOwner("server")
    config = uvicorn.Config(
        application,
        http=BoundedProtocol,
        loop="none",
        ws=cast("Any", open_socket),
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
        if can_reload:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: owner.start(reload(), "reload"))
        await server.serve(sockets=[sock])
    finally:
        await owner.stop()
        await application.stop()


def _apply_limits(config: uvicorn.Config, spec: ServerSpec) -> None:
    """Set the limits that a reload may change. New connections, and the next shutdown, read them from `config`."""
    config.ws_max_size = spec.max_body_bytes
    config.timeout_graceful_shutdown = max(1, round(spec.drain_s))
