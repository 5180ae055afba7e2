"""Clients that attack a server: they write without reading, hold connections, and leave; and its memory meanwhile."""

import contextlib
import json
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess, until
from tests.support.http_corpus import chat_body, connect, get, post_sized

MIB = 1024 * 1024
PEAK_BYTES = 150 * MIB
LEFT_BYTES = 30 * MIB
GIVEN_BACK_S = 10.0
_SAMPLE_S = 0.005
_STALLED_S = 0.4
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


class MemoryWatch:
    """Samples the resident memory of a process in a thread."""

    def __init__(self, pid: int, idle_bytes: int) -> None:
        self.pid = pid
        self.idle_bytes = idle_bytes
        self.peak_bytes = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._is_over.wait(_SAMPLE_S):
            self.peak_bytes = max(self.peak_bytes, self.grown_bytes())

    def grown_bytes(self) -> int:
        return resident_bytes(self.pid) - self.idle_bytes

    def is_exceeded(self) -> bool:
        """Return whether the attack has succeeded, so that it does not also fill the memory of this machine."""
        return self.peak_bytes > 2 * PEAK_BYTES


def attacked_config(vendor: MockVendor, **server: Any) -> dict[str, Any]:
    return {
        "server": {"drain_s": 1, **server},
        "providers": {
            "mock": {"vendor": "openai-compatible", "base_url": vendor.base_url, "models": "*"},
            "fake": {"vendor": "fake"},
        },
    }


def upload(gateway: GatewayProcess, size: int = 20 * MIB) -> bytes:
    """Store a file and return the path of its content."""
    files = {"file": ("large.jsonl", b'{"a": "%b"}\n' % (b"x" * (size - 10)))}
    answer = httpx.post(f"{gateway.base_url}/files", files=files, data={"purpose": "batch"}, timeout=20)
    assert answer.status_code == 200, answer.text
    return f"/v1/files/{answer.json()['id']}/content".encode()


def fetch(gateway: GatewayProcess, path: str) -> Any:
    """Return a document of the control API. The connection is new, because the gateway may close idle ones soon."""
    return httpx.get(gateway.url + path, headers={"connection": "close"}, timeout=20).json()


class Target:
    """A gateway for many attacks, one after the other. A gateway that an attack has harmed is replaced."""

    def __init__(self, config: dict[str, Any], directory: Path) -> None:
        self._config = config
        self._directory = directory
        self._count = 0
        self._gateway: GatewayProcess | None = None
        self._log_size = 0
        self.idle_bytes = 0

    def gateway(self) -> GatewayProcess:
        if self._gateway is None:
            self._count += 1
            directory = self._directory / str(self._count)
            directory.mkdir()
            self._gateway = GatewayProcess(self._config, directory)
            self._gateway.start()
            self.idle_bytes = warmed_up(self._gateway)
            self._log_size = 0
        return self._gateway

    def check(self) -> None:
        """Check what the last attack has left: no requests in flight, no tracebacks, no internal errors."""
        gateway = self.gateway()
        try:
            until(lambda: fetch(gateway, "/api/v1/health")["in_flight"] == 0, "nothing is in flight", GIVEN_BACK_S)
            records = fetch(gateway, "/api/v1/requests?errors=true&limit=200")["requests"]
            assert [record for record in records if "internal_error" in json.dumps(record)] == []
            log = gateway.stderr()[self._log_size :]
            assert "Traceback" not in log, log[:3000]
            until(self._is_small, "the memory is given back", GIVEN_BACK_S)
            self._log_size += len(log)
        except BaseException:
            gateway.kill()
            self._gateway = None
            raise

    def _is_small(self) -> bool:
        assert self._gateway is not None
        return resident_bytes(self._gateway.process.pid) - self.idle_bytes <= LEFT_BYTES

    def stop(self) -> None:
        if self._gateway is not None:
            self._gateway.stop()


def warmed_up(gateway: GatewayProcess) -> int:
    """Return the resident memory of an idle gateway that has served a few requests of every kind."""
    for _ in range(3):
        with connect(gateway.port) as link:
            for body in (chat_body("fake/echo"), chat_body("fake/echo", stream=True)):
                link.sendall(post_sized(body))
                link.recv(65536)
            link.sendall(get(b"/openapi.json", b"Connection: close"))
            while link.recv(65536):
                pass
        for path in ("/api/v1/health", "/api/v1/requests?errors=true&limit=200"):  # which `Target.check` sends
            fetch(gateway, path)
    time.sleep(0.1)
    return resident_bytes(gateway.process.pid)


@contextlib.contextmanager
def bounded_memory(gateway: GatewayProcess, idle_bytes: int) -> Iterator[MemoryWatch]:
    """Check that the gateway's memory stays within bounds during the block, and is given back after it."""
    with MemoryWatch(gateway.process.pid, idle_bytes) as watch:
        yield watch
    assert watch.peak_bytes <= PEAK_BYTES, f"{watch.peak_bytes / MIB:.0f} MiB over idle"
    until(lambda: watch.grown_bytes() <= LEFT_BYTES, "the memory is given back", GIVEN_BACK_S)


class Writer:
    """A connection that writes `first` and then `block` again and again, and reads nothing."""

    def __init__(self, link: socket.socket, first: bytes, block: bytes) -> None:
        self.link = link
        self.sent_bytes = 0
        self.is_closed = False
        """Whether the server has closed or reset the connection."""
        self._block = memoryview(block)
        self._pending = memoryview(first + block)

    def write(self) -> bool:
        """Write what the system accepts. Returns whether that was anything."""
        if not self._pending:
            self._pending = self._block
        try:
            size = self.link.send(self._pending)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            self.is_closed = True
            return False
        self._pending = self._pending[size:]
        self.sent_bytes += size
        return size > 0


def pump(
    writers: list[Writer],
    watch: MemoryWatch,
    seconds: float,
    *,
    limit_bytes: int | None = None,
    stops_when_answered: bool = False,
) -> None:
    """Write on all connections for some time, or until none of them accepts anything for a while.

    `limit_bytes` is the most that each connection writes. With `stops_when_answered`, a connection stops to write when
    it has received something.
    """
    events = selectors.EVENT_WRITE | (selectors.EVENT_READ if stops_when_answered else 0)
    deadline_s = time.monotonic() + seconds
    progress_s = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for writer in writers:
            writer.link.setblocking(False)
            selector.register(writer.link, events, writer)
        while selector.get_map() and not watch.is_exceeded():
            now_s = time.monotonic()
            if now_s > deadline_s or now_s - progress_s > _STALLED_S:
                break
            for key, ready in selector.select(0.05):
                writer = key.data
                if ready & selectors.EVENT_READ:
                    selector.unregister(writer.link)
                    continue
                if writer.write():
                    progress_s = now_s
                if writer.is_closed or (limit_bytes is not None and writer.sent_bytes >= limit_bytes):
                    selector.unregister(writer.link)
    for writer in writers:
        writer.link.setblocking(True)


def read_all(link: socket.socket, timeout_s: float) -> tuple[bytes, bool]:
    """Read until the server closes the connection, or sends nothing for `timeout_s`. Returns whether it closed it."""
    link.settimeout(timeout_s)
    received = bytearray()
    while True:
        try:
            piece = link.recv(1 << 20)
        except TimeoutError:
            return bytes(received), False
        except ConnectionResetError:
            return bytes(received), True
        if not piece:
            return bytes(received), True
        received += piece


def is_alive(gateway: GatewayProcess, timeout_s: float = 3.0) -> bool:
    """Return whether another client gets an answer soon."""
    with connect(gateway.port, timeout_s) as link:
        link.sendall(get(b"/health/live", b"Connection: close"))
        return read_all(link, timeout_s)[0].startswith(b"HTTP/1.1 200 ")
