"""Finds out which fields each deployment would not receive as requested, by encoding the request without sending it."""

from collections.abc import Mapping

from intellirouter.core import Call, Deployment, Loss, errors
from intellirouter.dialects import Endpoint, MediaNeeded


def preview_losses(
    endpoint: Endpoint, call: Call, deployments: Mapping[str, Deployment]
) -> dict[str, tuple[Loss, ...] | str]:
    """Return the losses of the request by deployment, or the error message if the request cannot be encoded for it."""
    return {name: _preview(endpoint, call, deployment) for name, deployment in deployments.items()}


def _preview(endpoint: Endpoint, call: Call, deployment: Deployment) -> tuple[Loss, ...] | str:
    try:
        route = endpoint.route(call, deployment)
        if route.is_local:
            return route.decode_response(b"", call, deployment).losses
        return route.encode_request(call, deployment).losses
    except MediaNeeded:
        return (Loss("messages[].content[].url", "emulated", "fetched by the gateway"),)
    except errors.GatewayError as error:
        return error.message
