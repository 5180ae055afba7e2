"""The start of the program: signals are handled before anything slow is imported.

Importing the commands takes a good part of a second on a busy machine. Python's own handlers would answer a signal
with a traceback, or let it kill the process.
"""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module

_INTERRUPTED = 130


def main() -> None:
    """Run the command line. Ends the process with an `ExitStatus`, or with 130 after Ctrl-C."""
    is_server = sys.argv[1:2] == ["serve"]
    _handle_signals(is_server=is_server)
    app = import_module("intellirouter.cli.app")
    if is_server:
        app.run()  # handles signals itself as soon as its modules are imported
    else:
        _run_interruptible(app.run)


def _handle_signals(*, is_server: bool) -> None:
    if is_server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop_server)
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)  # the configuration has not been read yet
    elif signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)


def _run_interruptible(run: Callable[[], None]) -> None:
    """Run a command that Ctrl-C interrupts wherever it is, so that it can tidy up."""
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    try:
        if not is_ignored:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        run()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    finally:
        if not is_ignored:
            signal.signal(signal.SIGINT, _interrupt)  # Python is still ending


def _stop_server(*_: object) -> None:
    os._exit(0)  # a normal stop; nothing has been opened yet


def _interrupt(*_: object) -> None:
    os._exit(_INTERRUPTED)
