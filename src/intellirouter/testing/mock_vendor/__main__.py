"""The entry point of `python -m intellirouter.testing.mock_vendor`."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from intellirouter.core import TaskOwner
from intellirouter.testing.mock_vendor.connection import Connection
from intellirouter.testing.mock_vendor.vendor import Vendor

try:
    import uvloop
except ImportError:  # uvloop is not available on every system
    new_event_loop = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop

BACKLOG: Final = 2048


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m intellirouter.testing.mock_vendor",
        description="A mock of several LLM vendors for tests, with faults on demand.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="The address to listen on; by default, 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="The port; 0, the default, selects a free port.")
    parser.add_argument("--uds", type=Path, help="Also listen on this unix socket.")
    parser.add_argument("--api-key", help="Reject requests without this key; by default, any key is accepted.")
    parser.add_argument("--exit-on-eof", action="store_true", help="Exit when standard input is closed.")
    return parser.parse_args(argv)


async def serve(arguments: argparse.Namespace) -> None:
    """Listen, print `READY URL`, and serve until SIGTERM, SIGINT or the end of standard input."""
    loop = asyncio.get_running_loop()
    vendor = Vendor(arguments.api_key)
    tasks = TaskOwner("mock_vendor")
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if arguments.exit_on_eof:
        loop.add_reader(sys.stdin.fileno(), _watch_stdin, stopped)

    def connection() -> Connection:
        return Connection(vendor, tasks)

    servers: list[Any] = [await loop.create_server(connection, arguments.host, arguments.port, backlog=BACKLOG)]
    if arguments.uds is not None:
        servers.append(await loop.create_unix_server(connection, str(arguments.uds), backlog=BACKLOG))
    host, port = servers[0].sockets[0].getsockname()[:2]
    sys.stdout.write(f"READY http://{f'[{host}]' if ':' in host else host}:{port}\n")
    sys.stdout.flush()
    await stopped.wait()
    for server in servers:
        server.close()
    await tasks.stop()
    if arguments.uds is not None:
        arguments.uds.unlink(missing_ok=True)


def _watch_stdin(stopped: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stopped.set()


def main(argv: list[str] | None = None) -> None:
    """Serve. If an address is not available, print one line on standard error and exit with status 1."""
    arguments = _arguments(argv)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            runner.run(serve(arguments))
        except OSError as error:
            uds = "" if arguments.uds is None else f" or on {arguments.uds}"
            reason = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror
            sys.exit(f"Error: Cannot listen on {arguments.host}:{arguments.port}{uds}: {reason}.")


if __name__ == "__main__":
    main()
