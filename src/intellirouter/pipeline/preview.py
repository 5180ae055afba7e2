"""What each deployment of a decision could not be told: a dry run of the encoding, without sending anything."""

from collections.abc import Mapping

from intellirouter.core import Call, Deployment, Loss, errors
from intellirouter.dialects import Endpoint


def preview_losses(
    endpoint: Endpoint, call: Call, deployments: Mapping[str, Deployment]
) -> dict[str, tuple[Loss, ...] | str]:
    """Return, by deployment, the losses of the request; in words where it cannot be encoded for it at all."""
    return {name: _preview(endpoint, call, deployment) for name, deployment in deployments.items()}


def _preview(endpoint: Endpoint, call: Call, deployment: Deployment) -> tuple[Loss, ...] | str:
    try:
        route = endpoint.route(call, deployment)
        if route.is_local:
            return route.decode_response(b"", call, deployment).losses
        if route.media_urls(call, deployment):
            return (Loss("messages[].content[].url", "emulated", "fetched by the gateway"),)
        return route.encode_request(call, deployment).losses
    except errors.GatewayError as error:
        return error.message
