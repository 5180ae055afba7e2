"""`/v1/batches`: create, list, retrieve and cancel batches. The gateway runs them itself, with any upstream.

Source: OpenAI API reference, "Batch"; guide "Batch API".
"""

import asyncio
import logging
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Clock, Current, TaskOwner, errors, has_fair_share, new_id
from intellirouter.dialects import check_unique, decode_body
from intellirouter.governance import Identity
from intellirouter.pipeline import Generation
from intellirouter.resources.batches.lines import LineRunner
from intellirouter.resources.batches.run import BatchParts, BatchRun
from intellirouter.resources.batches.semaphore import AdjustableSemaphore
from intellirouter.resources.batches.state import BATCH, UNFINISHED, WINDOW_S, Batch, read_batch
from intellirouter.resources.files.file_store import FileStore
from intellirouter.resources.files.resource import expiry_seconds
from intellirouter.resources.object_store import AsyncObjectStore, PageQuery
from intellirouter.resources.pages import Page
from intellirouter.resources.resource import ResourceRequest, check_small, json_page, page_size

logger = logging.getLogger(__name__)

PATH: Final = "/v1/batches"
ENDPOINTS: Final = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
)
_MAX_UNFINISHED: Final = 256
_MAX_PAIRS: Final = 16
_MAX_NAME_CHARS: Final = 64
_MAX_VALUE_CHARS: Final = 512


class _Expiry(Struct):
    anchor: str
    seconds: Any = None


class CreateBatch(Struct):
    """The body of the request that creates a batch."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, Any] | None = None
    output_expires_after: _Expiry | None = None


_decode_create: Final = msgspec.json.Decoder(CreateBatch)


class Batches:
    """Implements `Resource`, and runs the batches. One per gateway; use it on one event loop only."""

    json_paths: Final[frozenset[str]] = frozenset({PATH})

    def __init__(
        self,
        objects: AsyncObjectStore,
        files: FileStore,
        clock: Clock,
        current: Current[Generation],
        lines: LineRunner,
    ) -> None:
        self._objects = objects
        self._clock = clock
        self._current = current
        self._parts = BatchParts(
            objects=self._objects,
            files=files,
            lines=lines,
            slots=AdjustableSemaphore(lambda: current.value.runtime.batches.concurrency),
            limits=lambda: current.value.runtime.batches,
            request_limits=lambda: current.value.runtime.server.request_limits(),  # noqa: PLW0108 - after a reload too
            clock=clock,
        )
        self._owner = TaskOwner("batches")
        self._running: dict[tuple[str, str], BatchRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def start(self) -> None:
        """Continue the unfinished batches of an earlier process, as soon as the database is open."""
        self._owner.start(self._recover(), "recovery")

    async def _recover(self) -> None:
        for each in await self._objects.abandoned(BATCH, UNFINISHED):
            if (each.tenant, each.id) not in self._running:
                logger.info("Batch %s continues.", each.id)
                self._run(read_batch(each))

    def pause(self) -> None:
        """Start no more lines, because the gateway is about to stop."""
        self._is_stopping = True
        for run in self._running.values():
            run.pause()

    async def stop(self, timeout_s: float) -> None:
        """Wait a limited time for the lines in progress. The batches continue after the next start."""
        self.pause()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        await self._owner.stop()

    def _run(self, batch: Batch) -> None:
        key = (batch.tenant, batch.id)
        run = self._running[key] = BatchRun(batch, self._parts)
        if self._is_stopping:
            run.pause()
        task = self._owner.start(run.run(), batch.id)
        self._tasks.add(task)

        def forget(ended: asyncio.Task[None]) -> None:
            self._tasks.discard(ended)
            self._running.pop(key, None)

        task.add_done_callback(forget)

    # -- /v1/batches ---------------------------------------------------------------------------------------------

    def allowed(self, path: str) -> str:
        if path == PATH:
            return "GET, POST"
        batch_id, slash, rest = path.removeprefix(f"{PATH}/").partition("/")
        if not path.startswith(f"{PATH}/") or not batch_id:
            return ""
        return "GET" if not slash else "POST" if rest == "cancel" else ""

    async def serve(self, request: ResourceRequest) -> Page:
        batch_id, _, rest = request.path.removeprefix(PATH).removeprefix("/").partition("/")
        if not batch_id:
            return await (self._create(request) if request.method == "POST" else self._list(request))
        if rest:
            return json_page((await self._cancel(request.identity, batch_id)).document())
        return json_page((await self._find(request.identity, batch_id)).document())

    async def _create(self, request: ResourceRequest) -> Page:
        check_small(request.body)
        requested = decode_body(_decode_create, request.body)
        check_unique(request.body, CreateBatch.__struct_fields__)
        _check_choice("endpoint", requested.endpoint, ENDPOINTS)
        _check_choice("completion_window", requested.completion_window, ("24h",))
        identity = request.identity
        held = sum(tenant == identity.tenant for tenant, _ in self._running)
        if not has_fair_share(held, len(self._running), _MAX_UNFINISHED):
            raise errors.Overloaded(
                f"{held} batches of your tenant are running. At most {_MAX_UNFINISHED} can run over all tenants, and a "
                "tenant may use as many as are free."
            )
        await self._check_file(identity, requested.input_file_id)
        now_s = self._clock.epoch_us() // 1_000_000
        batch = Batch(
            id=new_id("batch_"),
            tenant=identity.tenant,
            key_name=identity.key_name,
            endpoint=requested.endpoint,
            input_file_id=requested.input_file_id,
            metadata=_metadata(requested.metadata),
            output_expires_after_s=_output_expires_after_s(requested.output_expires_after),
            times={"created_at": now_s, "expires_at": now_s + WINDOW_S},
        )
        created = json_page(batch.document())
        await self._objects.call(self._objects.store.put, batch.to_stored())
        self._run(batch)
        return created

    async def _check_file(self, identity: Identity, file_id: str) -> None:
        file = await self._parts.files.find(identity.tenant, file_id)
        limit_bytes = self._current.value.runtime.batches.max_file_bytes
        message = None
        hint = ""
        if file is None:
            message = f"No such File object: {file_id[:100]}"  # OpenAI's wording
        elif file.metadata.purpose != "batch":
            message = f"The file {file.id} has the purpose '{file.metadata.purpose}'."
            hint = "Upload the file with the purpose 'batch'."
        elif file.metadata.bytes > limit_bytes:
            message = f"The input file is larger than {limit_bytes} bytes."
            hint = "Split the file, or raise batches.max_file_bytes."
        if message is not None:
            raise errors.InvalidRequest(message, param="input_file_id", code="invalid_value", hint=hint)

    async def _list(self, request: ResourceRequest) -> Page:
        query = PageQuery(limit=page_size(request.query), after=request.query.get("after", ""))
        tenant = request.identity.tenant
        found, has_more = await self._objects.page(BATCH, tenant, query, lambda _: True)
        batches = [self._live(read_batch(each)) for each in found]
        return json_page(
            {
                "object": "list",
                "data": [batch.document() for batch in batches],
                "first_id": batches[0].id if batches else None,
                "last_id": batches[-1].id if batches else None,
                "has_more": has_more,
            }
        )

    async def _find(self, identity: Identity, batch_id: str) -> Batch:
        run = self._running.get((identity.tenant, batch_id))
        if run is not None:
            return run.batch
        now_us = self._clock.epoch_us()
        found = await self._objects.call(self._objects.store.get, BATCH, batch_id, identity.tenant, now_us)
        if found is None:
            raise errors.NotFound(f"No batch found with id '{batch_id[:100]}'.", param="id", code="batch_not_found")
        return self._live(read_batch(found))

    def _live(self, batch: Batch) -> Batch:
        """Return the batch with its current counts, which the store does not have while the batch is running."""
        run = self._running.get((batch.tenant, batch.id))
        return batch if run is None else run.batch

    async def _cancel(self, identity: Identity, batch_id: str) -> Batch:
        batch = await self._find(identity, batch_id)
        if batch.status == "cancelling":
            return batch
        run = self._running.get((identity.tenant, batch_id))
        if batch.status not in {"validating", "in_progress"}:
            raise errors.InvalidRequest(
                f"Cannot cancel a batch with status '{batch.status}'.", status=409, code="invalid_status"
            )
        if run is None:
            raise errors.Overloaded("The gateway has just started and does not run the batch yet.")
        await run.cancel()
        return batch


def _check_choice(param: str, value: str, supported: tuple[str, ...]) -> None:
    if value not in supported:
        choices = ", ".join(f"'{each}'" for each in supported)
        raise errors.InvalidRequest(
            f"Invalid value: '{value[:100]}'. Supported values are: {choices}.", param=param, code="invalid_value"
        )


def _metadata(metadata: dict[str, Any] | None) -> dict[str, str] | None:
    """Return the metadata of a batch. Raises `InvalidRequest` if it exceeds the limits."""
    for name, value in (metadata or {}).items():
        if len(name) > _MAX_NAME_CHARS or not isinstance(value, str) or len(value) > _MAX_VALUE_CHARS:
            raise errors.InvalidRequest(
                f"Invalid 'metadata': keys must be strings of at most {_MAX_NAME_CHARS} characters, and values must be "
                f"strings of at most {_MAX_VALUE_CHARS} characters.",
                param="metadata",
                code="invalid_value",
            )
    if metadata is not None and len(metadata) > _MAX_PAIRS:
        raise errors.InvalidRequest(
            f"Invalid 'metadata': too many properties. Expected at most {_MAX_PAIRS}, but got {len(metadata)}.",
            param="metadata",
            code="object_above_max_properties",
        )
    return metadata


def _output_expires_after_s(expiry: _Expiry | None) -> int | None:
    if expiry is None:
        return None
    _check_choice("output_expires_after.anchor", expiry.anchor, ("created_at",))
    return expiry_seconds(expiry.seconds, "output_expires_after")
