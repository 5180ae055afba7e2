"""A gateway process on a free port, for tests that send requests to a real gateway."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

PROGRAM = [sys.executable, "-c", "from intellirouter.cli import main; main()"]
START_S = 30.0
STOP_S = 20.0
POLL_S = 0.01
_SERVING = re.compile(r"serving\s+(http://[^/\s]+)/v1")
T = TypeVar("T")


def until(look: Callable[[], T], what: str, timeout_s: float = 10.0) -> T:
    """Wait until `look` returns something true, and return it. Fails after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"This did not happen within {timeout_s:g} s: {what}."
        time.sleep(POLL_S)
    return found


def chat_request(text: str = "hello", model: str = "fake/echo", **members: Any) -> dict[str, Any]:
    """Return the body of a chat request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **members}


class GatewayProcess:
    """`intellirouter serve --config FILE` in a given directory; a context manager.

    The end of the `with` block stops it with SIGTERM, and checks its exit status and that its log reports no bug.
    """

    def __init__(
        self,
        config: dict[str, Any],
        directory: Path,
        *,
        admin_key: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        """`environment` is added to the few variables that the process gets."""
        self._environment = environment or {}
        self.directory = directory
        self.config_file = directory / "config.yaml"
        self.database = directory / "store.db"
        self._admin_key = admin_key
        self._process: subprocess.Popen[bytes] | None = None
        self._was_killed = False
        self._client = httpx.Client(timeout=20)
        self.url = ""
        self.configure(config)

    def configure(self, config: dict[str, Any]) -> None:
        """Write the configuration file; missing settings of server and store are filled in."""
        # Raw requests call the gateway by these names.
        server = {"host": "127.0.0.1", "port": 0, "allowed_hosts": ["gateway", "x"], **config.get("server", {})}
        # Requests for lists of models would be among the requests that tests expect.
        catalog = {"discovery_interval_s": None, **config.get("catalog", {})}
        filled = {"store": {"url": f"sqlite:///{self.database}"}, **config, "server": server, "catalog": catalog}
        self.config_file.write_text(json.dumps(filled))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
        environment |= self._environment
        self._was_killed = False
        with (self.directory / "stdout").open("wb") as stdout, (self.directory / "stderr").open("ab") as stderr:
            self._process = subprocess.Popen(
                [*PROGRAM, "serve", "--config", str(self.config_file)],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=self.directory,
                env=environment,
            )
        try:
            self.url = until(self._address, "the gateway prints its address", START_S)
            until(self.is_ready, "the gateway is ready", START_S)
        except BaseException:
            self.kill()
            raise

    def _address(self) -> str | None:
        assert self.process.poll() is None, f"The gateway did not start: {self.stderr()}"
        match = _SERVING.search((self.directory / "stdout").read_text())
        return match[1] if match else None

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self._client.get(f"{self.url}/health/ready").status_code == 200
        return False

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "The gateway has not been started."
        return self._process

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def stdout(self) -> str:
        return (self.directory / "stdout").read_text()

    def stderr(self) -> str:
        return (self.directory / "stderr").read_text()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Return the exit status."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self._was_killed = True
        self._client.close()
        self._client = httpx.Client(timeout=20)
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Stop the process with SIGTERM unless it has already ended, and check its log."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        status = self.wait()
        self._client.close()
        log = self.stderr()
        assert self._was_killed or status == 0, f"exit status {status}: {log}"
        assert "Traceback" not in log, log
        assert "internal error" not in log, log

    def get(self, path: str, *, key: str | None = None, **params: Any) -> httpx.Response:
        """Send a GET request, with the admin key unless a key is given."""
        used = key or self._admin_key
        headers = {"authorization": f"Bearer {used}"} if used else {}
        return self._client.get(self.url + path, headers=headers, params=params)

    def record(self, request_id: str) -> dict[str, Any]:
        """Return the settled record of a request."""
        return until(lambda: self._record(request_id), f"the record of {request_id}")

    def _record(self, request_id: str) -> dict[str, Any] | None:
        answer = self.get(f"/api/v1/requests/{request_id}")
        found: dict[str, Any] = answer.json()
        return found if answer.status_code == 200 else None
