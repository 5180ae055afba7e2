"""Background responses: answered after their request has been, and stored when they are complete.

Source: OpenAI API guide, "Background mode".
"""

import asyncio
from typing import Final

import msgspec
from msgspec import Struct

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import Call, RequestContext, TaskOwner, errors
from intellirouter.dialects import Endpoint, responses_storage
from intellirouter.governance import Identity
from intellirouter.pipeline import Entry, Exchange, Generation
from intellirouter.resources.responses.store import UNFINISHED, ResponseStore, StoredResponse

_MAX_RUNNING: Final = 256


class Job(Struct, eq=False):
    """One background response under way."""

    tenant: str
    response_id: str
    queued: StoredResponse
    task: "asyncio.Task[None] | None" = None


class BackgroundSource(Struct, frozen=True, kw_only=True):
    """Implements `pipeline.Source`: goes on with the exchange of the request that queued the response."""

    path: str
    endpoint: Endpoint
    context: RequestContext
    request_id: str
    identity: Identity
    body: bytes
    is_task_owner: bool = False
    wait_until_gone: None = None

    def identify(self, generation: Generation) -> Identity:  # noqa: ARG002
        return self.identity

    async def read(self, limits: ServerSpec) -> bytes:  # noqa: ARG002
        return self.body


class BackgroundReply:
    """Implements `pipeline.Reply` for a client that has left. The stage on the answer stores what comes."""

    has_begun = False

    def __init__(self) -> None:
        self.error: errors.GatewayError | None = None

    async def complete(self, status: int, exchange: Exchange, body: bytes, content_type: bytes) -> None:
        """Nobody is listening."""

    async def begin(self, exchange: Exchange, stream_type: bytes) -> None:
        """Nobody is listening."""

    async def write(self, data: bytes) -> None:
        """Nobody is listening."""

    async def end(self, data: bytes) -> None:
        """Nobody is listening."""

    async def fail(self, error: errors.GatewayError, exchange: Exchange) -> None:  # noqa: ARG002
        self.error = error


class BackgroundResponses:
    """One per gateway. Lives on its event loop."""

    def __init__(self, store: ResponseStore, entry: Entry) -> None:
        self._store = store
        self._entry = entry
        self._owner = TaskOwner("background responses")
        self._jobs: dict[str, Job] = {}
        """By request id."""
        self._by_response: dict[tuple[str, str], Job] = {}

    def start(self) -> None:
        """Mark, as soon as the database is open, what a former process left unfinished as failed."""
        self._owner.start(self._recover(), "recovery")

    async def stop(self) -> None:
        await self._owner.stop()

    def job_of(self, request_id: str) -> Job | None:
        """Return the background response that an exchange works on."""
        return self._jobs.get(request_id)

    async def begin(self, exchange: Exchange, call: Call) -> bytes:
        """Start answering in the background. Returns the response as it is now: queued.

        Raises `Overloaded` when too many are running, or the response cannot be stored.
        """
        if len(self._jobs) >= _MAX_RUNNING:
            raise errors.Overloaded(f"{_MAX_RUNNING} background responses are already running.")
        tenant = exchange.identity.tenant
        response_id, queued = responses_storage.queued(call)
        stored = StoredResponse(msgspec.Raw(queued), responses_storage.input_items(call.body))
        await self._store.save(tenant, response_id, "queued", stored)
        job = self._jobs[exchange.request_id] = Job(tenant, response_id, stored)
        self._by_response[tenant, response_id] = job
        source = BackgroundSource(
            path=exchange.path,
            endpoint=exchange.endpoint,
            context=call.context,
            request_id=exchange.request_id,
            identity=exchange.identity,
            body=responses_storage.in_foreground(call.body),
        )
        job.task = self._owner.start(self._answer(job, source), response_id)
        job.task.add_done_callback(lambda _: self._forget(exchange.request_id, job))
        return queued

    async def save(self, job: Job, response: bytes) -> None:
        """Store a complete response under the id that its client knows."""
        renamed = responses_storage.renamed(response, job.response_id)
        status = responses_storage.status_of(renamed)
        await self._store.save(job.tenant, job.response_id, status, job.queued.with_response(renamed))

    def cancel(self, tenant: str, response_id: str) -> "asyncio.Task[None] | None":
        """Cancel a response that is running. Returns its task, which ends once the new state is stored."""
        job = self._by_response.get((tenant, response_id))
        if job is None or job.task is None:
            return None
        job.task.cancel()
        return job.task

    async def _answer(self, job: Job, source: BackgroundSource) -> None:
        reply = BackgroundReply()
        try:
            await self._entry.serve(source, reply)
        except asyncio.CancelledError:
            canceled = job.queued.with_response(responses_storage.cancelled(job.queued.response))
            await asyncio.shield(self._store.save(job.tenant, job.response_id, "cancelled", canceled))
            raise
        if reply.error is not None:
            await self._fail(job.tenant, job.response_id, job.queued, reply.error)

    async def _fail(self, tenant: str, response_id: str, stored: StoredResponse, error: errors.GatewayError) -> None:
        failed = stored.with_response(responses_storage.failed(stored.response, error))
        await self._store.save(tenant, response_id, "failed", failed)

    async def _recover(self) -> None:
        for tenant, response_id in await self._store.unfinished():
            if (tenant, response_id) in self._by_response:
                continue
            found = await self._store.get(tenant, response_id)
            if found is not None and found[0] in UNFINISHED:
                error = errors.InternalError("The gateway was restarted before the response was complete.")
                await self._fail(tenant, response_id, found[1], error)

    def _forget(self, request_id: str, job: Job) -> None:
        self._jobs.pop(request_id, None)
        self._by_response.pop((job.tenant, job.response_id), None)
