"""The data plane: a raw ASGI application. Routes are dictionaries; nothing else stands before an exchange."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import parse_qsl

from intellirouter.core import EMPTY_CONTEXT, RequestContext, errors, new_id
from intellirouter.dialects import ENDPOINTS_BY_PATH
from intellirouter.gateway import description, models
from intellirouter.gateway.asgi import HAS_BODY, Receive, Scope, Send
from intellirouter.gateway.body import check_body, read_body, take_body
from intellirouter.gateway.credentials import presented_key
from intellirouter.gateway.in_flight import InFlight
from intellirouter.gateway.paths import context_of, endpoint_of, errors_of
from intellirouter.gateway.reply import ClientReply
from intellirouter.governance import Identity
from intellirouter.pipeline import Exchange, Headers, Reply, Spine
from intellirouter.resources import JSON, Download, Page, Resource, ResourceRequest, StoredResponses, live, ready

logger = logging.getLogger(__name__)

RESPONSES: Final = "/v1/responses"
_NOBODY: Final = Identity("-", None)
"""Whose exchange it is before the caller is known."""


class Gateway:
    """Serves `/v1/*` and the other dialects' paths, health and metrics. `spine` is the one reference a reload swaps.

    `check_ready` and `render_metrics` are handed in: health and telemetry are other rooms' business.
    """

    def __init__(
        self,
        spine: Spine,
        *,
        check_ready: Callable[[], tuple[bool, str]],
        render_metrics: Callable[[], Page],
        responses: StoredResponses,
        resources: Sequence[Resource] = (),
    ) -> None:
        self.spine = spine
        self.in_flight = InFlight()
        self._check_ready = check_ready
        self._render_metrics = render_metrics
        self._responses = responses
        self._resources = (responses, *resources)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        path = scope["path"]
        model, is_stream = "", False
        endpoint = ENDPOINTS_BY_PATH.get(path)
        if endpoint is None and scope["method"] == "POST" and (found := endpoint_of(path)) is not None:
            endpoint, model, is_stream = found
        if endpoint is None or scope["method"] != "POST":
            await self._serve_page(scope, receive, send)
            return
        context = EMPTY_CONTEXT
        if model or endpoint.header_names:
            context = context_of(endpoint, scope, model, is_stream=is_stream)
        spine = self.spine
        reply: Reply = ClientReply(scope, send, endpoint.errors)
        exchange = spine.open(path, endpoint, _NOBODY)
        try:
            body = await self._admit(spine, exchange, scope, receive)
            if path == RESPONSES:
                if self._responses.is_background(body):
                    await self._begin_later(exchange, body, reply)
                    return
                body, reply, context = await self._responses.prepare(exchange, body, reply)
        except errors.ClientGone:
            return
        except errors.GatewayError as error:
            await spine.refuse(exchange, error, reply)
            spine.emit(exchange)
            return
        self.in_flight.enter(exchange, receive)
        try:
            await spine.walk(exchange, body, reply, context)
        except asyncio.CancelledError:
            _uncancel()
            if not exchange.is_client_gone and exchange.error is not None:  # the gateway is stopping
                await reply.fail(exchange.error, exchange.headers(), exchange.last_words)
        finally:
            self.in_flight.leave(exchange)

    async def _begin_later(self, exchange: Exchange, body: bytes, reply: Reply) -> None:
        """Answer that the response is queued; the exchange is walked, and settled, in the background."""
        spine = self.spine

        async def walk(body: bytes, later: Reply, context: RequestContext) -> None:
            await spine.walk(exchange, body, later, context)

        queued = await self._responses.begin_background(exchange, body, walk)
        await reply.complete(200, [(b"x-request-id", exchange.request_id.encode())], queued, JSON)

    async def _admit(self, spine: Spine, exchange: Exchange, scope: Scope, receive: Receive) -> bytes:
        """Learn who is asking, then read what is asked."""
        headers = dict(scope["headers"])
        exchange.identity = spine.identify(presented_key(headers, scope))
        server = spine.runtime.server
        if len(self.in_flight) >= server.max_in_flight:
            raise errors.Overloaded(f"{server.max_in_flight} requests are in flight already.", retry_after_s=1.0)
        check_body(headers, server.max_body_bytes, is_json=exchange.endpoint.is_json)
        extensions = scope.get("extensions")
        if extensions and HAS_BODY in extensions and extensions[HAS_BODY](scope):
            return await take_body(receive, server.max_body_bytes)
        return await read_body(receive, limit_bytes=server.max_body_bytes, deadline_s=server.body_timeout_s)

    async def _serve_page(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_head = scope["method"] == "HEAD"
        headers: Headers = [(b"x-request-id", new_id("req_").encode())]
        presented = dict(scope["headers"])
        try:
            page = await self._page(scope, receive, presented)
        except errors.ClientGone:
            return
        except errors.GatewayError as error:
            if isinstance(error, errors.MethodNotAllowed):
                headers.append((b"allow", self._allowed(scope["path"]).encode()))
            # Without the server's extension, which knows nothing of HEAD.
            await ClientReply({}, send, errors_of(scope["path"], presented)).fail(error, headers)
            return
        if isinstance(page, Download):
            await _send_pieces(page, headers, send)
            return
        status, content_type, body = page
        if scope["path"] in description.PATHS:
            headers += description.HEADERS
        headers += ((b"content-type", content_type), (b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if is_head else body})

    async def _page(self, scope: Scope, receive: Receive, headers: dict[bytes, bytes]) -> Page | Download:
        path, method = scope["path"], scope["method"]
        allowed = self._allowed(path)
        if not allowed:
            raise errors.NotFound(f"Invalid URL ({method} {path[:200]})")
        if method not in allowed.split(", "):
            raise errors.MethodNotAllowed(f"Not allowed to {method} on {path[:200]} (try {allowed}).")
        if path == "/health/ready":
            return ready(self._check_ready)
        if path.startswith("/health"):
            return live()
        if path in description.PATHS:
            return await asyncio.to_thread(description.page, path)
        identity = self.spine.identify(presented_key(headers, scope))
        if path == "/metrics":
            if not identity.is_admin:
                raise errors.Forbidden("Metrics are for keys with the admin grant.")
            return self._render_metrics()
        if models.is_page(path):
            return models.page(self.spine, identity, path, headers, scope["query_string"])
        return await self._resource(scope, receive, headers, identity)

    async def _resource(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], identity: Identity
    ) -> Page | Download:
        path, method = scope["path"], scope["method"]
        server = self.spine.runtime.server
        owner = next(each for each in self._resources if each.allowed(path))
        body = b""
        if method == "POST":
            check_body(headers, server.max_body_bytes, is_json=path in owner.json_paths)
            body = await read_body(receive, limit_bytes=server.max_body_bytes, deadline_s=server.body_timeout_s)
        request = ResourceRequest(
            identity=identity,
            method=method,
            path=path,
            query=dict(parse_qsl(scope["query_string"].decode("latin-1"))),
            headers=headers,
            body=body,
        )
        return await owner.serve(request)

    def _allowed(self, path: str) -> str:
        """Return the methods a path takes, empty for a path we do not know."""
        if path in ENDPOINTS_BY_PATH or endpoint_of(path) is not None:
            return "POST"
        if path in _PAGES or models.is_page(path):
            return "GET, HEAD"
        return next((allowed for each in self._resources if (allowed := each.allowed(path))), "")


_PAGES: Final = frozenset({"/health", "/health/live", "/health/ready", "/metrics"}) | description.PATHS


async def _send_pieces(page: Download, headers: Headers, send: Send) -> None:
    headers += ((b"content-type", page.content_type), (b"content-length", b"%d" % page.size_bytes), *page.headers)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    left = page.size_bytes
    try:
        async for piece in page.pieces:
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except errors.GatewayError as error:
        logger.warning("a download broke off: %s", error.message)
    if not left:  # otherwise it has been deleted meanwhile: the server cuts the connection, which clients notice
        await send({"type": "http.response.body", "body": b""})


def _uncancel() -> None:
    """The cancellation was for this exchange, because the client has left or we are stopping; it ends here."""
    if (task := asyncio.current_task()) is not None:
        task.uncancel()
