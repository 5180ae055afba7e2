"""The Model Host for the deployments that are served by workers of our own."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from intellirouter.config import Runtime
from intellirouter.hosting import LocalHost, LocalModel, WorkerView
from intellirouter.providers import VENDORS

DEFAULT_CACHE_DIR = Path.home() / ".cache" / "intellirouter"


def build_host(runtime: Runtime, on_event: Callable[[WorkerView], None] | None) -> LocalHost | None:
    """Return a host with one worker per hosted deployment, or None when nothing is hosted."""
    spec = runtime.host
    models = [
        LocalModel(
            name=name,
            artifact=deployment.artifact,
            ctx_tokens=deployment.context_tokens or spec.context_tokens,
            slots=spec.slots,
            threads=spec.threads,
        )
        for name, deployment in runtime.deployments.items()
        if deployment.artifact is not None
        and VENDORS[runtime.providers[deployment.provider].vendor].transport == "host"
    ]
    if not models:
        return None
    cache_dir = Path(spec.cache_dir) if spec.cache_dir else DEFAULT_CACHE_DIR
    # A socket's path has at most 107 bytes, so the sockets live in a short private directory.
    run_dir = Path(spec.run_dir) if spec.run_dir else Path(tempfile.mkdtemp(prefix="ir-"))
    return LocalHost(models, cache_dir=cache_dir, run_dir=run_dir, on_event=on_event or _ignore)


def _ignore(_: WorkerView) -> None:
    """Nobody is watching."""
