"""An HTTP request as a source of the pipeline."""

from collections.abc import Awaitable, Callable
from typing import Final

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import PeerAddress, RequestContext, errors
from intellirouter.dialects import Endpoint
from intellirouter.gateway.destination import refusal
from intellirouter.gateway.http import Destination, HttpRequest
from intellirouter.governance import Identity
from intellirouter.pipeline import Generation


class HttpSource:
    """Implements `pipeline.Source` for one HTTP request."""

    __slots__ = ("_destination", "_refusal", "_request", "context", "endpoint", "path")

    request_id: Final = None
    is_task_owner: Final = True

    def __init__(
        self, request: HttpRequest, destination: Destination, refusal: errors.GatewayError | None = None
    ) -> None:
        """`refusal`: why the request is refused before its caller is identified."""
        self.path: str = request.head.path
        self.endpoint: Endpoint = destination.endpoint
        self.context: RequestContext = destination.context
        self._request = request
        self._destination = destination
        self._refusal = refusal

    @property
    def peer(self) -> PeerAddress | None:
        return self._request.peer

    def identify(self, generation: Generation) -> Identity:
        if self._refusal is not None:
            raise self._refusal
        return generation.identify(self._destination.key)

    def read(self, limits: ServerSpec) -> bytes | Awaitable[bytes]:
        """Return the body. Raises `BodyTooLarge`, the refusal of the headers, and when awaited also `RequestTimeout`,
        `Overloaded` and `ClientDisconnected`.
        """
        request, destination = self._request, self._destination
        if not destination.is_accepted:
            error = refusal(self.endpoint, request.head.headers, has_cache=destination.has_cache)
            if error is not None:
                raise error
        if request.is_received:
            return request.take_body(limits.max_body_bytes)
        return request.read_body(limits.max_body_bytes, limits.body_timeout_s)

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        self._request.watch(on_disconnect)
