"""The base of routes that answer from the request alone, without calling an upstream."""

from collections.abc import Sequence

from intellirouter.core import Call, Clock, Deployment, UpstreamRequest, errors
from intellirouter.dialects.protocols import Route, StreamRelay


class LocalRoute(Route):
    """A route whose `decode_response` returns the answer for an empty body. It cannot stream."""

    is_local = True
    unsupported: str
    """What deployments cannot do, as a phrase between the names of deployment and model: "cannot load"."""
    not_streamed: str
    """The message of the error for a stream."""

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        raise errors.UnsupportedFeature(f"{deployment.name} {self.unsupported} {call.model}.")

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:  # noqa: ARG002
        raise errors.InvalidRequest(self.not_streamed, param="stream")

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        del headers, body, clock
        raise errors.InternalError(f"{deployment} was not called (HTTP {status}).")
