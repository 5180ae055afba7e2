"""Start the vendor's process from a test, and control it."""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self
from urllib.parse import urlsplit

from intellirouter.testing.wires.bedrock import ACCESS_KEY, SECRET_KEY

START_S: Final = 20.0
STOP_S: Final = 5.0
CONTROL_S: Final = 10.0


class MockVendor:
    """A vendor in a process of its own; a context manager.

    The process ends with `stop`, with the `with` block, or when this process dies, however it dies.
    """

    def __init__(self, *, api_key: str | None = None, port: int = 0, uds: str | Path | None = None) -> None:
        """Prepare; `start` or `with` runs it. `port` 0 takes a free one; `uds` also listens on a unix socket."""
        self._command = [sys.executable, "-m", "intellirouter.testing.mock_vendor", "--exit-on-eof"]
        self._command += ["--port", str(port)]
        self._command += [] if api_key is None else ["--api-key", api_key]
        self._command += [] if uds is None else ["--uds", str(uds)]
        self._process: subprocess.Popen[bytes] | None = None
        self._url: str | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`. Raises `RuntimeError` when the process does not run."""
        if self._url is None:
            raise RuntimeError("the mock vendor is not running")
        return self._url

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as `base_url`: `url` with `/v1`."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """What an Anthropic client takes as `base_url`."""
        return self.url

    @property
    def gemini_url(self) -> str:
        """What a Gemini client takes as `base_url`; Vertex' paths are there too, and `/token` for its accounts."""
        return self.url

    @property
    def ollama_url(self) -> str:
        """What an Ollama client takes as `host`."""
        return self.url

    @property
    def azure_url(self) -> str:
        """What an Azure OpenAI client takes as `azure_endpoint`."""
        return self.url

    @property
    def bedrock_url(self) -> str:
        """What an AWS client takes as `endpoint_url`; sign with `aws_access_key` and `aws_secret_key`."""
        return self.url

    aws_access_key: ClassVar[str] = ACCESS_KEY
    aws_secret_key: ClassVar[str] = SECRET_KEY

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the mock vendor is not running")
        return self._process.pid

    def start(self) -> Self:
        """Start the process and wait until it listens. Raises `RuntimeError` with what it said when it does not."""
        if self._process is not None:
            raise RuntimeError("the mock vendor runs already")
        with tempfile.TemporaryFile() as said:
            pipe = subprocess.PIPE
            # Our own module, run by our own interpreter.
            self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=said)  # noqa: S603
            line = _first_line(self._process, START_S)
            if not line.startswith("READY "):
                self.stop()
                said.seek(0)
                raise RuntimeError(f"the mock vendor did not start: {line}{said.read().decode(errors='replace')}")
        self._url = line.removeprefix("READY ").strip()
        return self

    def stop(self) -> None:
        """End the process and wait for it. Harmless when it has ended."""
        process, self._process, self._url = self._process, None, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)

    def fault(
        self,
        kind: str,
        *,
        match: Mapping[str, Any] | None = None,
        times: int | None = None,
        every: int | None = None,
        **params: float | str,
    ) -> None:
        """Break answers from now on.

        `match` narrows it to a `model`, a `path` (globs) or `header` values (`{name: glob}`); `times` ends it after
        so many answers; `every` spares all but each N-th. `params` are the kind's own. Raises `ValueError` when the
        kind or a parameter does not exist.
        """
        limits = {"times": times, "every": every}
        wish = {"match": dict(match or {}), "kind": kind, **limits, **params}
        self._control("POST", "faults", wish)

    def clear(self) -> None:
        """Answer well again. Received requests are kept."""
        self._control("DELETE", "faults")

    def reset(self) -> None:
        """Forget faults and received requests."""
        self._control("POST", "reset")

    def requests(self) -> list[dict[str, Any]]:
        """Return the last 1000 requests, oldest first.

        Keys: `number`, `connection`, `method`, `path`, `headers` (pairs, names in lower case), `body` (text),
        `size_bytes`, `arrived_us`, `model`, `fault`, `status`, `sent_bytes`, `is_finished`, `is_aborted`.
        """
        received: list[dict[str, Any]] = self._control("GET", "requests")["requests"]
        return received

    def open_connections(self) -> int:
        """Count the connections that clients hold open, the one that asks not included."""
        count: int = self._control("GET", "state")["open_connections"]
        return count - 1

    def _control(self, method: str, what: str, document: Any = None) -> Any:
        body = b"" if document is None else json.dumps(document).encode()
        at = urlsplit(self.url)
        head = (
            f"{method} /_control/{what} HTTP/1.1\r\nhost: {at.netloc}\r\nconnection: close\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((at.hostname, at.port), CONTROL_S) as link:
            link.sendall(head.encode() + body)
            answer = b"".join(iter(lambda: link.recv(65536), b""))
        status, _, rest = answer.partition(b"\r\n")
        content = json.loads(rest.partition(b"\r\n\r\n")[2])
        if status.split()[1] == b"400":
            raise ValueError(content["error"]["message"])
        return content


def _first_line(process: subprocess.Popen[bytes], timeout_s: float) -> str:
    """Return the first line of standard output, or what there was of it when time or output ended."""
    stdout = process.stdout
    assert stdout is not None  # noqa: S101 - it was opened with a pipe
    line = b""
    deadline_s = time.monotonic() + timeout_s
    while not line.endswith(b"\n") and (left_s := deadline_s - time.monotonic()) > 0:
        readable, _, _ = select.select([stdout], [], [], left_s)
        piece = os.read(stdout.fileno(), 4096) if readable else b""
        if not piece:
            break
        line += piece
    return line.decode(errors="replace")
