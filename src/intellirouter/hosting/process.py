"""Controls one worker process: start, load, warm-up, health checks and stop. `worker.py` is the process itself."""

import asyncio
import importlib
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec
from msgspec import Struct

from intellirouter.core import TaskOwner, escape_control_characters
from intellirouter.hosting.errors import ArtifactInvalid, EngineMissing, WorkerFailed
from intellirouter.hosting.first_token import weights_problem

if TYPE_CHECKING:
    from intellirouter.hosting.worker_http import WorkerHttp

logger = logging.getLogger(__name__)

BUILT_IN_COMMAND: Final = (sys.executable, "-I", str(Path(__file__).with_name("worker.py")))
"""By path instead of `-m`, because the package's imports would delay the start."""
_HTTP: Final = "intellirouter.hosting.worker_http"
KEPT_STDERR_LINES: Final = 200
MAX_STDERR_LINE_BYTES: Final = 2000
QUOTED_LINES: Final = 6
QUOTED_CHARS: Final = 1000
READY_POLL_S: Final = 0.02
KILL_WAIT_S: Final = 5.0
STDERR_TIMEOUT_S: Final = 1.0


def last_words(lines: Sequence[str]) -> str:
    """Return a sentence with the last of these lines, without control characters and at a limited length."""
    output = escape_control_characters(" | ".join(list(lines)[-QUOTED_LINES:]))
    if not output:
        return "It wrote nothing to standard error."
    return f"Its last output: {'…' if len(output) > QUOTED_CHARS else ''}{output[-QUOTED_CHARS:]}"


class WorkerConfig(Struct, frozen=True, kw_only=True):
    """The configuration that a worker reads from stdin as one line of JSON."""

    model_path: str
    socket_path: str
    name: str
    """The name of the model in the host, for messages."""
    alias: str
    """The model name that the worker reports in its answers."""
    ctx_tokens: int
    slots: int
    threads: int
    cache_ram_mib: int
    has_embeddings: bool
    host_pid: int


class _Failure(Struct, frozen=True):
    """The JSON object after `FAILED`."""

    kind: str = ""
    message: str = ""


class WorkerProcess:
    """Owns one child process, its socket and its output. `stop` must be awaited even if the process has ended."""

    def __init__(self, process: asyncio.subprocess.Process, config: WorkerConfig, http: "WorkerHttp") -> None:
        self._process = process
        self._config = config
        self._tasks = TaskOwner(f"worker.{config.name}")
        self._stderr: deque[str] = deque(maxlen=KEPT_STDERR_LINES)
        self._stderr_task = self._tasks.start(self._read_stderr(), "stderr")
        self._exit_task = self._tasks.start(process.wait(), "exit")
        self._http = http

    @classmethod
    async def spawn(cls, config: WorkerConfig, command: tuple[str, ...] = ()) -> Self:
        """Start the process in a session of its own, without the environment of the gateway.

        Raises `WorkerFailed` when the operating system cannot start it.
        """
        module = await asyncio.to_thread(importlib.import_module, _HTTP)  # see the module's docstring
        home = str(Path(config.socket_path).parent)
        try:
            process = await asyncio.create_subprocess_exec(
                *(command or BUILT_IN_COMMAND),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": home, "TMPDIR": home},
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerFailed(f"The worker process of {config.name} could not be started: {error}.") from error
        return cls(process, config, module.WorkerHttp(config.socket_path))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stderr_tail(self) -> tuple[str, ...]:
        return tuple(self._stderr)

    async def load(self) -> None:
        """Send the configuration and wait until the worker serves requests. The caller sets the deadline.

        Raises `EngineMissing` or `WorkerFailed`.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 - spawned with pipes
        assert stdout is not None  # noqa: S101
        try:
            stdin.write(msgspec.json.encode(self._config) + b"\n")
            await stdin.drain()
            line = await stdout.readline()
        except (ConnectionError, ValueError):  # the process has ended, or wrote too long a line
            line = b""
        word, _, facts = line.partition(b" ")
        if word == b"FAILED":
            await self._raise_failure(facts)
        if word.strip() != b"READY":
            await self._raise_exit()
        while not await self.is_healthy(timeout_s=1.0):
            if self._exit_task.done():
                await self._raise_exit()
            await asyncio.sleep(READY_POLL_S)

    async def warm_up(self) -> None:
        """Decode one token, so that no client waits for the first access to the weights.

        Raises `WorkerFailed`, and `ArtifactInvalid` if the token shows that the weights are damaged.
        """
        problem, completion = await self._http.decode_one_token()
        if problem:
            await self._read_last_words()
            raise self.failure(problem)
        if (problem_of_weights := weights_problem(completion)) is not None:
            raise ArtifactInvalid(
                f"{problem_of_weights} The weights in {self._config.model_path} are damaged, or the engine does not "
                "support them.",
                hint="Compare its SHA-256 with the publisher's. Replace the file and reload the configuration.",
            )

    async def is_healthy(self, timeout_s: float) -> bool:
        return await self._http.is_healthy(timeout_s)

    async def wait_exit(self, timeout_s: float) -> None:
        """Return after `timeout_s`. Raises `WorkerFailed` as soon as the process has ended."""
        await asyncio.wait([self._exit_task], timeout=timeout_s)
        if self._exit_task.done():
            await self._raise_exit()

    async def stop(self, grace_s: float) -> None:
        """End the process group (SIGTERM, SIGKILL after `grace_s`) and remove the socket. Idempotent."""
        await self._http.close()
        for number, timeout_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, KILL_WAIT_S)):
            # Only until the process is reaped: after that its pid may belong to another process.
            if self._process.returncode is not None:
                break
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                break
            await asyncio.wait([self._exit_task], timeout=timeout_s)
        else:
            if self._process.returncode is None:
                logger.error("The worker of %s (pid %d) cannot be killed.", self._config.name, self.pid)
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.wait([self._stderr_task], timeout=STDERR_TIMEOUT_S)
        await self._tasks.stop()
        self._remove_socket()

    def _remove_socket(self) -> None:
        Path(self._config.socket_path).unlink(missing_ok=True)

    async def _read_last_words(self) -> None:
        """Wait a limited time for the end of a process that is about to end, so that its last output is known."""
        await asyncio.wait([self._exit_task, self._stderr_task], timeout=STDERR_TIMEOUT_S)

    async def _raise_failure(self, facts: bytes) -> None:
        try:
            failure = msgspec.json.decode(facts, type=_Failure)
        except msgspec.DecodeError:
            failure = _Failure(message=facts.decode("utf-8", "replace")[:200])
        await self._read_last_words()
        if failure.kind == "engine":
            raise EngineMissing(failure.message)
        raise self.failure(f"could not load {self._config.model_path} ({failure.message})")

    async def _raise_exit(self) -> None:
        """Raise the error for the end of the process, after its remaining output has been read."""
        await self._read_last_words()
        if not self._exit_task.done():
            raise self.failure("did not report READY")
        status = self._exit_task.result()
        if status < 0:
            try:
                name = signal.Signals(-status).name
            except ValueError:
                name = str(-status)
            raise self.failure(f"was killed by {name}")
        raise self.failure(f"exited with status {status}")

    def failure(self, what: str) -> WorkerFailed:
        """Return the error that the worker "did this", with the end of its output."""
        return WorkerFailed(f"The worker of {self._config.name} {what}. {last_words(self._stderr)}")

    async def _read_stderr(self) -> None:
        """Read stderr to its end and keep the last lines. Reads chunks, because a line may have any length."""
        assert self._process.stderr is not None  # noqa: S101 - spawned with a pipe
        rest = b""
        while chunk := await self._process.stderr.read(8192):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-MAX_STDERR_LINE_BYTES:]
            self._keep(lines)
        self._keep([rest])

    def _keep(self, lines: list[bytes]) -> None:
        for line in lines:
            if text := line[:MAX_STDERR_LINE_BYTES].decode("utf-8", "replace").strip():
                self._stderr.append(text)
                logger.debug("worker %s: %s", self._config.name, text)
