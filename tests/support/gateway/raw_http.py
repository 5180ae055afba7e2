"""HTTP on a raw socket: requests that no client library sends, and responses read byte by byte."""

import json
import socket
from types import TracebackType
from typing import Any, NamedTuple, Self

TIMEOUT_S = 10.0


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class RawConnection:
    """One connection to the gateway. Every operation raises `TimeoutError` after `timeout_s`; None: never."""

    def __init__(self, port: int, timeout_s: float | None = TIMEOUT_S) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def shut_down(self) -> None:
        """End a read in another thread, which then finds the end of the connection."""
        self.socket.shutdown(socket.SHUT_RDWR)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def post(self, body: bytes, path: str = "/v1/chat/completions", **headers: str) -> Answer:
        """Send one request and return the response. Underscores in header names become hyphens."""
        self.send_post(body, path, **headers)
        return self.answer()

    def send_post(self, body: bytes, path: str = "/v1/chat/completions", **headers: str) -> None:
        all_headers = {"content-type": "application/json", "content-length": str(len(body))}
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
        self.send(f"POST {path} HTTP/1.1\r\nhost: gateway\r\n{lines}\r\n".encode("latin-1") + body)

    def more(self) -> bool:
        """Read what has arrived. Returns False at the end of the connection."""
        data = self.socket.recv(65536)
        self._buffer += data
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        """Return everything up to and including `mark`."""
        while mark not in self._buffer:
            if not self.more():
                raise ConnectionError(f"The connection was closed before {mark!r}. Received: {self._buffer[:500]!r}")
        before, _, self._buffer = self._buffer.partition(mark)
        return before + mark

    def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self.more():
                raise ConnectionError(f"The connection was closed {size - len(self._buffer)} bytes early.")
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def rest(self) -> bytes:
        """Return everything up to the end or the reset of the connection."""
        try:
            while self.more():
                pass
        except ConnectionResetError:
            pass
        data, self._buffer = self._buffer, b""
        return data

    def head(self) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of the next response."""
        status_line, *lines = self.until(b"\r\n\r\n").decode("latin-1").rstrip("\r\n").split("\r\n")
        version, status, _ = status_line.split(" ", 2)
        assert version == "HTTP/1.1"
        pairs = (line.partition(":") for line in lines)
        return int(status), {name.lower(): value.strip() for name, _, value in pairs}

    def chunk(self) -> bytes:
        """Return the next chunk of a chunked body, or `b""` at its end."""
        size = int(self.until(b"\r\n"), 16)
        return self.exactly(size + 2)[:-2]

    def answer(self) -> Answer:
        """Return the complete next response."""
        status, headers = self.head()
        if headers.get("transfer-encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
        else:
            body = self.exactly(int(headers.get("content-length", "0")))
        return Answer(status, headers, body)
