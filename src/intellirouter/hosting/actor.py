"""The life of one model: fetch, load, serve, restart, drain, stop. The only code that changes a worker's state."""

import asyncio
import contextlib
import importlib.util
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Never

import msgspec
from msgspec import Struct

from intellirouter.core import Clock, TaskOwner, UpstreamAddress, errors
from intellirouter.hosting.artifacts import Artifact, ensure_artifact
from intellirouter.hosting.cores import default_threads, process_cpu_s
from intellirouter.hosting.errors import (
    ArtifactInvalid,
    ArtifactUnavailable,
    EngineMissing,
    HostStopped,
    ModelNotHosted,
    WorkerFailed,
)
from intellirouter.hosting.model import ArtifactProgress, HostSettings, LocalModel, WorkerState, WorkerView
from intellirouter.hosting.process import WorkerConfig, WorkerProcess
from intellirouter.hosting.restart import RestartPolicy
from intellirouter.hosting.sockets import socket_path

logger = logging.getLogger(__name__)

SHOWN_STDERR_LINES: Final = 20
BUSY_CPU_SHARE: Final = 0.1
"""Share of one core since the last health check. A worker that does not respond and uses less is considered hung."""
RETRY_AFTER_S: Final = 2.0
DRAIN_POLL_S: Final = 0.1
BASE_URL: Final = "http://local-worker/v1"
"""The host name only fills the Host header: connections go to the worker's unix socket."""

_STARTING_STATES: Final = frozenset({WorkerState.FETCHING, WorkerState.LOADING})
_REVIVED_STATES: Final = frozenset({WorkerState.FAILED, WorkerState.MISSING_ENGINE, WorkerState.BACKOFF})

OnEvent = Callable[[WorkerView], None]
CountRequests = Callable[[str], int]
"""Returns how many requests in flight use the worker at a socket path."""


class HostContext(Struct, frozen=True, kw_only=True):
    """What the actors of one host share."""

    cache_dir: Path
    run_dir: Path
    clock: Clock
    on_event: OnEvent
    settings: HostSettings
    count_requests: CountRequests | None


def missing_engine_reason() -> str | None:
    """Return why local models cannot run on this machine, or None if no reason is known."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "The local inference engine xllamacpp is not installed."
    if not hasattr(socket, "AF_UNIX"):
        return "This platform does not support unix sockets."
    return None


def model_not_hosted(name: str) -> ModelNotHosted:
    return ModelNotHosted(f"The local model host does not serve {name}.")


async def _complete(cleanup: Coroutine[Any, Any, None], name: str) -> None:
    """Run `cleanup` to its end even if the caller is canceled meanwhile: it must not leave a process behind."""
    task = TaskOwner("local_host.cleanup").start(cleanup, name, is_awaited=True)
    is_canceled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            is_canceled = True
    if is_canceled:
        raise asyncio.CancelledError


class WorkerActor:
    """Runs the worker of one model name, and replaces it when the model changes.

    `set_model` and `shut_down` may be called at any time. Everything else happens in the task that calls `run`.
    """

    def __init__(self, model: LocalModel, context: HostContext) -> None:
        self._name = model.name
        self._model: LocalModel | None = model
        self._context = context
        self._settings = context.settings
        self.view = self._initial_view()
        self._view_changed = asyncio.Event()
        self._model_changed = asyncio.Event()
        """Set while the worker of a previous model is still there. That worker no longer changes the state."""
        self._draining_socket: str | None = None
        self._generation = 0
        self._is_shut_down = False
        self._fault: errors.HostError | None = None

    def set_model(self, model: LocalModel | None) -> None:
        """Serve this model from now on; None: no model.

        If the model has not changed, a worker that is running or starting is not touched, and one that has failed or
        waits for its next start is started at once.
        """
        if self._is_shut_down:
            return
        if model == self._model:
            if model is not None and self.view.state in _REVIVED_STATES:
                self._fault = None
                self._model_changed.set()
            return
        self._model = model
        self._fault = model_not_hosted(self._name) if model is None else None
        self._model_changed.set()
        if self.view.state is WorkerState.READY:  # at once, so that no further request is sent to the worker
            self._draining_socket = self.view.socket_path
            self._set(WorkerState.DRAINING, "Waiting for requests in flight to finish.")
        else:
            self._wake_waiters()

    def shut_down(self) -> None:
        """Refuse callers from now on. The task that calls `run` is canceled afterwards."""
        self._is_shut_down = True
        self._fault = HostStopped("The local model host is stopping.")
        self._set(WorkerState.STOPPED)

    async def run(self) -> None:
        """Serve the model until there is none. Leaves no process and no socket."""
        while (model := self._model) is not None:
            self._model_changed.clear()
            self._fault = None
            self._generation = 0
            self.view = self._initial_view()
            tasks = TaskOwner(f"local_host.{self._name}")
            serving = tasks.start(self._serve(model), "serve")
            try:
                await self._model_changed.wait()
                if self._draining_socket is not None:
                    await self._drain(self._draining_socket, serving)
            finally:
                await _complete(tasks.stop(), self._name)
                self._draining_socket = None
        self._set(WorkerState.STOPPED)

    async def wait_ready(self, timeout_s: float) -> UpstreamAddress:
        """See `LocalHost.wait_ready`."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while True:
            view, changed = self.view, self._view_changed
            if view.socket_path is not None:
                return UpstreamAddress(base_url=BASE_URL, uds=view.socket_path)
            if self._fault is not None:
                fault = self._fault
                raise type(fault)(fault.message, code=fault.code, hint=fault.hint, retry_after_s=fault.retry_after_s)
            remaining_s = deadline_s - loop.time()
            if remaining_s <= 0:
                raise errors.ModelLoading(
                    f"The local model {view.name} is not ready. Its state is {view.state}: {view.detail}",
                    retry_after_s=RETRY_AFTER_S,
                )
            with contextlib.suppress(TimeoutError):  # the next iteration raises with the current state
                await asyncio.wait_for(changed.wait(), remaining_s)

    # -- one model ----------------------------------------------------------------------------------------------

    async def _serve(self, model: LocalModel) -> None:
        """Fetch and serve the model, with restarts, until it fails permanently or the model changes."""
        if not self._settings.worker_command and (reason := missing_engine_reason()) is not None:
            self._fail(WorkerState.MISSING_ENGINE, EngineMissing(reason))
            return
        settings = self._settings
        policy = RestartPolicy(
            base_s=settings.backoff_base_s,
            max_s=settings.backoff_max_s,
            stable_s=settings.stable_s,
        )
        try:
            while True:
                delay_s = await self._serve_once(model, policy)
                if self._model_changed.is_set():
                    return
                await asyncio.sleep(delay_s)
        except (ArtifactInvalid, WorkerFailed) as fault:
            self._fail(WorkerState.FAILED, fault)
        except EngineMissing as fault:
            self._fail(WorkerState.MISSING_ENGINE, fault)
        except Exception as error:  # a bug must not leave the model loading forever; TaskOwner logs it
            self._fail(
                WorkerState.FAILED,
                errors.HostError(f"The worker failed with an internal error: {error}.", code="internal_error"),
            )
            raise

    async def _serve_once(self, model: LocalModel, policy: RestartPolicy) -> float:
        """Fetch, load and watch until the worker ends. Returns the delay before the next start.

        Raises `HostError` if another start cannot help.
        """
        try:
            artifact = await self._fetch(model)
        except ArtifactUnavailable as outage:
            delay_s = policy.record_outage()
            self._note_outage(outage, delay_s)
            return delay_s
        policy.reset_outages()
        if isinstance(self._fault, ArtifactUnavailable) and not self._is_obsolete():
            self._fault = None
        fault = await self._run_worker(model, artifact)
        crash_delay_s = policy.record_crash(self._context.clock.monotonic_s())
        crashes = policy.crashes
        next_start = f"Next start in {crash_delay_s:g} s"
        if crashes > 1:
            next_start += f", after {crashes} crashes in a row"
        if crashes >= self._settings.crash_limit and not self._is_obsolete():
            self._fault = WorkerFailed(
                f"{fault.message} It has crashed {crashes} times in a row.", retry_after_s=crash_delay_s
            )
        self._set(WorkerState.BACKOFF, f"{fault.message} {next_start}.", crashes=crashes)
        return crash_delay_s

    def _note_outage(self, outage: ArtifactUnavailable, delay_s: float) -> None:
        """Let requests fail with the reason until the weights have been fetched."""
        if self._is_obsolete():
            return
        if self._fault is None:
            logger.warning("The weights of the local model %s cannot be fetched. %s", self._name, outage.message)
        self._fault = ArtifactUnavailable(
            f"The weights of the local model {self._name} cannot be fetched: {outage.message.removesuffix('.')}.",
            retry_after_s=delay_s,
        )
        self._set(WorkerState.BACKOFF, f"{outage.message} Next attempt in {delay_s:g} s.")

    async def _fetch(self, model: LocalModel) -> Artifact:
        self._set(WorkerState.FETCHING, f"Looking for {model.artifact}.", percent=0)
        return await ensure_artifact(
            model.artifact,
            sha256=model.artifact_sha256,
            cache_dir=self._context.cache_dir,
            on_progress=self._on_fetch_progress,
            timeout_s=self._settings.fetch_timeout_s,
        )

    def _on_fetch_progress(self, progress: ArtifactProgress) -> None:
        before = self.view.percent, self.view.detail.partition(" ")[0]
        if before != (progress.percent, progress.phase.capitalize()) and self.view.state is WorkerState.FETCHING:
            self._set(WorkerState.FETCHING, str(progress), percent=progress.percent)

    async def _run_worker(self, model: LocalModel, artifact: Artifact) -> WorkerFailed:
        """Run one worker process until it ends or hangs, and return why. Leaves no process and no socket."""
        clock = self._context.clock
        spawned_s = clock.monotonic_s()
        restarts = self._generation
        self._generation += 1
        config = self._worker_config(model, artifact)
        self._set(WorkerState.LOADING, f"Starting the worker for {model.artifact}.", restarts=restarts)
        try:
            process = await WorkerProcess.spawn(config, self._settings.worker_command)
        except WorkerFailed as fault:
            return fault
        try:
            self._set(WorkerState.LOADING, f"Loading {model.artifact}.", pid=process.pid)
            await self._load(process)
            cold_start_ms = round((clock.monotonic_s() - spawned_s) * 1000, 1)
            if not self._is_obsolete():
                self._fault = None
            self._set(WorkerState.READY, socket_path=config.socket_path, pid=process.pid, cold_start_ms=cold_start_ms)
            await self._watch(process)
        except WorkerFailed as fault:
            # Before the process is cleaned up, so that no further request is sent to it.
            self._set(WorkerState.BACKOFF, fault.message)
            return fault
        finally:
            await process.stop(self._settings.term_grace_s)
            self.view = msgspec.structs.replace(self.view, stderr_tail=process.stderr_tail[-SHOWN_STDERR_LINES:])

    async def _load(self, process: WorkerProcess) -> None:
        timeout_s = self._settings.load_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await process.load()
                self._set(WorkerState.LOADING, "Warming up.", pid=process.pid)
                await process.warm_up()
        except TimeoutError:
            raise process.failure(f"was not ready within {timeout_s:g} s") from None

    def _worker_config(self, model: LocalModel, artifact: Artifact) -> WorkerConfig:
        trained = artifact.header.trained_ctx_tokens or model.ctx_tokens
        return WorkerConfig(
            model_path=str(artifact.path),
            socket_path=str(socket_path(self._context.run_dir, model.name, self._generation)),
            name=model.name,
            alias=model.upstream_model or model.name,
            ctx_tokens=min(model.ctx_tokens, trained),
            slots=model.slots,
            threads=model.threads or default_threads(),
            cache_ram_mib=model.cache_ram_mib,
            has_embeddings=model.has_embeddings,
            host_pid=os.getpid(),
        )

    async def _watch(self, process: WorkerProcess) -> Never:
        """Check the worker's health until it ends or hangs, and raise the reason."""
        settings, misses = self._settings, 0
        clock = self._context.clock
        cpu_s, checked_s = process_cpu_s(process.pid), clock.monotonic_s()
        while True:
            await process.wait_exit(settings.health_interval_s)
            is_healthy = await process.is_healthy(settings.health_timeout_s)
            cpu_before_s, before_s = cpu_s, checked_s
            cpu_s, checked_s = process_cpu_s(process.pid), clock.monotonic_s()
            if is_healthy:
                misses = 0
                continue
            misses += 1
            is_busy = (
                cpu_s is not None
                and cpu_before_s is not None
                and cpu_s - cpu_before_s > BUSY_CPU_SHARE * (checked_s - before_s)
            )
            if misses >= (settings.busy_misses if is_busy else settings.health_misses):
                await process.wait_exit(0)  # a dead worker is not reported as hung
                raise process.failure(f"hung: it failed {misses} consecutive health checks")

    async def _drain(self, draining_socket: str, serving: asyncio.Task[None]) -> None:
        """Wait until no request uses the worker, or the drain timeout has passed."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._settings.drain_timeout_s
        count_requests = self._context.count_requests
        while not serving.done() and loop.time() < deadline_s:
            if count_requests is not None and not count_requests(draining_socket):
                return
            await asyncio.wait([serving], timeout=DRAIN_POLL_S)

    # -- state --------------------------------------------------------------------------------------------------

    def _initial_view(self) -> WorkerView:
        return WorkerView(name=self._name, state=WorkerState.STOPPED, detail="Not started yet.")

    def _fail(self, state: WorkerState, fault: errors.HostError) -> None:
        """Enter a permanent failure state."""
        if not self._model_changed.is_set():
            self._fault = fault
            self._set(state, fault.full_message)

    def _set(
        self,
        state: WorkerState,
        detail: str = "",
        *,
        percent: int | None = None,
        socket_path: str | None = None,
        **facts: object,
    ) -> None:
        """Enter `state` and notify everyone. Values that belong to one state only are cleared unless given."""
        if self._is_obsolete() and state not in {WorkerState.DRAINING, WorkerState.STOPPED}:
            return
        if state not in {WorkerState.LOADING, WorkerState.READY, WorkerState.DRAINING}:
            facts["pid"] = None
        fault = self._fault if state in _STARTING_STATES | _REVIVED_STATES else None
        self.view = msgspec.structs.replace(
            self.view,
            state=state,
            detail=detail,
            problem=None if fault is None else fault.full_message,
            percent=percent,
            socket_path=socket_path,
            **facts,
        )
        self._wake_waiters()
        try:
            self._context.on_event(self.view)
        except Exception:  # a failing observer must not end the worker
            logger.exception("The state of the local model %s could not be reported.", self._name)

    def _is_obsolete(self) -> bool:
        """Return whether the worker belongs to a previous model, or the host is stopping."""
        return self._is_shut_down or self._model_changed.is_set()

    def _wake_waiters(self) -> None:
        self._view_changed.set()
        self._view_changed = asyncio.Event()
