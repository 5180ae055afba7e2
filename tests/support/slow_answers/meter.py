"""Measures how long a server keeps other clients waiting.

A process of its own asks for `/health/live` again and again. Time in which the server or this process was ready to run,
but the machine ran other processes, does not count: Linux reports it in `schedstat`.
"""

import json
import subprocess
import sys
from types import TracebackType
from typing import Self

_PROGRAM = """
import glob, json, os, socket, sys, threading, time
port, pid, interval_s = int(sys.argv[1]), sys.argv[2], 0.005
worst, lock = {}, threading.Lock()

def waited_s():
    total = 0
    for path in (*glob.glob(f"/proc/{pid}/task/*/schedstat"), *glob.glob("/proc/self/task/*/schedstat")):
        try:
            with open(path) as file:
                total += int(file.read().split()[1])
        except (OSError, IndexError):
            pass
    return total / 1e9

def poll():
    link = socket.create_connection(("127.0.0.1", port), 60)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        waited, started = waited_s(), time.monotonic()
        link.sendall(b"GET /health/live HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n")
        if not link.recv(65536).startswith(b"HTTP/1.1 200"):
            os._exit(1)
        taken = time.monotonic() - started
        with lock:
            worst["total"] = max(worst.get("total", 0), taken)
            worst["counted"] = max(worst.get("counted", 0), taken - (waited_s() - waited))
        time.sleep(interval_s)

threading.Thread(target=poll, daemon=True).start()
for _ in sys.stdin:
    time.sleep(3 * interval_s)
    with lock:
        print(json.dumps(worst), flush=True)
        worst.clear()
"""


class StallMeter:
    """A context manager. `take_ms` returns the longest wait since the last call."""

    def __init__(self, port: int, pid: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(port), str(pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        self.take_ms()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def take_ms(self) -> float:
        """Return the longest wait in milliseconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("take\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "The server did not answer /health/live."
        worst: dict[str, float] = json.loads(line)
        return max(0.0, worst.get("counted", 0.0)) * 1000
