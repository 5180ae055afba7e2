"""The local model host: one supervised worker per model. DESIGN.md draws the states."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from intellirouter.core import SYSTEM_CLOCK, Clock, TaskOwner, UpstreamAddress
from intellirouter.hosting.actor import CountRequests, HostContext, OnEvent, WorkerActor, model_not_hosted
from intellirouter.hosting.model import HostSettings, LocalModel, WorkerView
from intellirouter.hosting.sockets import create_run_dir, prepare_run_dir


def _ignore(_: WorkerView) -> None:
    """The default: events are not reported."""


class LocalHost:
    """Owns the workers of all local models of this process.

    A host without models starts no thread and no process, and creates no file.
    """

    def __init__(
        self,
        *,
        cache_dir: Path,
        run_dir: Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
        on_event: OnEvent = _ignore,
        settings: HostSettings | None = None,
        count_requests: CountRequests | None = None,
    ) -> None:
        """`run_dir` is the directory of the sockets: short (a socket's path has at most 107 bytes) and for this user
        only. None: a private temporary directory whose path is short enough, which `stop` removes.

        `on_event` is called on the loop with the new view at every change. It must not block or raise.
        `count_requests` returns how many requests in flight use the worker at a socket path; without it, the worker of
        a removed or changed model runs for the whole drain timeout.
        """
        self._cache_dir = cache_dir
        self._run_dir = None if run_dir is None else run_dir.absolute()
        self._clock = clock
        self._on_event = on_event
        self._settings = settings or HostSettings()
        self._count_requests = count_requests
        self._context: HostContext | None = None
        self._tasks = TaskOwner("local_host")
        self._actors: dict[str, WorkerActor] = {}
        self._is_stopped = False

    def apply(self, models: Sequence[LocalModel]) -> None:
        """Serve these models from now on, and no others. Returns at once; the work happens in the background.

        Starts workers for added models and stops those of removed ones. Workers of changed models are replaced, those
        of unchanged models are not touched. Before a worker is stopped, its requests in flight have a limited time to
        finish. May be called again at any time, and has no effect after `stop`.

        Raises `HostError` when `run_dir` cannot be used, ValueError when two models have the same name. Nothing has
        changed then.
        """
        wanted = {model.name: model for model in models}
        if len(wanted) != len(models):
            raise ValueError("Two local models have the same name.")
        if self._is_stopped:
            return
        if wanted and self._context is None:
            self._context = self._prepare()
        for name, actor in self._actors.items():
            actor.set_model(wanted.get(name))
        if self._context is not None:
            for name, model in wanted.items():
                if name not in self._actors:
                    self._start(WorkerActor(model, self._context), name)

    async def stop(self) -> None:
        """Refuse callers, end all workers (by force after `term_grace_s`) and remove the sockets. Idempotent.

        Requests in flight are cut off: the caller has drained them before.
        """
        if self._is_stopped:
            return
        self._is_stopped = True
        for actor in self._actors.values():
            actor.shut_down()
        await self._tasks.stop()
        if self._context is not None and self._run_dir is None:
            shutil.rmtree(self._context.run_dir, ignore_errors=True)

    def views(self) -> tuple[WorkerView, ...]:
        """Return the current state of all workers, including those of removed models until they have stopped."""
        return tuple(actor.view for actor in self._actors.values())

    def view(self, name: str) -> WorkerView:
        """Return the current state of one worker. Raises `ModelNotHosted`."""
        return self._actor(name).view

    async def wait_ready(self, name: str, timeout_s: float) -> UpstreamAddress:
        """Return the address of the worker of `name`, waiting up to `timeout_s` for it.

        Raises `ModelLoading` with the current state when it takes longer, `ModelNotHosted` for a model that the host
        does not serve, and another `HostError` at once when the worker has failed permanently.
        """
        return await self._actor(name).wait_ready(timeout_s)

    def _actor(self, name: str) -> WorkerActor:
        actor = self._actors.get(name)
        if actor is None:
            raise model_not_hosted(name)
        return actor

    def _start(self, actor: WorkerActor, name: str) -> None:
        self._actors[name] = actor
        self._tasks.start(self._run(actor, name), name)

    async def _run(self, actor: WorkerActor, name: str) -> None:
        await actor.run()
        del self._actors[name]  # in the same iteration of the loop in which `run` found that there is no model

    def _prepare(self) -> HostContext:
        """Create the directory of the sockets. Raises `HostError`."""
        run_dir = self._run_dir or create_run_dir()
        prepare_run_dir(run_dir)
        return HostContext(
            cache_dir=self._cache_dir,
            run_dir=run_dir,
            clock=self._clock,
            on_event=self._on_event,
            settings=self._settings,
            count_requests=self._count_requests,
        )
