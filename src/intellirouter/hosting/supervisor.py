"""The local model host: one supervised worker per model. DESIGN.md draws the states."""

from collections.abc import Sequence
from pathlib import Path

from intellirouter.core import SYSTEM_CLOCK, Clock, TaskOwner, UpstreamAddress
from intellirouter.hosting.actor import Actor, OnEvent, Places
from intellirouter.hosting.model import HostSettings, LocalModel, WorkerView
from intellirouter.hosting.sockets import prepare_run_dir


def _ignore(_: WorkerView) -> None:
    """Nobody is watching."""


class LocalHost:
    """Owns the workers of all local models of this process."""

    def __init__(
        self,
        models: Sequence[LocalModel],
        *,
        cache_dir: Path,
        run_dir: Path,
        clock: Clock = SYSTEM_CLOCK,
        on_event: OnEvent = _ignore,
        settings: HostSettings | None = None,
    ) -> None:
        """`on_event` is called on the loop with the new view at every change; it must not block or raise.

        `run_dir` holds the sockets: short (a socket's path has at most 107 bytes) and for this user alone.
        """
        self._run_dir = run_dir.absolute()
        self._tasks = TaskOwner("local_host")
        self._actors = {
            model.name: Actor(model, Places(cache_dir, self._run_dir), clock, on_event, settings or HostSettings())
            for model in models
        }
        if len(self._actors) != len(models):
            raise ValueError("two local models have the same name")

    async def start(self) -> None:
        """Begin to fetch and load everything; returns at once. Raises `HostError` when `run_dir` cannot be used."""
        if not self._actors:
            return
        prepare_run_dir(self._run_dir)
        for name, actor in self._actors.items():
            self._tasks.start(actor.run(), name)

    async def stop(self) -> None:
        """Refuse new callers, end all workers (each within `term_grace_s`, then by force), remove the sockets.

        The caller has drained its own requests before: those still under way are cut off. Idempotent.
        """
        for actor in self._actors.values():
            actor.refuse()
        await self._tasks.stop()

    def views(self) -> tuple[WorkerView, ...]:
        return tuple(actor.view for actor in self._actors.values())

    def view(self, name: str) -> WorkerView:
        """Raises `KeyError` for a model that is not ours."""
        return self._actors[name].view

    async def wait_ready(self, name: str, timeout_s: float) -> UpstreamAddress:
        """Return where the worker of `name` answers now, waiting for it for up to `timeout_s`.

        Raises `ModelLoading` (says what it is doing) when it takes longer, another `HostError` at once when waiting
        is in vain, `KeyError` for a model that is not ours.
        """
        return await self._actors[name].wait_ready(timeout_s)
