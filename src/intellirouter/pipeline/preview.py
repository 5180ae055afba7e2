"""What each deployment of a decision could not be told: a dry run of the encoding, without sending anything."""

from collections.abc import Mapping

from intellirouter.core import Call, Deployment, Loss, errors
from intellirouter.dialects import MediaNeeded, Surface


def preview_losses(
    surface: Surface, call: Call, deployments: Mapping[str, Deployment]
) -> dict[str, tuple[Loss, ...] | str]:
    """Return, by deployment, the losses of the request; in words where it cannot be encoded for it at all."""
    return {name: _preview(surface, call, deployment) for name, deployment in deployments.items()}


def _preview(surface: Surface, call: Call, deployment: Deployment) -> tuple[Loss, ...] | str:
    try:
        lane = surface.lane(call, deployment)
        if lane.is_local:
            return lane.decode_response(b"", call, deployment).losses
        return lane.encode_request(call, deployment).losses
    except MediaNeeded:
        return (Loss("messages[].content[].url", "emulated", "fetched by the gateway"),)
    except errors.GatewayError as error:
        return error.message
