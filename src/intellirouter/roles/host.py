"""Builds the local model host, and lists the models that a configuration assigns to it."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from intellirouter.config import Runtime
from intellirouter.hosting import LocalHost, LocalModel, WorkerView
from intellirouter.providers import VENDORS, UpstreamPool


def default_cache_dir() -> Path:
    """Return the directory of downloaded models: in the home directory, if this user has one."""
    try:
        return Path.home() / ".cache" / "intellirouter"
    except RuntimeError:  # a container that runs as an arbitrary user
        return Path(tempfile.gettempdir()) / f"intellirouter-{os.getuid()}"


def build_host(runtime: Runtime, pool: UpstreamPool, on_event: Callable[[WorkerView], None] | None) -> LocalHost:
    """Return a host without models. `pool` sends the requests to its workers."""
    spec = runtime.host
    return LocalHost(
        cache_dir=Path(spec.cache_dir) if spec.cache_dir else default_cache_dir(),
        run_dir=Path(spec.run_dir) if spec.run_dir else None,
        on_event=on_event or _ignore,
        count_requests=pool.requests_in_flight,
    )


def local_models(runtime: Runtime) -> list[LocalModel]:
    """Return a model for each deployment that the local host serves."""
    spec = runtime.host
    return [
        LocalModel(
            name=name,
            upstream_model=deployment.model,
            artifact=deployment.artifact,
            artifact_sha256=deployment.artifact_sha256,
            ctx_tokens=deployment.context_tokens or spec.context_tokens,
            slots=spec.slots,
            threads=spec.threads,
        )
        for name, deployment in runtime.deployments.items()
        if deployment.artifact is not None
        and VENDORS[runtime.providers[deployment.provider].vendor].transport == "host"
    ]


def _ignore(_: WorkerView) -> None:
    """Ignore the event."""
