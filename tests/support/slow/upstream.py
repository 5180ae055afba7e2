"""An upstream that reads requests of any size and refuses them, so that the gateway tries the next deployment."""

import socket
import threading
from types import TracebackType
from typing import Final, Self

_ANSWER: Final = b'{"error":{"message":"unavailable"}}'
_RESPONSE: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_ANSWER)
)


class RefusingUpstream:
    """A context manager. Counts the requests by the beginning of their path."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        with link, link.makefile("rb") as file:
            while line := file.readline():
                self.paths.append(line.split()[1].decode())
                left = 0
                while (header := file.readline()) not in {b"\r\n", b""}:
                    name, _, value = header.partition(b":")
                    if name.lower() == b"content-length":
                        left = int(value)
                while left > 0 and (piece := file.read(min(left, 1 << 20))):
                    left -= len(piece)
                link.sendall(_RESPONSE + _ANSWER)
