"""Serves models on this machine: fetches weights, runs one supervised worker process per model.

Door: `LocalHost` (start, stop, views, wait_ready) for `LocalModel`s; `ensure_artifact` to fetch weights ahead of
time; `engine_available` for a diagnosis. A worker answers OpenAI-compatible HTTP on a unix socket; who sends requests
there, and what they mean, is not known here. DESIGN.md has the states, the engine's flags and its quirks.
"""

from intellirouter.hosting.actor import engine_available
from intellirouter.hosting.artifacts import BUNDLED, Artifact, ensure_artifact
from intellirouter.hosting.faults import ArtifactInvalid, ArtifactUnavailable, EngineMissing, HostStopped, WorkerFailed
from intellirouter.hosting.model import (
    EMBEDDING_INPUT_TOKENS,
    ArtifactProgress,
    HostSettings,
    LocalModel,
    Phase,
    WorkerState,
    WorkerView,
)
from intellirouter.hosting.supervisor import LocalHost

__all__ = [
    "BUNDLED",
    "EMBEDDING_INPUT_TOKENS",
    "Artifact",
    "ArtifactInvalid",
    "ArtifactProgress",
    "ArtifactUnavailable",
    "EngineMissing",
    "HostSettings",
    "HostStopped",
    "LocalHost",
    "LocalModel",
    "Phase",
    "WorkerFailed",
    "WorkerState",
    "WorkerView",
    "engine_available",
    "ensure_artifact",
]
