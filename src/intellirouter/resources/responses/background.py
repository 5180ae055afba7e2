"""Background responses: generated after their request has been answered, and stored when they are complete.

Source: OpenAI API guide, "Background mode".
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import Call, OffLoop, RequestContext, TaskOwner, errors, has_fair_share
from intellirouter.dialects import Endpoint, responses_storage
from intellirouter.governance import Identity
from intellirouter.pipeline import Entry, Exchange, Generation
from intellirouter.resources.responses.store import UNFINISHED, ResponseStore, StoredResponse

_MAX_RUNNING: Final = 256


class Job(Struct, eq=False):
    """A background response in progress."""

    tenant: str
    response_id: str
    queued: StoredResponse
    task: "asyncio.Task[None] | None" = None
    exchange: Exchange | None = None
    """Set when the work begins."""
    is_canceled: bool = False
    """A client has canceled or deleted the response."""

    def set_exchange(self, exchange: Exchange) -> None:
        self.exchange = exchange


class BackgroundSource(Struct, frozen=True, kw_only=True):
    """Implements `pipeline.Source`: continues the exchange of the request that created the response."""

    path: str
    endpoint: Endpoint
    context: RequestContext
    request_id: str
    identity: Identity
    body: bytes
    peer: None = None
    is_task_owner: bool = False

    def identify(self, generation: Generation) -> Identity:  # noqa: ARG002
        return self.identity

    def read(self, limits: ServerSpec) -> bytes:  # noqa: ARG002
        return self.body

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        """Do nothing: there is no client that could disconnect."""


class BackgroundReply:
    """Implements `pipeline.Reply` without a client. A tap of `ResponsesStage` stores the response."""

    has_begun = False
    takes_refusals = True

    def __init__(self) -> None:
        self.has_content = False
        self.error: errors.GatewayError | None = None

    async def complete(self, status: int, exchange: Exchange, body: bytes, content_type: bytes) -> None:
        """Do nothing: there is no client."""

    def await_stream(self, exchange: Exchange) -> None:
        """Do nothing: there is no client."""

    async def begin(self, exchange: Exchange, stream_type: bytes) -> None:  # noqa: ARG002
        self.has_content = True  # the response that is stored has a beginning

    async def write(self, data: bytes) -> None:
        """Do nothing: there is no client."""

    async def end(self, data: bytes) -> None:
        """Do nothing: there is no client."""

    async def fail(self, error: errors.GatewayError, exchange: Exchange) -> None:  # noqa: ARG002
        self.error = error


class BackgroundResponses:
    """One per gateway. Use it on one event loop only."""

    def __init__(self, store: ResponseStore, entry: Entry, off_loop: OffLoop) -> None:
        self._store = store
        self._entry = entry
        self._off_loop = off_loop
        self._owner = TaskOwner("background responses")
        self._jobs: dict[str, Job] = {}
        """By request id."""
        self._by_response: dict[tuple[str, str], Job] = {}

    def start(self) -> None:
        """Mark the unfinished responses of an earlier process as failed, as soon as the database is open."""
        self._owner.start(self._recover(), "recovery")

    async def stop(self, timeout_s: float) -> None:
        """Wait a limited time for the responses in progress. Those that are not complete then have failed."""
        if running := [job.task for job in self._jobs.values() if job.task is not None]:
            await asyncio.wait(running, timeout=timeout_s)
        await self._owner.stop()

    def job_of(self, request_id: str) -> Job | None:
        """Return the background response of an exchange."""
        return self._jobs.get(request_id)

    async def begin(self, exchange: Exchange, call: Call) -> bytes:
        """Start a background response, and return it in its state `queued`.

        Raises `Overloaded` if too many are running, or if the response cannot be stored.
        """
        tenant = exchange.identity.tenant
        held = sum(job.tenant == tenant for job in self._jobs.values())
        if not has_fair_share(held, len(self._jobs), _MAX_RUNNING):
            raise errors.Overloaded(
                f"{held} background responses of your tenant are running. At most {_MAX_RUNNING} can run over all "
                "tenants, and a tenant may use as many as are free."
            )
        response_id, queued = responses_storage.queued(call)
        items, body = await self._off_loop.run(len(call.body), lambda: _read_input(call.body))
        stored = StoredResponse(msgspec.Raw(queued), items)
        await self._store.save(tenant, response_id, "queued", stored)
        job = self._jobs[exchange.request_id] = Job(tenant, response_id, stored)
        self._by_response[tenant, response_id] = job
        source = BackgroundSource(
            path=exchange.path,
            endpoint=exchange.endpoint,
            context=call.context,
            request_id=exchange.request_id,
            identity=exchange.identity.in_background(),
            body=body,
        )
        job.task = self._owner.start(self._answer(job, source), response_id)
        job.task.add_done_callback(lambda _: self._forget(exchange.request_id, job))
        return queued

    async def save(self, job: Job, response: bytes) -> None:
        """Store a complete response under the id that the client has received."""
        final = responses_storage.with_id(response, job.response_id)
        status = responses_storage.status_of(final)
        await self._store.save(job.tenant, job.response_id, status, job.queued.with_response(final))

    def cancel(self, tenant: str, response_id: str) -> "asyncio.Task[None] | None":
        """Cancel a running response. Returns its task, which ends when the new state is stored, or None.

        A response that is complete already is stored as complete.
        """
        job = self._by_response.get((tenant, response_id))
        if job is None or job.task is None:
            return None
        is_settled = job.exchange is not None and job.exchange.record is not None
        if not is_settled:
            if job.exchange is not None:
                job.exchange.is_client_disconnected = True
            job.is_canceled = True
            job.task.cancel()
        return job.task

    async def _answer(self, job: Job, source: BackgroundSource) -> None:
        reply = BackgroundReply()
        try:
            await self._entry.serve(source, reply, job.set_exchange)
        except asyncio.CancelledError:
            await asyncio.shield(self._store_unfinished(job))
            raise
        if reply.error is not None:
            await self._fail(job.tenant, job.response_id, job.queued, reply.error)

    async def _store_unfinished(self, job: Job) -> None:
        if job.is_canceled:
            canceled = job.queued.with_response(responses_storage.cancelled(job.queued.response))
            await self._store.save(job.tenant, job.response_id, "cancelled", canceled)
        else:
            error = errors.Overloaded("The gateway was stopped before the response was complete.")
            await self._fail(job.tenant, job.response_id, job.queued, error)

    async def _fail(self, tenant: str, response_id: str, stored: StoredResponse, error: errors.GatewayError) -> None:
        failed = stored.with_response(responses_storage.failed(stored.response, error))
        await self._store.save(tenant, response_id, "failed", failed)

    async def _recover(self) -> None:
        for tenant, response_id in await self._store.abandoned():
            if (tenant, response_id) in self._by_response:
                continue
            found = await self._store.get(tenant, response_id)
            if found is not None and found[0] in UNFINISHED:
                error = errors.InternalError("The gateway was restarted before the response was complete.")
                await self._fail(tenant, response_id, found[1], error)

    def _forget(self, request_id: str, job: Job) -> None:
        self._jobs.pop(request_id, None)
        self._by_response.pop((job.tenant, job.response_id), None)


def _read_input(body: bytes) -> tuple[list[Any], bytes]:
    """Return the input items of a request, and the request as the gateway itself runs it."""
    return responses_storage.input_items(body), responses_storage.without_background(body)
