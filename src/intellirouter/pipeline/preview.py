"""What each deployment of a decision could not be told: a dry run of the encoding, without sending anything."""

from collections.abc import Mapping

from intellirouter.core import Call, Deployment, Loss
from intellirouter.dialects import Endpoint


def preview_losses(
    endpoint: Endpoint, call: Call, deployments: Mapping[str, Deployment]
) -> dict[str, tuple[Loss, ...] | str]:
    """Return, by deployment, the losses of the request; in words where it cannot be encoded for it at all."""
    return {name: endpoint.losses(call, deployment) for name, deployment in deployments.items()}
