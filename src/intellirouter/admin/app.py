"""The control plane: `/api/v1/*` on FastAPI. Requests to models do not pass through it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from msgspec import structs
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from intellirouter.admin.circuits import circuits_view, is_degraded
from intellirouter.admin.description import json_body, json_response, operation_id
from intellirouter.admin.limits import limits_view
from intellirouter.admin.plane import ControlPlane
from intellirouter.admin.request_ids import App, with_request_ids
from intellirouter.admin.views import explain_view, models_view, record_view, with_problems
from intellirouter.core import (
    ExchangeRecord,
    RequestContext,
    attempt_control_of,
    encoding_refusal,
    errors,
    session_of,
)
from intellirouter.dialects import encode_error
from intellirouter.governance import PREFLIGHT_HINT, Identity, is_preflight, request_key
from intellirouter.store import LogFilter, StoreHealth, StoreUnavailable

logger = logging.getLogger(__name__)

_FLUSH_S: Final = 2.0
_OPENING_S: Final = 10.0
_KEEP_ALIVE_S: Final = 15.0
_CURSOR: Final = r"^req_[0-9a-f]{32}$"
"""The format of `next`: the id of the last request on the page."""
_CRASH_LOOP: Final = 3
"""Crashes in a row after which a local model counts as down until it is ready."""
_ID_PREFIX: Final = r"^[a-z0-9_]{1,36}$"
_MAX_PAGE_SIZE: Final = 200
_EXPECTED: Final = {
    "limit": f"an integer from 1 to {_MAX_PAGE_SIZE}",
    "before": "the `next` value of the previous page",
    "id_prefix": "the beginning of a request ID, such as req_0123",
    "errors": "true or false",
}
"""Valid values of query parameters, for error messages."""


_ALSO_READ: Final = {"/api/v1/explain": ("model",)}
"""Query parameters that are not declared, by path."""


class JsonResponse(Response):
    """A JSON response, encoded with msgspec."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def build_admin(plane: ControlPlane) -> App:
    """Return the control plane's ASGI application."""
    return with_request_ids(build_api(plane))


def build_api(plane: ControlPlane) -> FastAPI:
    """Return the control plane's FastAPI application, which also generates its OpenAPI document."""
    app = FastAPI(
        title="IntelliRouter control API",
        version=plane.version,
        openapi_url=None,  # the gateway serves one document for both planes
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name the host that the client has sent
        generate_unique_id_function=operation_id,
        default_response_class=JsonResponse,
        dependencies=[Depends(_check_query), Depends(_check_encoding)],
    )
    app.state.plane = plane
    _add_error_rendering(app)
    _add_state(app, plane)
    _add_requests(app, plane)
    return app


def _check_query(request: Request) -> None:
    """Raise `InvalidRequest` for an unknown query parameter: a filter that is ignored would return the wrong data."""
    route: Any = request.scope.get("route")
    if not request.url.query or route is None or route.path.endswith("/health"):  # probes add parameters of their own
        return
    known = [*_query_parameters(route), *_ALSO_READ.get(route.path, ())]
    unknown = next((name for name in request.query_params if name not in known), None)
    if unknown is not None:
        names = ", ".join(f"`{name}`" for name in known)
        raise errors.InvalidRequest(
            f"Unknown query parameter '{unknown[:100]}'.",
            param=unknown[:100],
            code="unknown_parameter",
            hint=f"Supported parameters are: {names}." if names else "This path has none.",
        )


def _check_encoding(request: Request) -> None:
    """Raise `UnsupportedMediaType` for a compressed body."""
    if (refusal := encoding_refusal(dict(request.scope["headers"]))) is not None:
        raise refusal


def _query_parameters(route: Any) -> Iterator[str]:
    """Yield the names of the query parameters of a route. A model of several parameters is one for FastAPI."""
    for each in route.dependant.query_params:
        annotation = each.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from (field.alias or name for name, field in annotation.model_fields.items())
        else:
            yield each.alias


def _identity(request: Request) -> Identity:
    plane: ControlPlane = request.app.state.plane
    try:
        return plane.current.value.identify(_key(request))
    except errors.GatewayError as error:
        plane.count_refusal(request.url.path, request.client, error)
        raise


def _key(request: Request) -> bytes | None:
    return request_key(dict(request.scope["headers"]))


Caller = Annotated[Identity, Depends(_identity)]


def _add_state(app: FastAPI, plane: ControlPlane) -> None:
    @app.get("/api/health", include_in_schema=False)
    @app.get(
        "/api/v1/health",
        summary="Retrieve the health of the gateway",
        responses=json_response("Health"),
        openapi_extra={"security": []},
    )
    async def health(request: Request) -> JsonResponse:
        """Return the health of the gateway. Requires no key; without the admin grant, the response has only `status`
        and `timestamp`.
        """
        return JsonResponse(_health(plane, is_admin=_is_admin(request)))

    @app.get("/api/v1/models", summary="List models and deployments", responses=json_response("ModelTable"))
    async def models(caller: Caller) -> JsonResponse:
        """Return every model, deployment and wildcard that this key may use, with prices and metrics."""
        return JsonResponse(models_view(plane, caller))

    @app.get("/api/v1/credentials", summary="List credentials", responses=json_response("CredentialTable"))
    async def credentials(caller: Caller) -> JsonResponse:
        """Return the state of the providers' credentials: ready, or cooling down and why. Never shows a credential."""
        if not caller.is_admin:
            raise errors.Forbidden("Credentials require a key with the admin grant.")
        return JsonResponse({"credentials": plane.credentials()})

    @app.post(
        "/api/v1/explain",
        summary="Explain a routing decision",
        responses=json_response("Explanation"),
        openapi_extra=json_body("ExplainedRequest"),
    )
    async def explain(request: Request, caller: Caller, endpoint: str = "openai_chat") -> JsonResponse:
        """Decide a request without sending it: every candidate with verdict, score and reason, and the fields that each
        deployment would not receive as requested. `endpoint` is the API of the body, for example `openai_chat` or
        `anthropic_messages`. An unknown value is refused with the list of all.
        """
        generation = plane.current.value
        client_endpoint = (endpoints := generation.dialects.endpoints).get(endpoint)
        if client_endpoint is None or not client_endpoint.is_json:
            known = ", ".join(name for name, each in endpoints.items() if each.is_json)
            raise errors.InvalidRequest(
                f"Unknown endpoint '{endpoint[:100]}'.",
                param="endpoint",
                code="invalid_value",
                hint=f"Supported endpoints are: {known}.",
            )
        spine = generation.spine
        exchange = spine.open("/api/v1/explain", client_endpoint)
        exchange.identity = caller
        body = await _body(request)
        decided = spine.decide(exchange, await spine.decode(exchange, body, _context(request)))
        members = decided.resolved.by_name
        losses = {
            name: await spine.off_loop.run(len(body), partial(client_endpoint.losses, decided.call, members[name]))
            for name in decided.decision.order
        }
        view = explain_view(decided.call, decided.resolved, decided.decision, losses)
        return JsonResponse(with_problems(view, plane))


def _is_admin(request: Request) -> bool:
    """Return whether a caller, who may have no key, has the admin grant. Raises `Unauthenticated` for a wrong key."""
    plane: ControlPlane = request.app.state.plane
    return (bool(_key(request)) or not plane.current.value.keys.is_required) and _identity(request).is_admin


def _context(request: Request) -> RequestContext:
    """Return the parts of a request outside its body that a dry run depends on. Raises `InvalidRequest`."""
    headers = dict(request.scope["headers"])
    control, session = attempt_control_of(headers), session_of(headers)
    return RequestContext(model=request.query_params.get("model", ""), control=control, session=session)


async def _body(request: Request) -> bytes:
    """Return the body of the request. The server limits its size, and how long it may take to arrive."""
    try:
        return await request.body()
    except ClientDisconnect:
        raise errors.ClientDisconnected(
            "The client closed the connection while it was sending the request body."
        ) from None


def _health(plane: ControlPlane, *, is_admin: bool) -> dict[str, Any]:
    store = plane.store.health()
    workers = plane.host()
    is_worker_down = any(map(_is_down, workers))
    circuits = circuits_view(plane.board, plane.clock.monotonic_s())
    are_circuits_open = is_degraded(circuits, plane.current.value.catalog.deployments)
    cache = plane.answer_store()
    is_degraded_store = "degraded" in {store.state, cache.state}
    is_healthy = not is_degraded_store and not is_worker_down and not are_circuits_open
    liveness = {
        "status": "healthy" if is_healthy else "degraded",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    if not is_admin:  # everything else names models, files or processes
        return liveness
    lists = plane.model_lists()
    return liveness | {
        "version": plane.version,
        "uptime_s": round(time.monotonic() - plane.started_s, 1),
        "services": {
            "store": msgspec.to_builtins(store),
            "cache": msgspec.to_builtins(cache),
            "workers": workers,
            "circuits": circuits,
            "limits": limits_view(plane.board),
        },
        "model_lists": lists,
        "in_flight": plane.in_flight(),
        "requests": {"finished": plane.metrics.finished, "failed": plane.metrics.failed},
        "warnings": [*_warnings(plane), *_store_warnings(store), *_list_warnings(lists)],
    }


def _is_down(worker: Mapping[str, Any]) -> bool:
    """Return whether a local model has failed, crashes again and again, or has no weights."""
    state = worker["state"]
    return (
        bool(worker.get("problem"))
        or state in {"failed", "missing_engine"}
        or (state != "ready" and worker.get("crashes", 0) >= _CRASH_LOOP)
    )


def _warnings(plane: ControlPlane) -> list[str]:
    generation = plane.current.value
    problem = plane.reload_problem()
    failed = [] if problem is None else [f"The last reload has failed. {problem}"]
    pending = [f"{setting} has changed. It takes effect after a restart." for setting in generation.pending_restart]
    return [*failed, *generation.runtime.warnings, *pending]


def _store_warnings(store: StoreHealth) -> list[str]:
    if not store.has_other_gateways:
        return []
    return ["store.spool_dir: Another gateway uses this directory and its database as well."]


def _list_warnings(lists: list[dict[str, Any]]) -> list[str]:
    return [
        f"providers.{each['name']}.models: The models of the provider are not listed. {each['detail']}"
        for each in lists
        if each["state"] == "unavailable"
    ]


class _PageQuery(BaseModel):
    """The query parameters of a list of requests."""

    limit: int = Field(default=50, ge=1, le=_MAX_PAGE_SIZE)
    before: str | None = Field(default=None, pattern=_CURSOR)
    id_prefix: str | None = Field(default=None, pattern=_ID_PREFIX)
    model: str | None = None
    deployment: str | None = None
    errors_only: bool = Field(default=False, alias="errors")

    def filters(self) -> dict[str, Any]:
        return self.model_dump(exclude={"limit", "before"})


def _add_requests(app: FastAPI, plane: ControlPlane) -> None:
    @app.get("/api/v1/requests", summary="List requests", responses=json_response("RequestPage"))
    async def list_requests(caller: Caller, wanted: Annotated[_PageQuery, Query()]) -> JsonResponse:
        """Return finished requests that this key may read, newest first: its own, with the grant `requests:read` those
        of its tenant, and with the grant `admin` all. Pass `next` as `before` to get the next page. `id_prefix` is
        how the IDs of the wanted requests begin.
        """
        await _flush(plane)
        filters = structs.replace(_readable(caller), **wanted.filters())
        limit, before = wanted.limit, wanted.before
        page = await asyncio.to_thread(plane.store.reader.list_exchanges, filters, limit=limit, before=before)
        return JsonResponse({"requests": [msgspec.to_builtins(row) for row in page.rows], "next": page.next_before})

    @app.get(
        "/api/v1/requests/tail",
        summary="Follow requests",
        responses=json_response("ServerSentEvents", "text/event-stream"),
        response_class=StreamingResponse,
    )
    async def tail(caller: Caller) -> Response:
        """Stream the requests that this key may read as they finish, as server-sent events. A client that reads too
        slowly misses some.
        """
        queue = plane.feed.subscribe(caller.tenant)
        if queue is None:
            raise errors.Overloaded("Too many clients of your tenant, or of all tenants, follow the requests.")
        return StreamingResponse(_follow(plane, queue, caller), media_type="text/event-stream")

    @app.get("/api/v1/requests/{request_id}", summary="Retrieve a request", responses=json_response("Record"))
    async def show(request_id: str, caller: Caller) -> JsonResponse:
        """Return everything about one request: the decision with every candidate, each attempt, usage, cost, timing."""
        record = await _stored(plane, request_id)
        if record is None or not caller.may_read(record.tenant, record.key_name):
            raise errors.NotFound(f"There is no request '{request_id[:80]}'.", code="request_not_found")
        return JsonResponse(record_view(record))


def _readable(caller: Identity) -> LogFilter:
    """Return the filter for the requests whose records the caller may read."""
    return LogFilter(
        tenant=None if caller.is_admin else caller.tenant,
        key_names=None if caller.reads_all_of_tenant else (caller.key_name,),
    )


async def _flush(plane: ControlPlane) -> None:
    """Wait until settled exchanges can be read, longer while the database is being opened."""
    await plane.store.flush(_OPENING_S if plane.store.health().state == "starting" else _FLUSH_S)


async def _stored(plane: ControlPlane, request_id: str) -> ExchangeRecord | None:
    await _flush(plane)
    body = await asyncio.to_thread(plane.store.reader.get, request_id)
    return None if body is None else msgspec.json.decode(body, type=ExchangeRecord)


async def _follow(
    plane: ControlPlane, queue: "asyncio.Queue[ExchangeRecord | None]", caller: Identity
) -> AsyncIterator[bytes]:
    try:
        yield b": connected\n\n"
        while True:
            try:
                record = await asyncio.wait_for(queue.get(), _KEEP_ALIVE_S)
            except TimeoutError:
                yield b": keep-alive\n\n"
                continue
            if record is None:
                return
            if caller.may_read(record.tenant, record.key_name):
                yield b"data: " + msgspec.json.encode(record_view(record)) + b"\n\n"
    finally:
        plane.feed.unsubscribe(queue)


def _add_error_rendering(app: FastAPI) -> None:
    """Render all errors in the envelope of the data plane."""

    @app.exception_handler(errors.GatewayError)
    async def render(_: Request, error: errors.GatewayError) -> Response:
        # The body has not been read to its end, so the connection cannot be reused.
        headers = {"connection": "close"} if error.status in {408, 413} else None
        return Response(encode_error(error), error.status, headers, "application/json")

    @app.exception_handler(StoreUnavailable)
    async def store_unavailable(request: Request, error: StoreUnavailable) -> Response:
        return await render(request, errors.Overloaded(str(error), code="store_unavailable"))

    @app.exception_handler(RequestValidationError)
    async def invalid_parameter(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:])
        expected = f"expected {_EXPECTED[name]}" if name in _EXPECTED else "the value is not valid"
        message = f"Invalid '{name}': {expected}."
        return await render(request, errors.InvalidRequest(message, param=name, code="invalid_value"))

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> Response:
        method, path = request.method, request.url.path[:200]
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        is_refused_page = is_preflight(method, dict(request.scope["headers"]))
        hint = PREFLIGHT_HINT if is_refused_page else errors.allowed_methods_hint(allowed)
        failure = (
            errors.MethodNotAllowed(f"{path} does not support {method}.", hint=hint)
            if error.status_code == 405
            else errors.NotFound(f"Invalid URL ({method} {path})", hint=errors.API_DOCS_HINT)  # OpenAI's wording
        )
        return Response(encode_error(failure), failure.status, media_type="application/json", headers=error.headers)

    @app.exception_handler(Exception)
    async def internal_error(request: Request, error: Exception) -> Response:
        logger.error("Internal error in %s.", request.url.path, exc_info=error)
        failure = errors.InternalError("The gateway failed to handle the request.", hint="See the gateway's log.")
        return await render(request, failure)
