"""The data plane: an ASGI application without a framework, which looks up the path and enters the pipeline."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import parse_qsl, unquote

from intellirouter.core import EMPTY_CONTEXT, Current, errors, new_id
from intellirouter.gateway import description, models
from intellirouter.gateway.asgi import Receive, Scope, Send
from intellirouter.gateway.body import check_body, read_body
from intellirouter.gateway.credentials import request_key
from intellirouter.gateway.http_source import HttpSource
from intellirouter.gateway.paths import context_of
from intellirouter.gateway.reply import ClientReply
from intellirouter.governance import Identity
from intellirouter.pipeline import Entry, Generation, Headers
from intellirouter.resources import Download, Page, Resource, ResourceRequest, live, ready

logger = logging.getLogger(__name__)


class Gateway:
    """Serves the paths of all dialects, resources, health and metrics."""

    def __init__(
        self,
        current: Current[Generation],
        entry: Entry,
        *,
        check_ready: Callable[[], tuple[bool, str]],
        render_metrics: Callable[[], Page],
        resources: Sequence[Resource] = (),
    ) -> None:
        self._current = current
        self._entry = entry
        self._check_ready = check_ready
        self._render_metrics = render_metrics
        self._resources = tuple(resources)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        path, dialects = scope["path"], self._current.value.dialects
        model, is_stream = "", False
        endpoint = dialects.endpoints_by_path.get(path)
        if endpoint is None and scope["method"] == "POST" and (match := dialects.match(path)) is not None:
            endpoint, model, is_stream = match.endpoint, unquote(match.model), match.is_stream
        if endpoint is None or scope["method"] != "POST":
            await self._serve_page(scope, receive, send)
            return
        context = EMPTY_CONTEXT
        if model or endpoint.header_names:
            context = context_of(endpoint, scope, model, is_stream=is_stream)
        await self._entry.serve(
            HttpSource(scope, receive, endpoint, context), ClientReply(scope, send, endpoint.errors)
        )

    async def _serve_page(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_head = scope["method"] == "HEAD"
        headers: Headers = [(b"x-request-id", new_id("req_").encode())]
        presented = dict(scope["headers"])
        try:
            page = await self._page(scope, receive, presented)
        except errors.ClientDisconnected:
            return
        except errors.GatewayError as error:
            if isinstance(error, errors.MethodNotAllowed):
                headers.append((b"allow", self._allowed(scope["path"]).encode()))
            # An empty scope, because the server's extension does not support HEAD.
            style = self._current.value.dialects.errors_at(scope["path"], presented)
            await ClientReply({}, send, style).refuse(error, headers)
            return
        if isinstance(page, Download):
            await _send_download(page, headers, send)
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
            # OpenAI's wording.
            raise errors.NotFound(f"Invalid URL ({method} {path[:200]})", hint=errors.API_DOCS_HINT)
        if method not in allowed.split(", "):
            if method == "POST" and (methods := self._current.value.dialects.methods_at(path)):
                raise _unknown_method(path, methods)
            hint = errors.allowed_methods_hint(allowed)
            raise errors.MethodNotAllowed(f"{path[:200]} does not support {method}.", hint=hint)
        if path == "/health/ready":
            return ready(self._check_ready)
        if path.startswith("/health"):
            return live()
        if path in description.PATHS:
            return await asyncio.to_thread(description.page, path)
        generation = self._current.value
        identity = generation.identify(request_key(headers, scope))
        if path == "/metrics":
            if not identity.is_admin:
                raise errors.Forbidden("Metrics require a key with the admin grant.")
            return self._render_metrics()
        if models.is_page(path):
            return models.page(generation.catalog, identity, path, headers, scope["query_string"])
        return await self._resource(scope, receive, headers, identity)

    async def _resource(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], identity: Identity
    ) -> Page | Download:
        path, method = scope["path"], scope["method"]
        resource = next(each for each in self._resources if each.allowed(path))
        limits = self._current.value.runtime.server
        body = b""
        if method == "POST":
            check_body(headers, limits.max_body_bytes, is_json=path in resource.json_paths)
            body = await read_body(receive, limit_bytes=limits.max_body_bytes, deadline_s=limits.body_timeout_s)
        request = ResourceRequest(
            identity=identity,
            method=method,
            path=path,
            query=dict(parse_qsl(scope["query_string"].decode("latin-1"))),
            headers=headers,
            body=body,
        )
        return await resource.serve(request)

    def _allowed(self, path: str) -> str:
        """Return the methods that a path supports; empty for an unknown path."""
        dialects = self._current.value.dialects
        if path in dialects.endpoints_by_path or dialects.match(path) is not None:
            return "POST"
        if path in _PAGES or models.is_page(path):
            return "GET, HEAD"
        return next((allowed for each in self._resources if (allowed := each.allowed(path))), "")


_PAGES: Final = frozenset({"/health", "/health/live", "/health/ready", "/metrics"}) | description.PATHS


def _unknown_method(path: str, methods: Sequence[str]) -> errors.NotFound:
    """Return the error for a method of a model, after the colon in the path, that does not exist."""
    method = path.rpartition(":")[2]
    return errors.NotFound(
        f"Unknown method '{method[:100]}' in {path[:200]}.",
        code="unknown_method",
        hint=f"The supported methods are {', '.join(methods[:-1])} and {methods[-1]}.",
    )


async def _send_download(page: Download, headers: Headers, send: Send) -> None:
    headers += ((b"content-type", page.content_type), (b"content-length", b"%d" % page.size_bytes), *page.headers)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    left = page.size_bytes
    try:
        async for piece in page.pieces:
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except errors.GatewayError as error:
        logger.warning("A download broke off. %s", error.message)
    if not left:  # otherwise the file was deleted meanwhile, and the server closes the connection
        await send({"type": "http.response.body", "body": b""})
