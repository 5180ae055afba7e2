"""Serves models on this machine: fetches artifacts and runs one supervised worker process per model.

Door: `LocalHost` (apply, stop, views, wait_ready) for `LocalModel`s; `ensure_artifact` to fetch an artifact early. A
worker serves OpenAI-compatible HTTP on a unix socket. This package does not know who sends requests to it, or what they
contain. DESIGN.md documents the states and the engine's settings.
"""

from intellirouter.hosting.artifacts import BUNDLED, Artifact, ensure_artifact
from intellirouter.hosting.errors import (
    ArtifactInvalid,
    ArtifactUnavailable,
    EngineMissing,
    HostStopped,
    ModelNotHosted,
    WorkerFailed,
)
from intellirouter.hosting.model import (
    EMBEDDING_INPUT_TOKENS,
    ArtifactProgress,
    FetchPhase,
    HostSettings,
    LocalModel,
    WorkerState,
    WorkerView,
)
from intellirouter.hosting.supervisor import LocalHost
from intellirouter.hosting.worker_errors import reworded_error

__all__ = [
    "BUNDLED",
    "EMBEDDING_INPUT_TOKENS",
    "Artifact",
    "ArtifactInvalid",
    "ArtifactProgress",
    "ArtifactUnavailable",
    "EngineMissing",
    "FetchPhase",
    "HostSettings",
    "HostStopped",
    "LocalHost",
    "LocalModel",
    "ModelNotHosted",
    "WorkerFailed",
    "WorkerState",
    "WorkerView",
    "ensure_artifact",
    "reworded_error",
]
