"""Start the process of the mock vendor from a test, and control it."""

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
    """A mock of several LLM vendors in a separate process; a context manager.

    The process ends with `stop`, at the end of the `with` block, or when the process that started it ends.
    """

    def __init__(self, *, api_key: str | None = None, port: int = 0, uds: str | Path | None = None) -> None:
        """Configure the process; `start` or `with` starts it.

        `api_key` rejects requests with another key. `port` 0 selects a free port. `uds` also listens on a unix socket.
        """
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
        """`http://127.0.0.1:PORT`. Raises `RuntimeError` if the process is not running."""
        if self._url is None:
            raise RuntimeError("The mock vendor is not running. Call start() or use it as a context manager.")
        return self._url

    @property
    def base_url(self) -> str:
        """The `base_url` for OpenAI clients: `url` with `/v1`."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """The `base_url` for Anthropic clients."""
        return self.url

    @property
    def gemini_url(self) -> str:
        """The `base_url` for Gemini clients, also for Vertex AI; service accounts use its `/token`."""
        return self.url

    @property
    def ollama_url(self) -> str:
        """The `host` for Ollama clients."""
        return self.url

    @property
    def azure_url(self) -> str:
        """The `azure_endpoint` for Azure OpenAI clients."""
        return self.url

    @property
    def bedrock_url(self) -> str:
        """The `endpoint_url` for AWS clients; requests are signed with `aws_access_key` and `aws_secret_key`."""
        return self.url

    aws_access_key: ClassVar[str] = ACCESS_KEY
    aws_secret_key: ClassVar[str] = SECRET_KEY

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("The mock vendor is not running. Call start() or use it as a context manager.")
        return self._process.pid

    def start(self) -> Self:
        """Start the process and wait until it listens. Raises `RuntimeError` with its output if it does not."""
        if self._process is not None:
            raise RuntimeError("The mock vendor is already running.")
        with tempfile.TemporaryFile() as output:
            pipe = subprocess.PIPE
            # Our own module, run by our own interpreter.
            self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=output)  # noqa: S603
            line = _first_line(self._process, START_S)
            if not line.startswith("READY "):
                self.stop()
                output.seek(0)
                raise RuntimeError(f"The mock vendor did not start: {line}{output.read().decode(errors='replace')}")
        self._url = line.removeprefix("READY ").strip()
        return self

    def stop(self) -> None:
        """Stop the process and wait for its end. Does nothing if it is not running."""
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
        """Apply a fault to the answers from now on.

        `match` limits it to a `model`, a `path` (globs) or `header` values (`{name: glob}`). `times` removes it after
        that many answers. `every` applies it to every N-th matching request only. `params` are the parameters of the
        kind. Raises `ValueError` if the kind or a parameter does not exist.
        """
        limits = {"times": times, "every": every}
        self._control("POST", "faults", {"match": dict(match or {}), "kind": kind, **limits, **params})

    def clear(self) -> None:
        """Remove all faults. The recorded requests are kept."""
        self._control("DELETE", "faults")

    def reset(self) -> None:
        """Remove all faults, recorded requests and stored objects."""
        self._control("POST", "reset")

    def requests(self) -> list[dict[str, Any]]:
        """Return the last 1000 recorded requests, oldest first.

        Keys: `number`, `connection`, `method`, `path`, `headers` (pairs, names in lower case), `body` (text),
        `size_bytes`, `arrived_us`, `model`, `fault`, `status`, `sent_bytes`, `is_finished`, `is_aborted`, `aborted_us`.
        """
        received: list[dict[str, Any]] = self._control("GET", "requests")["requests"]
        return received

    def open_connections(self) -> int:
        """Return the number of open client connections, without the one that this call uses."""
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
    """Return the first line of standard output, or a part of it if the time or the output ends before."""
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
