"""Finds out which fields each deployment would not receive as requested, by encoding the request without sending it."""

from collections.abc import Mapping

from intellirouter.core import Call, Deployment, Loss
from intellirouter.dialects import Endpoint


def preview_losses(
    endpoint: Endpoint, call: Call, deployments: Mapping[str, Deployment]
) -> dict[str, tuple[Loss, ...] | str]:
    """Return the losses of the request by deployment, or the error message if the request cannot be encoded for it."""
    return {name: endpoint.losses(call, deployment) for name, deployment in deployments.items()}
