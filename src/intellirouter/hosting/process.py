"""One worker process as its host sees it: started, asked whether it is well, warmed up, ended. See `worker.py`."""

import asyncio
import importlib
import logging
import os
import signal
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec
from msgspec import Struct

from intellirouter.core import TaskOwner
from intellirouter.hosting.faults import EngineMissing, WorkerFailed

if TYPE_CHECKING:
    from intellirouter.hosting.worker_http import WorkerHttp

logger = logging.getLogger(__name__)

BUILT_IN_COMMAND: Final = (sys.executable, "-I", str(Path(__file__).with_name("worker.py")))
"""By path, not `-m`: the package's own imports would only delay the start."""
_HTTP: Final = "intellirouter.hosting.worker_http"
KEPT_STDERR_LINES: Final = 200
MAX_STDERR_LINE_BYTES: Final = 2000
QUOTED_LINES: Final = 6
READY_POLL_S: Final = 0.02
KILL_WAIT_S: Final = 5.0
DRAIN_S: Final = 1.0


class WorkerConfig(Struct, frozen=True, kw_only=True):
    """The line of JSON that a worker reads first."""

    model_path: str
    socket_path: str
    alias: str
    ctx_tokens: int
    slots: int
    threads: int
    cache_ram_mib: int
    has_embeddings: bool
    host_pid: int


class _Answer(Struct, frozen=True):
    kind: str = ""
    message: str = ""


class WorkerProcess:
    """Owns one child process, its socket and its output. `stop` must be awaited, however it ended."""

    def __init__(self, process: asyncio.subprocess.Process, config: WorkerConfig, http: "WorkerHttp") -> None:
        self._process = process
        self._config = config
        self._tasks = TaskOwner(f"worker.{config.alias}")
        self._stderr: deque[str] = deque(maxlen=KEPT_STDERR_LINES)
        self._drain = self._tasks.start(self._drain_stderr(), "stderr")
        self._exit = self._tasks.start(process.wait(), "exit")
        self._http = http

    @classmethod
    async def spawn(cls, config: WorkerConfig, command: tuple[str, ...] = ()) -> Self:
        """Start the process, in a session of its own and with nothing of our environment.

        Raises `WorkerFailed` when the operating system refuses.
        """
        module = await asyncio.to_thread(importlib.import_module, _HTTP)  # see its docstring
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
            raise WorkerFailed(f"the worker process for {config.alias} could not be started: {error}") from error
        return cls(process, config, module.WorkerHttp(config.socket_path))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stderr_tail(self) -> tuple[str, ...]:
        return tuple(self._stderr)

    async def load(self) -> None:
        """Hand over the configuration and wait until the worker answers requests. The caller sets the deadline.

        Raises `EngineMissing` or `WorkerFailed`.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 - PIPEs were asked for
        assert stdout is not None  # noqa: S101
        try:
            stdin.write(msgspec.json.encode(self._config) + b"\n")
            await stdin.drain()
            line = await stdout.readline()
        except (ConnectionError, ValueError):  # it died before it read; it said more than a line's worth
            line = b""
        word, _, facts = line.partition(b" ")
        if word == b"FAILED":
            self._raise_answer(facts)
        if word.strip() != b"READY":
            await self._gone()
        while not await self.is_healthy(timeout_s=1.0):
            if self._exit.done():
                await self._gone()
            await asyncio.sleep(READY_POLL_S)

    async def warm_up(self) -> None:
        """Decode one token, so that no client pays for the first touch of the weights. Raises `WorkerFailed`."""
        if (problem := await self._http.decode_one_token()) is not None:
            raise self._failed(problem)

    async def is_healthy(self, timeout_s: float) -> bool:
        return await self._http.is_healthy(timeout_s)

    async def wait_exit(self, timeout_s: float) -> None:
        """Return after `timeout_s`; raise `WorkerFailed` with the reason as soon as the process has ended."""
        await asyncio.wait([self._exit], timeout=timeout_s)
        if self._exit.done():
            await self._gone()

    async def stop(self, grace_s: float) -> None:
        """End the process (SIGTERM, `grace_s`, SIGKILL, both to its group), remove its socket. Idempotent."""
        await self._http.close()
        for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, KILL_WAIT_S)):
            # Only while it is not reaped: afterwards the number may belong to somebody else.
            if self._process.returncode is not None:
                break
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                break
            await asyncio.wait([self._exit], timeout=patience_s)
        else:
            if self._process.returncode is None:
                logger.error("worker %s (pid %d) cannot be killed", self._config.alias, self.pid)
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.wait([self._drain], timeout=DRAIN_S)
        await self._tasks.stop()
        self._remove_socket()

    def _remove_socket(self) -> None:
        Path(self._config.socket_path).unlink(missing_ok=True)

    def _raise_answer(self, facts: bytes) -> None:
        try:
            answer = msgspec.json.decode(facts, type=_Answer)
        except msgspec.DecodeError:
            answer = _Answer(message=facts.decode("utf-8", "replace")[:200])
        if answer.kind == "engine":
            raise EngineMissing(answer.message)
        raise self._failed(f"could not load {self._config.model_path}: {answer.message}")

    async def _gone(self) -> None:
        """Raise what the end of the process means, once it has ended and its last words have arrived."""
        await asyncio.wait([self._exit, self._drain], timeout=DRAIN_S)
        if not self._exit.done():
            raise self._failed("did not say READY")
        status = self._exit.result()
        if status < 0:
            try:
                name = signal.Signals(-status).name
            except ValueError:
                name = str(-status)
            raise self._failed(f"was killed by {name}")
        raise self._failed(f"ended with status {status}")

    def _failed(self, what: str) -> WorkerFailed:
        words = " | ".join(list(self._stderr)[-QUOTED_LINES:])
        return WorkerFailed(f"the worker of {self._config.alias} {what}" + (f"; it said: {words}" if words else ""))

    async def _drain_stderr(self) -> None:
        """Keep the pipe empty and the last lines. By chunks, since a line may be of any length."""
        assert self._process.stderr is not None  # noqa: S101 - a PIPE was asked for
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
                logger.debug("worker %s: %s", self._config.alias, text)
