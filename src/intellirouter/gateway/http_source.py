"""An HTTP request as a source of the pipeline."""

from collections.abc import Awaitable
from typing import Final

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import RequestContext
from intellirouter.dialects import Endpoint
from intellirouter.gateway.asgi import HAS_BODY, Receive, Scope
from intellirouter.gateway.body import check_body, read_body, take_body
from intellirouter.gateway.credentials import request_key
from intellirouter.governance import Identity
from intellirouter.pipeline import Generation


class HttpSource:
    """Implements `pipeline.Source` for one HTTP request."""

    __slots__ = ("_headers", "_receive", "_scope", "context", "endpoint", "path")

    request_id: Final = None
    is_task_owner: Final = True

    def __init__(self, scope: Scope, receive: Receive, endpoint: Endpoint, context: RequestContext) -> None:
        self.path: str = scope["path"]
        self.endpoint = endpoint
        self.context = context
        self._scope = scope
        self._receive = receive
        self._headers: dict[bytes, bytes] = dict(scope["headers"])

    def identify(self, generation: Generation) -> Identity:
        return generation.identify(request_key(self._headers, self._scope))

    def read(self, limits: ServerSpec) -> Awaitable[bytes]:
        """Return the body. Raises `BodyTooLarge`, `UnsupportedMediaType`, `RequestTimeout`, `ClientDisconnected`."""
        check_body(self._headers, limits.max_body_bytes, is_json=self.endpoint.is_json)
        extensions = self._scope.get("extensions")
        if extensions and HAS_BODY in extensions and extensions[HAS_BODY](self._scope):
            return take_body(self._receive, limits.max_body_bytes)
        return read_body(self._receive, limit_bytes=limits.max_body_bytes, deadline_s=limits.body_timeout_s)

    async def wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
