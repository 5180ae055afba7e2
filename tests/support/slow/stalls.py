"""Measures how long a server does not answer, while other clients keep it busy.

A process of its own asks the server for `/health/live` every 10 ms. At the same time, it asks a trivial server, which
shows how long the machine itself lets a process wait. Five times a second, that server copies as many bytes as the
largest body has. No server can do without such a copy, and on a busy machine it takes much longer than its 10 ms.
"""

import json
import subprocess
import sys
from types import TracebackType
from typing import Final, Self

_INTERVAL_S: Final = 0.01
_CONTROL = """
import itertools, socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
link, _ = server.accept()
body = bytes(32 * 1024 * 1024)
for number in itertools.count():
    if not link.recv(4096):
        break
    if number % 20 == 0:
        bytearray(body)
    link.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n")
"""
_POLLER = f"""
import json, select, socket, sys, threading, time
worst = {{}}
def poll(name, port):
    link = socket.create_connection(("127.0.0.1", port), 30)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        started = time.monotonic()
        link.sendall(b"GET /health/live HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n")
        if not link.recv(4096).startswith(b"HTTP/1.1 200"):
            raise SystemExit("The server closed the connection.")
        worst[name] = max(worst.get(name, 0.0), time.monotonic() - started)
        time.sleep({_INTERVAL_S})
for name, port in (("server", sys.argv[1]), ("control", sys.argv[2])):
    threading.Thread(target=poll, args=(name, int(port)), daemon=True).start()
for _ in sys.stdin:
    time.sleep(2 * {_INTERVAL_S})
    print(json.dumps(worst), flush=True)
    worst.clear()
"""


class StallMeter:
    """A context manager. `take` returns the worst answers since the last call."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __enter__(self) -> Self:
        self._control = _start(_CONTROL)
        assert self._control.stdout is not None
        control_port = self._control.stdout.readline().strip()
        self._poller = _start(_POLLER, str(self._port), control_port)
        self.take()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for process in (self._poller, self._control):
            process.kill()
            process.communicate()

    def take(self) -> tuple[float, float]:
        """Return the worst answer of the server and of the trivial server, in milliseconds."""
        assert self._poller.stdin is not None
        assert self._poller.stdout is not None
        self._poller.stdin.write("take\n")
        self._poller.stdin.flush()
        worst = json.loads(self._poller.stdout.readline())
        return worst.get("server", 0.0) * 1000, worst.get("control", 0.0) * 1000


def _start(program: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
