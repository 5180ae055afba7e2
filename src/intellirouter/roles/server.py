"""Serving: bind, run, drain on a signal, exit 0. The event loop lives here and nowhere else."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final, cast

import uvicorn
import uvloop

from intellirouter.config import ConfigError, Runtime
from intellirouter.core import TaskOwner
from intellirouter.roles.compose import Plane
from intellirouter.roles.protocol import BoundedProtocol, open_socket

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
        raise AddressInUse(f"cannot listen on {host}:{port}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


def run(
    runtime: Runtime,
    sock: socket.socket,
    *,
    on_ready: Callable[[], None],
    on_host_event: Callable[..., None] | None,
    reload: Callable[[], Runtime] | None,
) -> None:
    """Serve until SIGINT or SIGTERM, then drain (bounded) and return."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(runtime, sock, on_ready, on_host_event, reload))


async def _serve(
    runtime: Runtime,
    sock: socket.socket,
    on_ready: Callable[[], None],
    on_host_event: Callable[..., None] | None,
    reload: Callable[[], Runtime] | None,
) -> None:
    plane = Plane(runtime, on_host_event=on_host_event)
    owner = TaskOwner("server")
    config = uvicorn.Config(
        plane,
        http=BoundedProtocol,
        loop="none",
        ws=cast("Any", open_socket),
        ws_max_size=runtime.server.max_body_bytes,
        ws_per_message_deflate=False,
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(runtime.server.drain_s)),
        backlog=_BACKLOG,
    )
    server = Server(config, on_ready, on_stopping=plane.begin_stop)
    try:
        await plane.start()
        if reload is not None:
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGHUP, lambda: owner.start(_reload(plane, reload), "reload")
            )
        await server.serve(sockets=[sock])
    finally:
        await owner.stop()
        await plane.stop()


async def _reload(plane: Plane, reload: Callable[[], Runtime]) -> None:
    """Read the configuration again. A bad one changes nothing and says why."""
    try:
        runtime = await asyncio.to_thread(reload)
        plane.swap(runtime)
    except ConfigError as error:
        for problem in error.problems:
            logger.error("reload refused: %s", problem)  # noqa: TRY400 - no traceback wanted
        return
    logger.info("configuration reloaded: %d models, %d deployments", len(runtime.models), len(runtime.deployments))
