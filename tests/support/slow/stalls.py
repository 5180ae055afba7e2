"""Measures how long a server does not answer, while other clients keep it busy.

A process of its own asks the server for `/health/live` every 10 ms. The time for which the system lets the server or
that process wait for a processor is subtracted, because on a busy machine it is longer than what is measured. At the
same time, a trivial server is asked that copies as many bytes as the largest body has, again and again. No server can
do without such a copy, and it takes from 10 to 100 ms.
"""

import json
import subprocess
import sys
from types import TracebackType
from typing import Final, Self

_INTERVAL_S: Final = 0.01
_CONTROL: Final = """
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
_POLLER: Final = f"""
import json, os, socket, sys, threading, time
worst = {{}}
def waited_s(task):
    try:
        with open(task + "/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:
        return 0.0
def waits(pid):
    tasks = f"/proc/{{pid}}/task"
    try:
        return {{task: waited_s(f"{{tasks}}/{{task}}") for task in os.listdir(tasks)}}
    except OSError:
        return {{}}
def poll(name, port, pid):
    me = f"/proc/self/task/{{threading.get_native_id()}}"
    link = socket.create_connection(("127.0.0.1", port), 120)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        before, own_s, started_s = waits(pid), waited_s(me), time.monotonic()
        link.sendall(b"GET /health/live HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n")
        if not link.recv(4096).startswith(b"HTTP/1.1 200"):
            raise SystemExit("The server closed the connection.")
        took_s = time.monotonic() - started_s - (waited_s(me) - own_s)
        delays = {{task: wait - before.get(task, wait) for task, wait in waits(pid).items()}}
        # The event loop waits for a processor, or for another thread that waits for one.
        took_s -= delays.pop(str(pid), 0.0) + max(delays.values(), default=0.0)
        worst[name] = max(worst.get(name, 0.0), took_s)
        time.sleep({_INTERVAL_S})
ports = {{"server": int(sys.argv[1]), "control": int(sys.argv[3])}}
pids = {{"server": int(sys.argv[2]), "control": int(sys.argv[4])}}
for name in ports:
    threading.Thread(target=poll, args=(name, ports[name], pids[name]), daemon=True).start()
for _ in sys.stdin:
    time.sleep(2 * {_INTERVAL_S})
    print(json.dumps(worst), flush=True)
    worst.clear()
"""


class StallMeter:
    """A context manager. `take` returns the worst answers since the last call."""

    def __init__(self, port: int, pid: int) -> None:
        self._port = port
        self._pid = pid

    def __enter__(self) -> Self:
        self._control = _start(_CONTROL)
        assert self._control.stdout is not None
        control_port = self._control.stdout.readline().strip()
        self._poller = _start(_POLLER, str(self._port), str(self._pid), control_port, str(self._control.pid))
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
