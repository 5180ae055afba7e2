"""What routes that answer from the request alone have in common: they call no upstream and do not stream."""

from collections.abc import Sequence

from intellirouter.core import Call, Clock, Deployment, UpstreamRequest, errors
from intellirouter.dialects.protocols import Route, StreamRelay


class LocalRoute(Route):
    """A route whose `decode_response` of an empty body is the answer."""

    is_local = True
    not_asked: str
    """What no deployment can be asked for, between its name and the model's: "cannot be told to load"."""
    not_streamed: str
    """That the answer is not streamed, as a sentence."""

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        raise errors.UnsupportedFeature(f"{deployment.name} {self.not_asked} {call.model}.")

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:  # noqa: ARG002
        raise errors.InvalidRequest(self.not_streamed, param="stream")

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        del headers, body, clock
        raise errors.InternalError(f"{deployment} was not called (HTTP {status}).")
