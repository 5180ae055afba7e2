"""The object store for code on the event loop. Calls run on worker threads and wait if the database is unavailable."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, ParamSpec, TypeVar

from msgspec import Struct

from intellirouter.core import Clock, errors
from intellirouter.store import ObjectStore, StoredObject, StoreUnavailable

logger = logging.getLogger(__name__)

_AVAILABLE_WITHIN_S: Final = 10.0
"""How long a client waits for the database. Opening it after a start takes a second or two, or more under load."""
_POLL_S: Final = 0.1
_RETRY_S: Final = 1.0
_ABANDONED_EVERY_S: Final = 30.0
_DELETE_BATCH: Final = 500
_PAGE_BYTES: Final = 1024 * 1024

T = TypeVar("T")
P = ParamSpec("P")


class PageQuery(Struct, frozen=True, kw_only=True):
    """Which page of a list is requested."""

    limit: int
    after: str = ""
    is_ascending: bool = False


class AsyncObjectStore:
    """One per gateway."""

    def __init__(self, store: ObjectStore, clock: Clock, is_only_gateway: Callable[[], Awaitable[bool]]) -> None:
        """`is_only_gateway` looks whether no other gateway uses the same store."""
        self.store = store
        self._clock = clock
        self._is_only_gateway = is_only_gateway
        self._created_us = clock.epoch_us()

    async def call(self, method: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Call a method of the store for a client that waits.

        Raises `Overloaded` if the database is unavailable for ten seconds.
        """
        deadline_s = self._clock.monotonic_s() + _AVAILABLE_WITHIN_S
        while True:
            try:
                return await asyncio.to_thread(method, *arguments, **named)
            except StoreUnavailable as error:
                if self._clock.monotonic_s() >= deadline_s:
                    raise errors.Overloaded(str(error), code="store_unavailable") from error
            await asyncio.sleep(_POLL_S)

    async def call_when_available(self, method: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Call a method of the store for background work, which waits until the database is available."""
        while True:
            try:
                return await asyncio.to_thread(method, *arguments, **named)
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)

    async def abandoned(self, kind: str, statuses: Sequence[str]) -> list[StoredObject]:
        """Return the objects that earlier processes left unfinished. Waits until the database is available.

        If another gateway uses the same store, unfinished objects may be those on which it works. Then this waits until
        there are none left, or until the other gateway has ended.
        """
        is_logged = False
        while await self._older(kind, statuses):
            if await self._is_only_gateway():
                # Not those from before: the other gateway may have finished them before it ended.
                return await self._older(kind, statuses)
            if not is_logged:
                logger.warning("Each unfinished %s is left to the other gateway that uses the store.", kind)
                is_logged = True
            await asyncio.sleep(_ABANDONED_EVERY_S)
        return []

    async def _older(self, kind: str, statuses: Sequence[str]) -> list[StoredObject]:
        """Return the unfinished objects from before the start of this process, which are not its own."""
        found = await self.call_when_available(self.store.unfinished, kind, statuses)
        return [each for each in found if each.created_us <= self._created_us]

    async def parts(self, kind: str, owner: str, tenant: str, *, can_wait: bool = True) -> AsyncIterator[StoredObject]:
        """Iterate over an object's parts in order, with about a mebibyte in memory at a time.

        If `can_wait` is false, it raises `Overloaded` when the database is unavailable.
        """
        after = ""
        call = self.call_when_available if can_wait else self.call
        while found := await call(self.store.parts, kind, owner, tenant, after, _PAGE_BYTES):
            for each in found:
                yield each
            after = found[-1].id

    async def part_marks(self, kind: str, owner: str, tenant: str) -> AsyncIterator[StoredObject]:
        """Iterate over an object's parts in order, without their content."""
        after = ""
        while found := await self.call_when_available(self.store.part_marks, kind, owner, tenant, after):
            for each in found:
                yield each
            after = found[-1].id

    async def delete_parts(self, kind: str, owner: str, tenant: str) -> None:
        """Delete an object's parts in batches, so that other writers do not have to wait."""
        while await self.call_when_available(self.store.delete_parts, kind, owner, tenant, _DELETE_BATCH):
            pass

    async def page(
        self, kind: str, tenant: str, query: PageQuery, is_wanted: Callable[[StoredObject], bool]
    ) -> tuple[list[StoredObject], bool]:
        """Return a page of the wanted objects, and whether there are more."""
        found: list[StoredObject] = []
        after, now_us = query.after, self._clock.epoch_us()
        while True:
            # One object more than requested shows whether there are more.
            listed = await self.call(
                self.store.page,
                kind,
                tenant,
                now_us,
                limit=query.limit + 1,
                after=after,
                is_ascending=query.is_ascending,
            )
            found += [each for each in listed if is_wanted(each)]
            if len(found) > query.limit or not listed:
                return found[: query.limit], len(found) > query.limit
            after = listed[-1].id
