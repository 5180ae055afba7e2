"""The black-box corpus of the HTTP/1.1 server: cases, how to send them, and how to read what comes back.

The corpus itself is in `http_corpus_smuggling` and `http_corpus_malformed`. It is written from RFC 9110, RFC 9112 and
the public literature on request smuggling.
"""

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.support.gateway.raw_http import Answer

ANSWER_DEADLINE_S = 3.0
CLOSE_DEADLINE_S = 1.5
PLACEHOLDER = b"smuggled-000"
"""The model in the requests of the corpus. A test replaces it with a name of the same length."""
CRLF = b"\r\n"
LAST_CHUNK = b"0\r\n\r\n"
_PAUSE_S = 0.0001
_STRUCTURE = b"\r\n :;,="


class Case(NamedTuple):
    """Bytes that the server must answer once, with one of `statuses`, before it closes the connection."""

    name: str
    data: bytes
    statuses: frozenset[int] = frozenset({400})

    def with_model(self, model: str) -> bytes:
        assert len(model) == len(PLACEHOLDER)
        return self.data.replace(PLACEHOLDER, model.encode())


def by_name(cases: Iterable[Case]) -> dict[str, Case]:
    found: dict[str, Case] = {}
    for case in cases:
        assert case.name not in found, f"Two cases are named {case.name!r}."
        found[case.name] = case
    return found


def chat_body(model: str = "mock/" + PLACEHOLDER.decode(), text: str = "hello", **members: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **members}).encode()


def head(line: bytes, *fields: bytes) -> bytes:
    """Return a request head. The fields are complete lines without their ends."""
    return CRLF.join((line, *fields, b"", b""))


def post(*fields: bytes, body: bytes = b"", path: bytes = b"/v1/chat/completions") -> bytes:
    """Return a POST request with exactly these fields in addition to `Host` and `Content-Type`."""
    line = b"POST " + path + b" HTTP/1.1"
    return head(line, b"Host: gateway", b"Content-Type: application/json", *fields) + body


def post_sized(body: bytes, *fields: bytes, path: bytes = b"/v1/chat/completions") -> bytes:
    return post(b"Content-Length: %d" % len(body), *fields, body=body, path=path)


def get(path: bytes = b"/health/live", *fields: bytes) -> bytes:
    return head(b"GET " + path + b" HTTP/1.1", b"Host: gateway", *fields)


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


def chunked(*pieces: bytes) -> bytes:
    """Return a complete chunked body."""
    return b"".join(map(chunk, pieces)) + LAST_CHUNK


class Delivery(NamedTuple):
    received: bytes
    is_closed: bool
    seconds: float

    @property
    def answers(self) -> int:
        """The number of status lines, of interim responses as well."""
        return self.received.count(b"HTTP/1.1 ") + self.received.count(b"HTTP/1.0 ")


def connect(port: int, timeout_s: float = ANSWER_DEADLINE_S) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", port), timeout_s)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def reset(link: socket.socket) -> None:
    """Close the connection with a TCP reset."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


def send_slowly(link: socket.socket, data: bytes) -> None:
    """Send byte by byte, with a pause at delimiters, so that the server reads the parts of the syntax separately."""
    for at in range(len(data)):
        link.sendall(data[at : at + 1])
        if data[at] in _STRUCTURE:
            time.sleep(_PAUSE_S)


def deliver(port: int, data: bytes, *, is_slow: bool = False, close_deadline_s: float = CLOSE_DEADLINE_S) -> Delivery:
    """Send `data` and read until the server closes the connection, or until a deadline."""
    started_s = time.monotonic()
    with connect(port) as link:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if is_slow:
                send_slowly(link, data)
            else:
                link.sendall(data)
        received = bytearray()
        deadline_s = time.monotonic() + ANSWER_DEADLINE_S
        while True:
            try:
                link.settimeout(max(0.001, deadline_s - time.monotonic()))
                piece = link.recv(65536)
            except TimeoutError:
                return Delivery(bytes(received), is_closed=False, seconds=time.monotonic() - started_s)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return Delivery(bytes(received), is_closed=True, seconds=time.monotonic() - started_s)
            if not received:
                deadline_s = time.monotonic() + close_deadline_s
            received += piece


def split_answer(data: bytes) -> tuple[Answer, bytes]:
    """Return the first response, which must have a content-length, and what follows it."""
    top, separator, rest = data.partition(b"\r\n\r\n")
    assert separator, f"This is not a complete response head: {data[:300]!r}"
    status_line, *lines = top.decode("latin-1").split("\r\n")
    version, status, _ = status_line.split(" ", 2)
    assert version in {"HTTP/1.1", "HTTP/1.0"}
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert "content-length" in headers, headers
    size = int(headers["content-length"])
    assert len(rest) >= size, f"The body is cut: {len(rest)} of {size} bytes."
    return Answer(int(status), headers, rest[:size]), rest[size:]


def rejection(delivery: Delivery, statuses: frozenset[int]) -> Answer:
    """Check that the only response is an error in JSON, that it announces the close, and that the close followed."""
    assert delivery.received, "closed without an answer" if delivery.is_closed else "no answer"
    answer, rest = split_answer(delivery.received)
    assert answer.status in statuses, (answer.status, answer.body[:300])
    assert rest == b"", f"Something follows the error response: {rest[:300]!r}"
    assert answer.headers["content-type"].startswith("application/json")
    error = answer.json()["error"]
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["code"], str)
    assert answer.headers.get("connection", "").lower() == "close", answer.headers
    assert delivery.is_closed, "The connection was not closed."
    return answer
