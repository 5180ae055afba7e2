"""What can go wrong with a local model, as branches of the one error tree (`HostError`)."""

from intellirouter.core.errors import HostError


class ArtifactInvalid(HostError):
    """The weights are not what they should be. Trying again does not help until the file changes."""

    code = "artifact_invalid"
    hint = "Point `artifact` at a complete GGUF file, or use `bundled:smollm2-135m`."


class ArtifactUnavailable(HostError):
    """The weights could not be fetched this time (network, disk, deadline)."""

    code = "artifact_unavailable"
    hint = "Check the network, the package index that pip is configured for, and the free disk space."


class EngineMissing(HostError):
    """No engine: this machine cannot run local models as it is."""

    code = "engine_missing"
    hint = "Install the local engine: pip install 'intellirouter[local]' (on slim images also the package libgomp1)."


class WorkerFailed(HostError):
    """A worker process died, hung or did not start."""

    code = "worker_failed"
    hint = "The message ends with the worker's last words; the model is not started again until the host restarts."


class HostStopped(HostError):
    """The host is not running (any more)."""

    code = "host_stopped"
    hint = "The gateway is stopping; send the request to another instance."
