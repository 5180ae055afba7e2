"""One model's life: fetch, load, watch, restart, give up. The only code that moves a worker's state."""

import asyncio
import importlib.util
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, Never

import msgspec
from msgspec import Struct

from intellirouter.core import Clock, UpstreamAddress, errors
from intellirouter.hosting.artifacts import Artifact, ensure_artifact
from intellirouter.hosting.cores import default_threads, process_cpu_s
from intellirouter.hosting.faults import ArtifactInvalid, ArtifactUnavailable, EngineMissing, HostStopped, WorkerFailed
from intellirouter.hosting.model import ArtifactProgress, HostSettings, LocalModel, WorkerState, WorkerView
from intellirouter.hosting.process import WorkerConfig, WorkerProcess
from intellirouter.hosting.restart import RestartPolicy
from intellirouter.hosting.sockets import socket_path

SHOWN_STDERR_LINES: Final = 20
BUSY_CPU_SHARE: Final = 0.1
"""Of one core, since the last health check: below it a silent worker is hung rather than busy."""
RETRY_AFTER_S: Final = 2.0

OnEvent = Callable[[WorkerView], None]


class Places(Struct, frozen=True):
    cache_dir: Path
    run_dir: Path


def engine_available() -> str | None:
    """Return why local models cannot run here, or None when they can (as far as can be told without loading)."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "the local engine xllamacpp is not installed"
    if not hasattr(socket, "AF_UNIX"):
        return "this platform has no unix sockets"
    return None


class Actor:
    """One model's life. Only its own task moves its state (but for `refuse`)."""

    def __init__(
        self, model: LocalModel, places: Places, clock: Clock, on_event: OnEvent, settings: HostSettings
    ) -> None:
        self.view = WorkerView(name=model.name, state=WorkerState.STOPPED, detail="not started")
        self._model = model
        self._places = places
        self._clock = clock
        self._on_event = on_event
        self._settings = settings
        self._policy = RestartPolicy(
            base_s=settings.backoff_base_s,
            max_s=settings.backoff_max_s,
            crash_limit=settings.crash_limit,
            window_s=settings.crash_window_s,
        )
        self._changed = asyncio.Event()
        self._generation = 0
        self._is_refusing = False
        self._fault: errors.HostError | None = None

    async def run(self) -> None:
        if not self._settings.worker_command and (reason := engine_available()) is not None:
            self._give_up(WorkerState.MISSING_ENGINE, EngineMissing(reason))
            return
        try:
            while True:
                delay_s = await self._one_life()
                await asyncio.sleep(delay_s)
        except (ArtifactInvalid, WorkerFailed) as fault:
            self._give_up(WorkerState.FAILED, fault)
        except EngineMissing as fault:
            self._give_up(WorkerState.MISSING_ENGINE, fault)
        except Exception as error:  # a bug of ours must not leave the model "loading" for ever; TaskOwner logs it
            self._give_up(WorkerState.FAILED, errors.HostError(f"internal error: {error}", code="internal_error"))
            raise

    async def _one_life(self) -> float:
        """Fetch, load and watch until it ends. Returns the delay before the next one; raises when there is none."""
        try:
            artifact = await self._fetch()
        except ArtifactUnavailable as outage:
            delay_s = self._policy.unavailable()
            self._set(WorkerState.BACKOFF, f"{outage.message}; next try in {delay_s:g} s")
            return delay_s
        self._policy.recovered()
        fault = await self._serve(artifact)
        crash_delay_s = self._policy.crashed(self._clock.monotonic_s())
        if crash_delay_s is None:
            raise fault
        self._set(WorkerState.BACKOFF, f"{fault.message}; next start in {crash_delay_s:g} s")
        return crash_delay_s

    async def _fetch(self) -> Artifact:
        self._set(WorkerState.FETCHING, f"looking for {self._model.artifact}", percent=0)
        return await ensure_artifact(
            self._model.artifact,
            cache_dir=self._places.cache_dir,
            on_progress=self._fetch_progressed,
            timeout_s=self._settings.fetch_timeout_s,
        )

    def _fetch_progressed(self, progress: ArtifactProgress) -> None:
        before = self.view.percent, self.view.detail.partition(" ")[0]
        if before != (progress.percent, progress.phase.value) and self.view.state is WorkerState.FETCHING:
            self._set(WorkerState.FETCHING, str(progress), percent=progress.percent)

    async def _serve(self, artifact: Artifact) -> WorkerFailed:
        """Run one worker process until it ends or must be ended; return why. Leaves no process and no socket."""
        spawned_s = self._clock.monotonic_s()
        restarts = self._generation
        self._generation += 1
        config = self._config(artifact)
        self._set(WorkerState.LOADING, f"starting the engine with {self._model.artifact}", restarts=restarts)
        try:
            process = await WorkerProcess.spawn(config, self._settings.worker_command)
        except WorkerFailed as fault:
            return fault
        try:
            self._set(WorkerState.LOADING, f"loading {self._model.artifact}", pid=process.pid)
            try:
                async with asyncio.timeout(self._settings.load_timeout_s):
                    await process.load()
                    self._set(WorkerState.LOADING, "warming up", pid=process.pid)
                    await process.warm_up()
            except TimeoutError:
                raise WorkerFailed(
                    f"the worker of {self._model.name} was not ready within {self._settings.load_timeout_s:g} s"
                ) from None
            took_ms = (self._clock.monotonic_s() - spawned_s) * 1000
            self._set(
                WorkerState.READY, socket_path=config.socket_path, pid=process.pid, cold_start_ms=round(took_ms, 1)
            )
            await self._watch(process)
        except WorkerFailed as fault:
            # At once: nobody shall be sent to it while it is cleared away.
            self._set(WorkerState.BACKOFF, fault.message)
            return fault
        finally:
            await process.stop(self._settings.term_grace_s)
            self._note_last_words(process.stderr_tail)

    def _config(self, artifact: Artifact) -> WorkerConfig:
        model = self._model
        trained = artifact.header.trained_ctx_tokens or model.ctx_tokens
        return WorkerConfig(
            model_path=str(artifact.path),
            socket_path=str(socket_path(self._places.run_dir, model.name, self._generation)),
            alias=model.name,
            ctx_tokens=min(model.ctx_tokens, trained),
            slots=model.slots,
            threads=model.threads or default_threads(),
            cache_ram_mib=model.cache_ram_mib,
            has_embeddings=model.has_embeddings,
            host_pid=os.getpid(),
        )

    async def _watch(self, process: WorkerProcess) -> Never:
        """Check the worker's health until it ends (raises its reason) or hangs (raises that)."""
        settings, misses = self._settings, 0
        cpu_s, checked_s = process_cpu_s(process.pid), self._clock.monotonic_s()
        while True:
            await process.wait_exit(settings.health_interval_s)
            is_healthy = await process.is_healthy(settings.health_timeout_s)
            cpu_before_s, before_s = cpu_s, checked_s
            cpu_s, checked_s = process_cpu_s(process.pid), self._clock.monotonic_s()
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
                await process.wait_exit(0)  # dead is not hung
                raise WorkerFailed(f"the worker of {self._model.name} hung: {misses} health checks without an answer")

    def refuse(self) -> None:
        self._is_refusing = True
        self._fault = HostStopped(f"the local host of {self._model.name} is stopping")
        self._set(WorkerState.STOPPED)

    async def wait_ready(self, timeout_s: float) -> UpstreamAddress:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while True:
            view, changed = self.view, self._changed
            if view.socket_path is not None:
                return UpstreamAddress(base_url="http://local-worker/v1", uds=view.socket_path)
            if self._fault is not None:
                raise type(self._fault)(self._fault.message, code=self._fault.code, hint=self._fault.hint)
            left_s = deadline_s - loop.time()
            if left_s <= 0:
                raise errors.ModelLoading(f"{view.name} is {view.state}: {view.detail}", retry_after_s=RETRY_AFTER_S)
            try:
                await asyncio.wait_for(changed.wait(), left_s)
            except TimeoutError:
                continue  # the next round says what it is doing now

    def _give_up(self, state: WorkerState, fault: errors.HostError) -> None:
        self._fault = fault
        self._set(state, f"{fault.message}. {fault.hint}")

    def _note_last_words(self, lines: tuple[str, ...]) -> None:
        self.view = msgspec.structs.replace(self.view, stderr_tail=lines[-SHOWN_STDERR_LINES:])

    def _set(
        self,
        state: WorkerState,
        detail: str = "",
        *,
        percent: int | None = None,
        socket_path: str | None = None,
        **facts: object,
    ) -> None:
        """Move to `state` and tell everybody. What belongs to one state only is cleared unless given."""
        if self._is_refusing and state is not WorkerState.STOPPED:
            return
        if state not in {WorkerState.LOADING, WorkerState.READY}:
            facts["pid"] = None
        self.view = msgspec.structs.replace(
            self.view, state=state, detail=detail, percent=percent, socket_path=socket_path, **facts
        )
        self._changed.set()
        self._changed = asyncio.Event()
        self._on_event(self.view)
