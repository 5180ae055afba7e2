"""MockVendor: the process, its control API and its sockets."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.testing import FAULT_KINDS, MockVendor
from tests.support.mock_vendor.requests import chat_body, eventually


class Link:
    """A socket to the vendor."""

    def __init__(self, vendor: MockVendor) -> None:
        at = urlsplit(vendor.url)
        self.socket = socket.create_connection((at.hostname, at.port), timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, body: bytes, *headers: str, path: str = "/v1/chat/completions", method: str = "POST") -> None:
        head = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
        self.socket.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def until(self, mark: bytes) -> bytes:
        data = b""
        while mark not in data:
            piece = self.socket.recv(65536)
            assert piece, f"closed after {data!r}"
            data += piece
        return data

    def rest(self) -> bytes:
        return b"".join(iter(lambda: self.socket.recv(65536), b""))


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_connection_serves_several_requests(vendor: MockVendor) -> None:
    with Link(vendor) as link:
        for number in (1, 2):
            link.send(chat_body(f"request {number}"))
            assert f"m: request {number}".encode() in link.until(b"fp_")
    first, second = vendor.requests()
    assert first["connection"] == second["connection"]
    assert (first["number"], second["number"]) == (1, 2)


def test_pipelined_requests_are_answered_in_order(vendor: MockVendor) -> None:
    with Link(vendor) as link:
        for number in range(40):
            link.send(chat_body(f"request-{number}."), *(["Connection: close"] if number == 39 else []))
        answers = link.rest()
    found = [answers.index(f"m: request-{number}.".encode()) for number in range(40)]
    assert found == sorted(found)


def test_chunked_body_and_expect_header(vendor: MockVendor) -> None:
    body = chat_body("in pieces")
    with Link(vendor) as link:
        head = ["POST /v1/chat/completions HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", "Expect: 100-continue"]
        link.socket.sendall("\r\n".join(head).encode() + b"\r\n\r\n")
        assert link.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        for byte in body:
            link.socket.sendall(b"1\r\n%c\r\n" % byte)
        link.socket.sendall(b"0\r\n\r\n")
        assert b"m: in pieces" in link.until(b"fp_")


def test_invalid_http_is_rejected(vendor: MockVendor) -> None:
    with Link(vendor) as link:
        link.socket.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert status_of(link.rest()) == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/v1/unknown", 404),
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/_control/unknown", 404),
    ],
)
def test_unknown_paths_and_methods(vendor: MockVendor, method: str, path: str, status: int) -> None:
    with Link(vendor) as link:
        link.send(b"", "Connection: close", path=path, method=method)
        answer = link.rest()
    assert status_of(answer) == status
    assert b'"error"' in answer


def test_key_is_required_if_set() -> None:
    with MockVendor(api_key="sk-right") as vendor:
        for key, status in [(None, 401), ("sk-wrong-key", 401), ("sk-right", 200)]:
            with Link(vendor) as link:
                link.send(chat_body(), "Connection: close", *([f"Authorization: Bearer {key}"] if key else []))
                answer = link.rest()
            assert status_of(answer) == status
            assert b"sk-wrong-key" not in answer


def test_drop_sends_fin_and_reset_sends_rst(vendor: MockVendor) -> None:
    body = chat_body("one two three", stream=True)
    with Link(vendor) as link:
        link.send(body, "x-mock-fault: drop;at=events;after_events=2")
        answer = link.rest()
        assert answer.count(b"data: ") == 2
        assert b"0\r\n\r\n" not in answer
    with Link(vendor) as link:
        link.send(body, "x-mock-fault: reset;at=events;after_events=2")
        received = link.until(b'"m:"')
        assert received.count(b"data: ") == 2
        with pytest.raises(ConnectionResetError):
            link.rest()
    assert not any(request["is_aborted"] or request["is_finished"] for request in vendor.requests())


def test_disconnected_client_is_recorded(vendor: MockVendor) -> None:
    with Link(vendor) as link:
        link.send(chat_body(), "x-mock-fault: hang")
        eventually(lambda: len(vendor.requests()) == 1)
        assert vendor.open_connections() == 1
    eventually(lambda: vendor.requests()[0]["is_aborted"])
    eventually(lambda: vendor.open_connections() == 0)
    assert vendor.requests()[0]["status"] is None


def test_slow_client_that_disconnects_is_recorded(vendor: MockVendor) -> None:
    with Link(vendor) as link:
        link.send(chat_body(), "x-mock-fault: huge;size_mib=64")
        link.until(b"filler")
    eventually(lambda: vendor.requests()[0]["is_aborted"])
    assert vendor.requests()[0]["sent_bytes"] < 64 * 1024 * 1024


def test_connection_endings(vendor: MockVendor) -> None:
    with Link(vendor) as link:
        link.send(chat_body(), "x-mock-fault: close_after")
        assert b"connection: close" in link.rest()
    with Link(vendor) as link:
        link.send(chat_body(), "x-mock-fault: close_after;how=idle")
        answer = link.rest()
        assert b"connection: close" not in answer
        assert b"fp_" in answer
    with Link(vendor) as link:
        link.send(chat_body(), "x-mock-fault: close_after;how=next_request")
        link.until(b"fp_")
        link.send(chat_body())
        assert b"HTTP/1.1" not in link.rest()
    assert len(vendor.requests()) == 3


def _statuses(vendor: MockVendor, *models: str, header: str = "x: y") -> list[int]:
    found = []
    for model in models:
        with Link(vendor) as link:
            link.send(chat_body(model=model), header, "Connection: close")
            found.append(status_of(link.rest()))
    return found


def test_faults_match_count_and_end(vendor: MockVendor) -> None:
    vendor.fault("error", status=501, match={"model": "gpt-*"}, times=1)
    vendor.fault("error", status=502, match={"path": "/v1/chat/*", "header": {"X-Who": "me*"}})
    vendor.fault("error", status=503, every=2)
    assert _statuses(vendor, "a", "gpt-4", "gpt-4", "a", "a") == [200, 501, 503, 200, 503]
    assert _statuses(vendor, "a", header="x-who: me and you") == [502]
    assert [request["fault"] for request in vendor.requests()] == [None, "error", "error", None, "error", "error"]
    vendor.clear()
    assert _statuses(vendor, "gpt-4", "a") == [200, 200]
    vendor.reset()
    assert vendor.requests() == []


def test_fake_models(vendor: MockVendor) -> None:
    assert _statuses(vendor, "error-429", "flaky", "flaky", "fake/error-500") == [429, 200, 500, 500]


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("nonsense", {}),
        ("slow", {"delay": 1}),
        ("error", {"times": 0}),
        ("error", {"every": 0}),
        ("error", {"match": {"modle": "x"}}),
    ],
)
def test_unknown_faults_are_rejected(vendor: MockVendor, kind: str, params: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        vendor.fault(kind, **params)


def test_invalid_fault_header_is_reported(vendor: MockVendor) -> None:
    with Link(vendor) as link:
        link.send(chat_body(), "x-mock-fault: nonsense", "Connection: close")
        answer = link.rest()
    assert status_of(answer) == 400
    assert b"Unknown fault kind" in answer


def test_recorded_requests_are_bounded(vendor: MockVendor) -> None:
    with Link(vendor) as link:
        for _ in range(1100):
            link.send(b"", path="/v1/models", method="GET")
            link.until(b"mock-embed")
        link.send(b" " * 3_000_000, "Connection: close", path="/v1/embeddings")
        link.rest()
    recorded = vendor.requests()
    assert (len(recorded), recorded[-1]["number"]) == (1000, 1101)
    assert (recorded[-1]["size_bytes"], len(recorded[-1]["body"])) == (3_000_000, 1024 * 1024)


@given(st.binary(max_size=200))
def test_no_body_breaks_the_process(running_vendor: MockVendor, body: bytes) -> None:
    with Link(running_vendor) as link:
        link.send(body, "Connection: close")
        assert status_of(link.rest()) == 400


@pytest.mark.parametrize("kind", [kind for kind in FAULT_KINDS if kind not in {"hang", "drop", "reset"}])
@pytest.mark.parametrize("is_stream", [False, True])
def test_other_faults_are_complete_http_responses(vendor: MockVendor, kind: str, is_stream: bool) -> None:
    params = {"delay_s": 0} if "delay_s" in FAULT_KINDS[kind].params else {}
    vendor.fault(kind, **params)
    with Link(vendor) as link:
        link.send(chat_body(stream=is_stream), "Connection: close")
        head, _, body = link.rest().partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head:
        assert body.endswith(b"0\r\n\r\n")
    else:
        assert f"content-length: {len(body)}".encode() in head
    assert vendor.requests()[-1]["is_finished"]


def test_unix_socket(socket_dir: Path) -> None:
    path = socket_dir / "vendor.sock"
    with MockVendor(uds=path) as vendor, socket.socket(socket.AF_UNIX) as link:
        link.settimeout(10)
        link.connect(str(path))
        link.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"mock-small" in b"".join(iter(lambda: link.recv(65536), b""))
        assert len(vendor.requests()) == 1
    assert not path.exists()


def test_start_once_and_stop_twice() -> None:
    vendor = MockVendor()
    with pytest.raises(RuntimeError, match="not running"):
        _ = vendor.url
    vendor.start()
    with pytest.raises(RuntimeError, match="already"):
        vendor.start()
    vendor.stop()
    vendor.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = vendor.pid


def test_failed_start_reports_the_cause(vendor: MockVendor) -> None:
    taken = urlsplit(vendor.url).port
    assert taken is not None
    with pytest.raises(RuntimeError, match=r"(?i)address already in use"):
        MockVendor(port=taken).start()


def test_sigterm_during_answers() -> None:
    command = [sys.executable, "-m", "intellirouter.testing.mock_vendor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(b":")[2])
        body = chat_body(stream=True)
        head = [
            "POST /v1/chat/completions HTTP/1.1",
            "Host: x",
            f"Content-Length: {len(body)}",
            "x-mock-fault: hang;after_events=1",
        ]
        with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
            link.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
            assert link.recv(65536).startswith(b"HTTP/1.1 200 ")
            process.terminate()
            assert process.wait(10) == 0


def test_process_ends_when_the_test_process_is_killed(tmp_path: Path) -> None:
    output = tmp_path / "output"
    program = (
        "import json, pathlib, signal, os\n"
        "from intellirouter.testing import MockVendor\n"
        "vendor = MockVendor().start()\n"
        f"pathlib.Path({str(output)!r}).write_text(json.dumps([vendor.pid, vendor.url]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30).returncode == -9
    _, url = json.loads(output.read_text())
    at = urlsplit(url)

    def is_gone() -> bool:
        with socket.socket() as link:
            return link.connect_ex((at.hostname, at.port)) != 0

    eventually(is_gone)


def test_address_in_use_is_one_line_on_standard_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "intellirouter.testing.mock_vendor", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr == f"Error: Cannot listen on 127.0.0.1:{port}: Address already in use.\n"
