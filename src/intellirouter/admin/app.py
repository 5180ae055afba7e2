"""The control plane: `/api/v1/*` on FastAPI. Nothing here is on the way of a request to a model."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from intellirouter.admin.description import answered, asked, operation_id
from intellirouter.admin.plane import ControlPlane
from intellirouter.admin.request_ids import App, with_request_ids
from intellirouter.admin.views import explain_view, models_view, record_view
from intellirouter.core import ExchangeRecord, RequestContext, errors
from intellirouter.dialects import ENDPOINTS, encode_error
from intellirouter.governance import Identity
from intellirouter.pipeline import Generation, preview_losses
from intellirouter.store import LogFilter, StoreUnavailable

logger = logging.getLogger(__name__)

_FLUSH_S: Final = 2.0
_OPENING_S: Final = 10.0
_KEEP_ALIVE_S: Final = 15.0
_CURSOR: Final = r"^req_[0-9a-f]{32}$"
"""What `next` of a page looks like: the id of its last request."""


class JsonResponse(Response):
    """Rendered by msgspec: records are its structs."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def build_admin(plane: ControlPlane) -> App:
    """Return the control plane's ASGI application."""
    return with_request_ids(build_api(plane))


def build_api(plane: ControlPlane) -> FastAPI:
    """Return the control plane's routes, which also describe themselves."""
    app = FastAPI(
        title="IntelliRouter control API",
        version=plane.version,
        openapi_url=None,  # the gateway serves the description of the whole program
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=operation_id,
        default_response_class=JsonResponse,
    )
    app.state.plane = plane
    _add_error_rendering(app)
    _add_state(app, plane)
    _add_requests(app, plane)
    return app


def _identity(request: Request) -> Identity:
    plane: ControlPlane = request.app.state.plane
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return plane.current.value.identify(key.strip().encode() if scheme.lower() == "bearer" else None)


Caller = Annotated[Identity, Depends(_identity)]


def _add_state(app: FastAPI, plane: ControlPlane) -> None:
    @app.get("/api/health", include_in_schema=False)
    @app.get("/api/v1/health", responses=answered("Health"), openapi_extra={"security": []})
    async def health() -> JsonResponse:
        """How the gateway is doing. Answers without a key, and then tells no names."""
        return JsonResponse(_health(plane))

    @app.get("/api/v1/models", responses=answered("ModelTable"))
    async def models(caller: Caller) -> JsonResponse:
        """Every model, deployment and wildcard this key may use, with prices and running figures."""
        return JsonResponse(models_view(plane, caller))

    @app.get("/api/v1/credentials", responses=answered("CredentialTable"))
    async def credentials(caller: Caller) -> JsonResponse:
        """Which credentials of the providers are ready, which rest and why. No part of a credential is shown."""
        if not caller.is_admin:
            raise errors.Forbidden("Credentials are for keys with the admin grant.")
        return JsonResponse({"credentials": plane.credentials()})

    @app.post("/api/v1/explain", responses=answered("Explanation"), openapi_extra=asked("ExplainedRequest"))
    async def explain(request: Request, caller: Caller, endpoint: str = "openai_chat") -> JsonResponse:
        """Decide a request without carrying it out: every candidate, verdict, score and reason, and what each could
        not be told. `endpoint` says whose words the body is in: `openai_chat`, `anthropic_messages`, …
        """
        spoken = ENDPOINTS.get(endpoint)
        if spoken is None or not spoken.is_json:
            known = ", ".join(name for name, each in ENDPOINTS.items() if each.is_json)
            raise errors.InvalidRequest(
                f"Unknown endpoint; there are: {known}.", param="endpoint", code="invalid_value"
            )
        generation = plane.current.value
        spine, server = generation.spine, generation.runtime.server
        exchange = spine.open("/api/v1/explain", spoken)
        exchange.identity = caller
        body = await _body(request, limit_bytes=server.max_body_bytes, deadline_s=server.body_timeout_s)
        context = RequestContext(model=request.query_params.get("model", ""))
        decided = spine.decide(exchange, spine.decode(exchange, body, context))
        members = {name: decided.resolved.by_name[name] for name in decided.decision.order}
        losses = preview_losses(spoken, decided.call, members)
        return JsonResponse(explain_view(decided.call, decided.resolved, decided.decision, losses))


async def _body(request: Request, *, limit_bytes: int, deadline_s: float) -> bytes:
    """Return the request's body, within the same bounds as the data plane's."""
    length = request.headers.get("content-length", "0")
    size = int(length) if length.isdecimal() else 0
    if size > limit_bytes:
        raise errors.BodyTooLarge(f"The request body is larger than {limit_bytes} bytes.")
    body = bytearray()
    try:
        async with asyncio.timeout(deadline_s):
            async for piece in request.stream():
                body += piece
                if len(body) > limit_bytes:
                    raise errors.BodyTooLarge(f"The request body is larger than {limit_bytes} bytes.")
    except TimeoutError:
        raise errors.RequestTimeout(f"The request body did not arrive within {deadline_s:g} s.") from None
    except ClientDisconnect:
        raise errors.ClientDisconnected("The client closed the connection while sending.") from None
    return bytes(body)


def _health(plane: ControlPlane) -> dict[str, Any]:
    store = plane.store.health()
    workers = plane.host()
    is_worker_down = any(worker["state"] in {"failed", "missing_engine"} for worker in workers)
    is_healthy = store.state != "degraded" and not is_worker_down
    return {
        "status": "healthy" if is_healthy else "degraded",
        "version": plane.version,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "uptime_s": round(time.monotonic() - plane.started_s, 1),
        "services": {"store": msgspec.to_builtins(store), "workers": workers},
        "in_flight": plane.in_flight(),
        "requests": {"finished": plane.metrics.finished, "failed": plane.metrics.failed},
        "warnings": _warnings(plane.current.value),
    }


def _warnings(generation: Generation) -> list[str]:
    pending = [f"{setting} has changed: it takes effect after a restart." for setting in generation.pending_restart]
    return [*generation.runtime.warnings, *pending]


def _add_requests(app: FastAPI, plane: ControlPlane) -> None:
    @app.get("/api/v1/requests", responses=answered("RequestPage"))
    async def list_requests(
        caller: Caller,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        before: Annotated[str | None, Query(pattern=_CURSOR)] = None,
        model: str | None = None,
        deployment: str | None = None,
        errors_only: Annotated[bool, Query(alias="errors")] = False,  # noqa: FBT002 - a query parameter
    ) -> JsonResponse:
        """Finished exchanges, newest first; `next` is the cursor of the following page."""
        await _settle(plane)
        wanted = LogFilter(tenant=_scope(caller), model=model, deployment=deployment, errors_only=errors_only)
        page = await asyncio.to_thread(plane.store.reader.list_exchanges, wanted, limit=limit, before=before)
        return JsonResponse({"requests": [msgspec.to_builtins(row) for row in page.rows], "next": page.next_before})

    @app.get(
        "/api/v1/requests/tail",
        responses=answered("ServerSentEvents", "text/event-stream"),
        response_class=StreamingResponse,
    )
    async def tail(caller: Caller) -> Response:
        """Exchanges as they finish, as server-sent events. A listener that is too slow misses some."""
        queue = plane.feed.subscribe()
        if queue is None:
            raise errors.Overloaded("Too many listeners follow the requests already.")
        return StreamingResponse(_follow(plane, queue, _scope(caller)), media_type="text/event-stream")

    @app.get("/api/v1/requests/{request_id}", responses=answered("Record"))
    async def show(request_id: str, caller: Caller) -> JsonResponse:
        """One exchange whole: the decision with every candidate, each attempt, usage, cost, timing."""
        record = await _stored(plane, request_id)
        if record is None or _scope(caller) not in {None, record.tenant}:
            raise errors.NotFound(f"No request '{request_id[:80]}' is known.", code="request_not_found")
        return JsonResponse(record_view(record))


def _scope(caller: Identity) -> str | None:
    """Return the tenant a caller is confined to; admins see all."""
    return None if caller.is_admin else caller.tenant


async def _settle(plane: ControlPlane) -> None:
    """Wait until what has been settled can be read; longer while the database is only being opened."""
    await plane.store.flush(_OPENING_S if plane.store.health().state == "starting" else _FLUSH_S)


async def _stored(plane: ControlPlane, request_id: str) -> ExchangeRecord | None:
    await _settle(plane)
    body = await asyncio.to_thread(plane.store.reader.get, request_id)
    return None if body is None else msgspec.json.decode(body, type=ExchangeRecord)


async def _follow(
    plane: ControlPlane, queue: "asyncio.Queue[ExchangeRecord | None]", tenant: str | None
) -> AsyncIterator[bytes]:
    try:
        yield b": following\n\n"
        while True:
            try:
                record = await asyncio.wait_for(queue.get(), _KEEP_ALIVE_S)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if record is None:
                return
            if tenant in {None, record.tenant}:
                yield b"data: " + msgspec.json.encode(record_view(record)) + b"\n\n"
    finally:
        plane.feed.unsubscribe(queue)


def _add_error_rendering(app: FastAPI) -> None:
    """One envelope for every error, the data plane's."""

    @app.exception_handler(errors.GatewayError)
    async def ours(_: Request, error: errors.GatewayError) -> Response:
        # The rest of a body that was not read to its end must not be waited for.
        headers = {"connection": "close"} if error.status in {408, 413} else None
        return Response(encode_error(error), error.status, headers, "application/json")

    @app.exception_handler(StoreUnavailable)
    async def no_store(_: Request, error: StoreUnavailable) -> Response:
        ours = errors.Overloaded(str(error), code="store_unavailable", hint="Try again shortly.")
        return Response(encode_error(ours), ours.status, media_type="application/json")

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        said = "expected the `next` of the page before" if place == "before" else first["msg"]
        ours = errors.InvalidRequest(f"Invalid '{place}': {said}.", param=place, code="invalid_value")
        return Response(encode_error(ours), ours.status, media_type="application/json")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        what = f"{request.method} {request.url.path[:200]}"
        ours = (
            errors.MethodNotAllowed(f"Not allowed: {what}.")
            if error.status_code == 405
            else errors.NotFound(f"Invalid URL ({what})")
        )
        return Response(encode_error(ours), ours.status, media_type="application/json", headers=error.headers)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        logger.error("internal error in %s", request.url.path, exc_info=error)
        ours = errors.InternalError("The gateway failed to handle this request.")
        return Response(encode_error(ours), ours.status, media_type="application/json")
