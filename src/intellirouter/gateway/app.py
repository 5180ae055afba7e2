"""The data plane over HTTP: looks up the path and enters the pipeline."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl

from intellirouter.core import Current, encoding_refusal, errors, new_id
from intellirouter.gateway import description, models
from intellirouter.gateway.destination import destination_of, media_type_refusal
from intellirouter.gateway.http import Destination, HttpRequest, header_lines
from intellirouter.gateway.http_source import HttpSource
from intellirouter.gateway.paths import canonical_path, errors_for, is_canonical, is_control, without_extra_base
from intellirouter.gateway.reply import ClientReply
from intellirouter.gateway.request_headers import control_header_refusal, header_refusal, ignored_headers
from intellirouter.governance import PREFLIGHT_HINT, Identity, is_preflight, request_key
from intellirouter.pipeline import Entry, Exchange, Generation, Headers
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

    def serve(self, request: HttpRequest) -> Coroutine[Any, Any, object]:
        """Serve one HTTP request."""
        destination = destination_of(request.head, self._current.value)
        if destination is None:
            return self._serve_page(request)
        source, reply = HttpSource(request, destination), ClientReply(request, destination.endpoint.errors)
        if destination.ignored or destination.cache is not None:
            return self._entry.serve(source, reply, partial(_note_headers, destination))
        return self._entry.serve(source, reply)

    def refuse(self, request: HttpRequest, error: errors.GatewayError) -> Coroutine[Any, Any, object]:
        """Refuse a request before its caller is identified."""
        destination = destination_of(request.head, self._current.value)
        if destination is None:
            self._entry.count_refusal(request.head.path, request.peer, error)
            style = errors_for(request.head, self._current.value.dialects)
            return ClientReply(request, style).refuse(error, [(b"x-request-id", new_id("req_").encode())])
        reply = ClientReply(request, destination.endpoint.errors)
        return self._entry.serve(HttpSource(request, destination, error), reply)

    async def _serve_page(self, request: HttpRequest) -> None:
        head = request.head
        headers: Headers = [(b"x-request-id", new_id("req_").encode())]
        try:
            tenant, page = await self._page(request)
            if not isinstance(page, Download) and head.path not in description.PATHS:  # all clients share these bytes
                self._entry.answers.hold_if_possible(request, len(page[2]), tenant)
        except errors.ClientDisconnected:
            return
        except errors.GatewayError as error:
            if isinstance(error, errors.MethodNotAllowed):
                headers.append((b"allow", self._allowed(head.path).encode()))
            style = errors_for(head, self._current.value.dialects)
            await ClientReply(request, style).refuse(error, headers)
            return
        if isinstance(page, Download):
            await _send_download(page, headers, request)
            return
        status, content_type, body = page
        if head.path in description.PATHS:
            headers += description.HEADERS
        headers.append((b"content-type", content_type))
        if head.method == "POST" and (ignored := ignored_headers(head.headers)):
            headers.append((b"x-intellirouter-dropped", ", ".join(map(str, ignored)).encode()))
        try:
            if not request.respond(status, header_lines(headers), body):
                await request.flush()
        finally:
            self._entry.answers.release(request)

    async def _page(self, request: HttpRequest) -> tuple[str, Page | Download]:
        """Return the tenant of the caller, which is empty for a page that needs no key, and the page."""
        head = request.head
        path, method = head.path, head.method
        allowed = self._allowed(path)
        if not allowed:
            # OpenAI's wording.
            raise errors.NotFound(f"Invalid URL ({method} {path[:200]})", hint=self._path_hint(path))
        if method not in allowed.split(", "):
            if method == "POST" and (methods := self._current.value.dialects.methods_at(path)):
                raise _unknown_method(path, methods)
            is_refused_page = is_preflight(method, head.headers)
            hint = PREFLIGHT_HINT if is_refused_page else errors.allowed_methods_hint(allowed)
            raise errors.MethodNotAllowed(f"{path[:200]} does not support {method}.", hint=hint)
        if path == "/health/ready":
            return "", ready(self._check_ready)
        if path.startswith("/health"):
            return "", live()
        if path in description.PATHS:
            return "", await asyncio.to_thread(description.page, path)
        generation = self._current.value
        identity = self._identify(request, generation)
        if path == "/metrics":
            if not identity.is_admin:
                raise errors.Forbidden("Metrics require a key with the admin grant.")
            return identity.tenant, self._render_metrics()
        if models.is_page(path):
            return identity.tenant, models.page(generation.catalog, identity, path, head.headers, head.query)
        return identity.tenant, await self._resource(request, identity)

    def _identify(self, request: HttpRequest, generation: Generation) -> Identity:
        head = request.head
        try:
            return generation.identify(request_key(head.headers, head.query))
        except errors.GatewayError as error:
            self._entry.count_refusal(head.path, request.peer, error)
            raise

    async def _resource(self, request: HttpRequest, identity: Identity) -> Page | Download:
        head = request.head
        path, method = head.path, head.method
        resource = next(each for each in self._resources if each.allowed(path))
        limits = self._current.value.runtime.server
        body = b""
        if (error := header_refusal(head.headers)) is not None and not isinstance(error, errors.NotCached):
            raise error  # what a resource returns is stored here, so it counts as cached
        if (control_error := control_header_refusal(head.headers)) is not None:
            raise control_error
        if method == "POST":
            refusal = encoding_refusal(head.headers)
            if refusal is None and path in resource.json_paths:
                refusal = media_type_refusal(head.headers)
            if refusal is not None:
                raise refusal
            body = await request.read_body(limits.max_body_bytes, limits.body_timeout_s)
        resource_request = ResourceRequest(
            identity=identity,
            method=method,
            path=path,
            query=dict(parse_qsl(head.query.decode("latin-1"))),
            headers=head.headers,
            body=body,
        )
        return await resource.serve(resource_request)

    def _allowed(self, path: str) -> str:
        """Return the methods that a path supports; empty for an unknown path."""
        dialects = self._current.value.dialects
        if path in dialects.endpoints_by_path:
            return "POST"
        if path in _PAGES:
            return "GET, HEAD"
        if not is_canonical(path):
            return ""
        if dialects.match(path) is not None:
            return "POST"
        if models.is_page(path):
            return "GET, HEAD"
        return next((allowed for each in self._resources if (allowed := each.allowed(path))), "")

    def _is_known(self, path: str) -> bool:
        return bool(self._allowed(path)) or is_control(path, self._current.value.dialects)

    def _path_hint(self, path: str) -> str:
        """Return the hint for an unknown path, which may be another spelling of a known one."""
        canonical = canonical_path(path)
        if canonical != path and self._is_known(canonical):
            return f"Paths are matched exactly. Did you mean {canonical[:200]}?"
        if (rest := without_extra_base(canonical)) != canonical and self._is_known(rest):
            extra = canonical.removesuffix(rest)
            return f"Did you mean {rest[:200]}? Remove {extra[:200]} from the base URL."
        if self._allowed(versioned := f"/v1{canonical}"):  # The base URL of OpenAI's clients ends in /v1.
            return f"Did you mean {versioned[:200]}? A base URL must end in /v1."
        return errors.API_DOCS_HINT


def _note_headers(destination: Destination, exchange: Exchange) -> None:
    exchange.ignored, exchange.cache_directives = destination.ignored, destination.cache
    exchange.idempotency_key = destination.idempotency_key


_PAGES: Final = frozenset({"/health", "/health/live", "/health/ready", "/metrics"}) | description.PATHS


def _unknown_method(path: str, methods: Sequence[str]) -> errors.NotFound:
    """Return the error for a method of a model, after the colon in the path, that does not exist."""
    method = path.rpartition(":")[2]
    return errors.NotFound(
        f"Unknown method '{method[:100]}' in {path[:200]}.",
        code="unknown_method",
        hint=f"The supported methods are {', '.join(methods[:-1])} and {methods[-1]}.",
    )


async def _send_download(page: Download, headers: Headers, request: HttpRequest) -> None:
    headers += ((b"content-type", page.content_type), *page.headers)
    request.begin(200, header_lines(headers), page.size_bytes)
    left = page.size_bytes
    try:
        async for piece in page.pieces:
            left -= len(piece)
            await request.write(piece)
    except errors.ClientDisconnected:
        return
    except errors.GatewayError as error:
        logger.warning("A download broke off. %s", error.full_message)
    if left:  # the file was deleted meanwhile
        request.abort()
    else:
        await request.end()
