"""The responses API's memory: `store`, `previous_response_id`, retrieve, delete, cancel, input items, background.

Kept by the gateway for every upstream, whether it has such a memory or not, so that a conversation may go on with
another one. What is kept belongs to the tenant and is forgotten after 30 days.
Source: OpenAI API reference, "Responses"; guide "Background mode".
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import EMPTY_CONTEXT, Clock, RequestContext, TaskOwner, errors
from intellirouter.dialects import responses_storage as history
from intellirouter.governance import Identity
from intellirouter.pipeline import Exchange, Reply
from intellirouter.resources.pages import Page
from intellirouter.resources.resource import ResourceRequest, is_ascending, json_page, page_size
from intellirouter.resources.responses.storing_reply import SavingReply
from intellirouter.store import ObjectStore, StoredObject, StoreUnavailable

logger = logging.getLogger(__name__)

PREFIX: Final = "/v1/responses/"
_KIND: Final = "response"
_KEPT_US: Final = 30 * 86_400_000_000
_MAX_BACKGROUND: Final = 256
_PATIENCE_S: Final = 10.0
_RECOVERY_RETRY_S: Final = 1.0
_UNFINISHED: Final = ("queued", "in_progress")

Walk = Callable[[bytes, Reply, RequestContext], Awaitable[None]]
"""Takes an exchange from its body to its reply."""


class _Wish(Struct):
    """What is read of a request before the pipeline sees it."""

    previous_response_id: Any = None
    store: Any = None
    background: Any = None
    stream: Any = None


class _Kept(Struct):
    """The content of a stored object."""

    response: msgspec.Raw
    input: list[Any]
    """All input items, the history's included: what a following response builds on, with the output."""


_decode_wish: Final = msgspec.json.Decoder(_Wish)
_decode_kept: Final = msgspec.json.Decoder(_Kept)


Prepared = tuple[bytes, Reply, RequestContext]
"""A request as the pipeline shall see it."""


class StoredResponses:
    """One per gateway. Lives on its event loop."""

    json_paths: Final[frozenset[str]] = frozenset()

    def __init__(self, objects: ObjectStore, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._owner = TaskOwner("background responses")
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    def start(self) -> None:
        """Look, as soon as the database is open, for what a former process left behind."""
        self._owner.start(self._recover(), "recovery")

    async def _recover(self) -> None:
        """Say of background responses that were under way that they failed."""
        while True:
            try:
                left = await self._do(self._objects.unfinished, _KIND, _UNFINISHED)
                break
            except errors.Overloaded:
                await asyncio.sleep(_RECOVERY_RETRY_S)
        for each in left:
            if (each.tenant, each.id) in self._running:
                continue
            found = await self._do(self._objects.get, _KIND, each.id, each.tenant, self._now_us())
            if found is not None:
                kept = _decode_kept.decode(found.content or b"")
                failed = history.failed(kept.response, errors.InternalError("The gateway was restarted meanwhile."))
                await self._save(each.tenant, each.id, "failed", _with(kept, failed))

    async def stop(self) -> None:
        await self._owner.stop()

    async def prepare(self, exchange: Exchange, body: bytes, reply: Reply) -> Prepared:
        """Put the history in place of `previous_response_id`, and see to it that the answer is kept if asked.

        Raises `InvalidRequest` for a response that is not known. A body that cannot be read passes: the codec says
        what is wrong with it.
        """
        try:
            wish = _decode_wish.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return body, reply, EMPTY_CONTEXT
        tenant, previous = exchange.identity.tenant, wish.previous_response_id
        earlier: list[Any] = []
        if isinstance(previous, str) and previous:
            earlier = await self._history(tenant, previous)
            body = history.with_history(body, earlier)
        if wish.store is not False:
            items = history.input_items(body)

            async def save(response: bytes) -> None:
                try:
                    await self._keep(tenant, response, items)
                except errors.Overloaded as error:  # the answer is worth more than the memory of it
                    logger.warning("%s: the response could not be stored: %s", exchange.request_id, error.message)

            reply = SavingReply(reply, save)
        return body, reply, _context(previous)

    def is_background(self, body: bytes) -> bool:
        """Tell whether the request asks to be answered later. Streams are answered at once, and kept."""
        if b'"background"' not in body:
            return False
        try:
            wish = _decode_wish.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return wish.background is True and wish.stream is not True

    async def begin_background(self, exchange: Exchange, body: bytes, walk: Walk) -> bytes:
        """Start the exchange in the background; return the response as it stands: queued.

        Raises `InvalidRequest` with `store: false`, `Overloaded` when too many run.
        """
        if _decode_wish.decode(body).store is False:
            raise errors.InvalidRequest("Background responses must be stored: leave out `store: false`.", param="store")
        if len(self._running) >= _MAX_BACKGROUND:
            raise errors.Overloaded(f"{_MAX_BACKGROUND} responses are under way in the background already.")
        tenant = exchange.identity.tenant
        previous = _decode_wish.decode(body).previous_response_id
        earlier = await self._history(tenant, previous) if isinstance(previous, str) and previous else []
        if earlier:
            body = history.with_history(body, earlier)
        response_id, queued = history.queued(exchange.endpoint.decode_request(body, _context(previous)))
        kept = _Kept(msgspec.Raw(queued), history.input_items(body))
        await self._save(tenant, response_id, "queued", kept)
        asked = history.in_foreground(body)

        async def work(reply: Reply) -> None:
            await walk(asked, reply, _context(previous))

        task = self._owner.start(self._answer_later(tenant, response_id, kept, work), response_id)
        self._running[tenant, response_id] = task
        task.add_done_callback(lambda _: self._running.pop((tenant, response_id), None))
        return queued

    async def _answer_later(
        self, tenant: str, response_id: str, kept: _Kept, work: Callable[[Reply], Awaitable[None]]
    ) -> None:
        async def save(response: bytes) -> None:
            renamed = history.renamed(response, response_id)
            await self._save(tenant, response_id, history.status_of(renamed), _with(kept, renamed))

        reply = SavingReply(None, save)
        try:
            await work(reply)
        except asyncio.CancelledError:
            cancelled = history.cancelled(kept.response)
            await asyncio.shield(self._save(tenant, response_id, "cancelled", _with(kept, cancelled)))
            raise
        if reply.error is not None:
            failed = history.failed(kept.response, reply.error)
            await self._save(tenant, response_id, "failed", _with(kept, failed))

    async def _history(self, tenant: str, response_id: str) -> list[Any]:
        found = await self._do(self._objects.get, _KIND, response_id, tenant, self._now_us())
        if found is None or found.content is None:
            raise errors.InvalidRequest(
                f"Previous response with id '{response_id[:100]}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        if found.status in _UNFINISHED:
            raise errors.InvalidRequest(
                f"Previous response '{response_id[:100]}' is still under way.", param="previous_response_id"
            )
        kept = _decode_kept.decode(found.content)
        return [*kept.input, *history.output_items(bytes(kept.response))]

    async def _keep(self, tenant: str, response: bytes, items: list[Any]) -> None:
        response_id = history.id_of(response)
        if response_id:
            await self._save(tenant, response_id, history.status_of(response), _Kept(msgspec.Raw(response), items))

    async def _save(self, tenant: str, response_id: str, status: str, kept: _Kept) -> None:
        now_us = self._now_us()
        stored = StoredObject(
            kind=_KIND,
            id=response_id,
            tenant=tenant,
            created_us=now_us,
            expires_us=now_us + _KEPT_US,
            status=status,
            content=msgspec.json.encode(kept),
        )
        await self._do(self._objects.put, stored)

    # -- below /v1/responses/ ------------------------------------------------------------------------------------

    def allowed(self, path: str) -> str:
        if not path.startswith(PREFIX):
            return ""
        response_id, _, rest = path.removeprefix(PREFIX).partition("/")
        if not response_id:
            return ""
        return {"": "GET, DELETE", "cancel": "POST", "input_items": "GET"}.get(rest, "")

    async def serve(self, request: ResourceRequest) -> Page:
        response_id, _, rest = request.path.removeprefix(PREFIX).partition("/")
        if request.method == "DELETE":
            if not await self._do(self._objects.delete, _KIND, response_id, request.identity.tenant):
                raise _missing(response_id)
            self._cancel(request.identity, response_id)
            return json_page({"id": response_id, "object": "response", "deleted": True})
        if rest == "cancel":
            return await self._cancelled(request.identity, response_id)
        kept = await self._kept(request.identity, response_id)
        if rest == "input_items":
            return json_page(_items_page(kept, request.query))
        return json_page(kept.response)

    async def _kept(self, identity: Identity, response_id: str) -> _Kept:
        found = await self._do(self._objects.get, _KIND, response_id, identity.tenant, self._now_us())
        if found is None or found.content is None:
            raise _missing(response_id)
        return _decode_kept.decode(found.content)

    def _cancel(self, identity: Identity, response_id: str) -> asyncio.Task[None] | None:
        task = self._running.get((identity.tenant, response_id))
        if task is not None:
            task.cancel()
        return task

    async def _cancelled(self, identity: Identity, response_id: str) -> Page:
        kept = await self._kept(identity, response_id)
        if not history.is_background(bytes(kept.response)):
            raise errors.InvalidRequest("Only responses created with `background: true` can be cancelled.")
        if (task := self._cancel(identity, response_id)) is not None:
            await asyncio.wait([task])
        return json_page((await self._kept(identity, response_id)).response)

    async def _do(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call the store on a worker thread; while it is being opened, wait a little."""
        deadline_s = self._clock.monotonic_s() + _PATIENCE_S
        while True:
            try:
                return await asyncio.to_thread(call, *arguments)
            except StoreUnavailable as error:
                if self._clock.monotonic_s() >= deadline_s:
                    raise errors.Overloaded(str(error), code="store_unavailable", hint="Try again shortly.") from error
            await asyncio.sleep(_PATIENCE_S / 100)

    def _now_us(self) -> int:
        return self._clock.epoch_us()


def _context(previous: object) -> RequestContext:
    """Return what the codec shall tell of the history that has been put into the body."""
    return RequestContext(previous_response_id=previous) if isinstance(previous, str) and previous else EMPTY_CONTEXT


def _with(kept: _Kept, response: bytes) -> _Kept:
    return _Kept(msgspec.Raw(response), kept.input)


def _items_page(kept: _Kept, query: dict[str, str]) -> dict[str, Any]:
    items = kept.input if is_ascending(query) else kept.input[::-1]
    ids = [item.get("id") if isinstance(item, dict) else None for item in items]
    after = query.get("after")
    start = ids.index(after) + 1 if after in ids and after is not None else 0
    page = items[start : start + page_size(query)]
    first, last = (ids[start], ids[start + len(page) - 1]) if page else (None, None)
    return {
        "object": "list",
        "data": page,
        "first_id": first,
        "last_id": last,
        "has_more": start + len(page) < len(items),
    }


def _missing(response_id: str) -> errors.NotFound:
    return errors.NotFound(f"Response with id '{response_id[:100]}' not found.", code="response_not_found")
