"""Signals of the gateway's process, from before it listens until it has stopped.

    SIGTERM, SIGINT     stop: the first time after the requests in flight, the second time at once
    SIGHUP              reload the configuration
    SIGUSR1, SIGUSR2    nothing; tools that rotate logs send them

The default action of each of them would end the process.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

logger = logging.getLogger(__name__)

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_WITHOUT_EFFECT: Final = (signal.SIGUSR1, signal.SIGUSR2)
_HANDLED: Final = (*_STOPPING, signal.SIGHUP, *_WITHOUT_EFFECT)
_ANOTHER_S: Final = 1.0
"""A signal that follows the first one sooner is the same request: Ctrl-C reaches `make` and the gateway."""


class StoppedEarly(BaseException):
    """A signal has asked the process to stop before its event loop is running."""


class Signals:
    """Handles the signals of one process. Use it in the main thread."""

    def __init__(self) -> None:
        self._has_reload = False
        self._is_ready = False
        self._on_reload: Callable[[], None] | None = None

    def install(self) -> None:
        """Handle signals before there is an event loop.

        One that stops the process raises `StoppedEarly`. A reload waits until the gateway is ready.
        """
        for number in _HANDLED:
            signal.signal(number, self._handle_early)

    def attach(self, on_stop: Callable[[], None], on_reload: Callable[[], None]) -> None:
        """Handle signals in the running event loop. `on_reload` is not called before `begin_reloads`."""
        loop = asyncio.get_running_loop()
        self._on_reload = on_reload
        for number in _STOPPING:
            loop.add_signal_handler(number, on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        for number in _WITHOUT_EFFECT:
            loop.add_signal_handler(number, _log_without_effect, number)

    def begin_reloads(self) -> None:
        """Reload from now on, and now if a signal has asked for it before."""
        self._is_ready = True
        if self._has_reload:
            self._reload()

    def end_reloads(self) -> None:
        """Ignore requests to reload from now on, because the gateway is stopping."""
        self._is_ready = False

    def allow_kill(self, first_s: float) -> None:
        """Let a further signal end the process by its default action, unless it follows the first one at once."""
        loop = asyncio.get_running_loop()

        def end(number: signal.Signals) -> None:
            if loop.time() - first_s >= _ANOTHER_S:
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)

        for number in _STOPPING:
            loop.add_signal_handler(number, end, number)

    @staticmethod
    def ignore() -> None:
        """Ignore all of them while the process ends, after everything has been stopped."""
        loop = asyncio.get_running_loop()
        for number in _HANDLED:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    def _handle_early(self, number: int, _: FrameType | None) -> None:
        if number in _STOPPING:
            raise StoppedEarly
        if number == signal.SIGHUP:
            self._has_reload = True

    def _reload(self) -> None:
        self._has_reload = True
        if self._is_ready and self._on_reload is not None:
            self._has_reload = False
            self._on_reload()


def _log_without_effect(number: signal.Signals) -> None:
    logger.info("%s has no effect. SIGHUP reloads the configuration.", number.name)
