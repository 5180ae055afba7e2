"""Finding model servers on this machine: only a list of models counts."""

import contextlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from msgspec import structs

from intellirouter.config import ProbeResult
from intellirouter.core import VendorRow
from intellirouter.providers import VENDORS, probe, probe_local

LIST = {"object": "list", "data": [{"id": "llama3.2:3b", "object": "model"}, {"id": "qwen3"}]}
ROW = VendorRow(name="ollama", title="Ollama", local_port=1, needs_credential=False)


@contextlib.contextmanager
def listening(act: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run `act` with each accepted connection, one after the other."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopping = threading.Event()

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            if stopping.is_set():
                connection.close()
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                act(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    port = listener.getsockname()[1]
    try:
        yield port
    finally:
        stopping.set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join(10)
        listener.close()
    assert not thread.is_alive()


def _answering(data: bytes) -> Callable[[socket.socket], None]:
    def act(connection: socket.socket) -> None:
        if connection.recv(65536):
            connection.sendall(data)

    return act


def _http(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def _probe(port: int, **settings: int) -> list[ProbeResult]:
    return probe_local([ROW], ports={"ollama": port}, own_port=settings.get("own_port", 0))


@pytest.mark.parametrize("path", ["", "/v1"])
def test_model_server_is_found_with_its_models(path: str) -> None:
    row = structs.replace(ROW, base_url=f"http://127.0.0.1:11434{path}")
    with listening(_answering(_http(json.dumps(LIST).encode()))) as port:
        found = probe_local([row], ports={"ollama": port}, own_port=0)
    assert found == [ProbeResult("ollama", f"http://127.0.0.1:{port}{path}", ("llama3.2:3b", "qwen3"))]


def test_only_the_list_of_models_is_requested() -> None:
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(LIST).encode())

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert [each.models for each in _probe(server.server_port)] == [("llama3.2:3b", "qwen3")]
        finally:
            server.shutdown()
            thread.join(10)
    assert paths == ["/v1/models"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x00\xff" * 100,
        b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        _http(b"<html>router login</html>"),
        _http(b'{"data": "none"}'),
        _http(b'{"data": [{"name": "no id"}]}'),
        _http(b'{"data": [{"id": 7}]}'),
        _http(b"[]"),
        _http(b'{"data": [{"id": "\xff"}]}'),
        _http(b"[" * 100_000),
        _http(json.dumps(LIST).encode(), status=404),
        _http(json.dumps(LIST).encode(), status=401),
        b"HTTP/1.1 302 Found\r\nlocation: http://vendor.invalid/\r\ncontent-length: 0\r\n\r\n",
    ],
)
def test_other_servers_are_not_reported(data: bytes) -> None:
    with listening(_answering(data)) as port:
        assert _probe(port) == []


@pytest.mark.parametrize("body", [b'{"data": []}', b'{"object": "list", "data": [], "more": 1}'])
def test_server_without_models_is_found(body: bytes) -> None:
    with listening(_answering(_http(body))) as port:
        assert [each.models for each in _probe(port)] == [()]


def test_endless_list_is_not_read_to_the_end() -> None:
    rest = json.dumps([{"id": "m" * 1000}] * 2000).encode()
    with listening(_answering(_http(b'{"data": ' + rest + b"}"))) as port:
        assert _probe(port) == []


def test_only_the_first_hundred_models_are_reported() -> None:
    many = {"data": [{"id": f"m{number}"} for number in range(1000)]}
    with listening(_answering(_http(json.dumps(many).encode()))) as port:
        assert [len(each.models) for each in _probe(port)] == [100]


@pytest.mark.parametrize("how", ["silent", "dripping"])
def test_slow_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Dripping one byte at a time must not restart the clock."""
    monkeypatch.setattr(probe, "_RESPONSE_TIMEOUT_S", 0.3)
    stop = threading.Event()

    def act(connection: socket.socket) -> None:
        if not connection.recv(65536):
            return
        if how == "dripping":
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(1000):
            if stop.wait(0.01):
                return
            if how == "dripping":
                connection.sendall(b" ")

    with listening(act) as port:
        started = time.monotonic()
        found = _probe(port)
        took = time.monotonic() - started
        stop.set()
    assert found == []
    assert took < 3.0


def test_closed_port_is_detected_at_once() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        started = time.monotonic()
        assert _probe(sock.getsockname()[1]) == []
        assert time.monotonic() - started < 1.0


def test_own_port_and_port_zero_are_not_probed() -> None:
    with listening(_answering(_http(json.dumps(LIST).encode()))) as port:
        assert _probe(port, own_port=port) == []
        assert _probe(0) == []


def test_remote_vendors_are_not_probed() -> None:
    rows = [row for row in VENDORS.values() if row.local_port is None]
    assert rows
    assert probe_local(rows, ports={}, own_port=0) == []


def test_servers_are_probed_concurrently_and_reported_in_row_order() -> None:
    together = threading.Barrier(2, timeout=5)

    def act(connection: socket.socket) -> None:
        if connection.recv(65536):
            together.wait()
            connection.sendall(_http(json.dumps(LIST).encode()))

    rows = [VendorRow(name=name, title=name, local_port=1) for name in ("vllm", "ollama")]
    with listening(act) as first, listening(act) as second:
        found = probe_local(rows, ports={"ollama": first, "vllm": second}, own_port=0)
    assert [each.vendor for each in found] == ["vllm", "ollama"]
